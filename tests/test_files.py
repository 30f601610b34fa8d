"""Shards and JSON on disk: byte-stable, atomic, boundaries that do not shift."""

import contextlib
import hashlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata import files
from gendata.errors import REFUSED, StoreError
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, Item, to_table


def rows(texts):
    return [
        Item(modality="text", uri=f"{i}", media_type="text/plain", text=t).row("s", "real", None)
        for i, t in enumerate(texts)
    ]


def write(folder, texts):
    writer = files.ShardWriter(folder, ITEM_SCHEMA)
    for row in rows(texts):
        writer.write(row)
    writer.close()
    return files.shards(folder)


def ids(path):
    return [i for batch in files.iter_batches(path, ["id"]) for i in batch["id"].to_pylist()]


def test_the_same_rows_give_the_same_bytes_and_come_back(tmp_path):
    texts = [f"text {i}" for i in range(5000)]
    one, two = write(tmp_path / "a", texts), write(tmp_path / "b", texts)
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    assert [i for p in one for i in ids(p)] == [r["id"] for r in rows(texts)]
    assert all(b.num_rows <= files.GROUP_ROWS for p in one for b in files.iter_batches(p))


def test_rows_added_early_leave_later_shards_as_they_are(tmp_path):
    texts = [f"text {i}" for i in range(20_000)]
    before = [tuple(ids(p)) for p in write(tmp_path / "a", texts)]
    after = [tuple(ids(p)) for p in write(tmp_path / "b", ["new", "also new", *texts])]
    assert len(before) > 4
    assert len(set(before) & set(after)) >= len(before) - 3


def test_equal_content_cannot_make_a_shard_per_row(tmp_path):
    cutting = next(t for t in map(str, range(10**6)) if int(hashlib.sha256(t.encode()).hexdigest()[:8], 16) % 2048 == 0)
    assert len(write(tmp_path / "a", [cutting] * 10_000)) <= 10


def test_large_blobs_close_row_groups_and_shards_early(tmp_path):
    writer = files.ShardWriter(tmp_path / "a", ITEM_SCHEMA)
    for i in range(40):
        item = Item(modality="image", uri=f"{i}", media_type="image/png", data=bytes([i]) * (8 << 20))
        writer.write(item.row("s", "real", None))
    writer.close()
    assert len(files.shards(tmp_path / "a")) == 3
    assert max(b.num_rows for p in files.shards(tmp_path / "a") for b in files.iter_batches(p)) == 2


def test_output_is_absent_or_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("artifacts/stage")
    with contextlib.suppress(KeyboardInterrupt), files.output(out) as work:
        (work / "half").write_text("x")
        raise KeyboardInterrupt
    assert not out.exists()
    with files.output(out) as work:
        assert not list(work.iterdir())  # what was left behind is gone
        (work / "whole").write_text("x")
    with files.output(out) as work:
        (work / "new").write_text("y")
    assert [p.name for p in out.iterdir()] == ["new"]


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system."""
    places = [place for place in ("/dev/shm", "/var/tmp") if Path(place).is_dir()]
    other = [place for place in places if Path(place).stat().st_dev != tmp_path.stat().st_dev]
    if not other:
        pytest.skip(f"none of {places} is another file system")
    folder = Path(tempfile.mkdtemp(dir=other[0]))
    yield folder
    shutil.rmtree(folder)


def test_output_on_another_file_system_is_absent_or_whole(tmp_path, monkeypatch, elsewhere):
    """Where the disk gets full while the folder is copied: the kernel refuses files over 4 kB as it does then."""
    monkeypatch.chdir(tmp_path)
    out, size = elsewhere / "train" / "gan", 1 << 20
    with files.output(out) as work:
        (work / "items").mkdir()
        (work / "items" / "0").write_bytes(bytes(size))
    assert (out / "items" / "0").stat().st_size == size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(OSError, match="File too large") as error, files.output(out) as work:  # noqa: PT012
            (work / "a").write_bytes(b"small")
            (work / "b").write_bytes(bytes(size))
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno in REFUSED
    assert error.value.filename == str(out)
    assert not list(out.parent.iterdir())
    with files.output(out) as work:
        (work / "a").write_bytes(bytes(size))
    assert [p.name for p in out.iterdir()] == ["a"]
    assert [p.name for p in out.parent.iterdir()] == ["gan"]
    assert not list((files.WORK / "work").iterdir())


def test_a_missing_shard_is_found(tmp_path):
    write(tmp_path / "a", [f"text {i}" for i in range(20_000)])
    (tmp_path / "a" / "00001.parquet").unlink()
    with pytest.raises(StoreError, match="not numbered"):
        files.shards(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_a_broken_parquet_file_is_one_line(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.parquet: not a readable Parquet file"):
        files.read_table(tmp_path / "x.parquet")


def decisions(path, ids_, kept):
    table = [
        {"id": i, "source": "s", "uri": str(n), "kept": k, "reason": None, "kept_id": i, "score": None}
        | {"group": i, "copies": 1, "conflict_id": None, "contained_in": None, "merged": None, "reference": None}
        for n, (i, k) in enumerate(zip(ids_, kept, strict=True))
    ]
    files.write_table(path, table, DECISION_SCHEMA)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_kept_rows_are_those_decided(tmp_path_factory, kept):
    folder = tmp_path_factory.mktemp("kept")
    (path,) = write(folder / "a", [f"text {i}" for i in range(len(kept))])
    decisions(folder / "d.parquet", ids(path), kept)
    found = [i for batch in files.kept_batches(path, folder / "d.parquet", ["id"]) for i in batch["id"].to_pylist()]
    assert found == [i for i, k in zip(ids(path), kept, strict=True) if k]


def test_decisions_of_other_rows_are_refused(tmp_path):
    (path,) = write(tmp_path / "a", ["one", "two"])
    for wrong in (["x" * 64, ids(path)[1]], ids(path)[:1], [*ids(path), "y" * 64]):
        decisions(tmp_path / "d.parquet", wrong, [True] * len(wrong))
        with pytest.raises(StoreError, match="gendata run"):
            list(files.kept_batches(path, tmp_path / "d.parquet"))


def test_json_round_trip_and_its_errors(tmp_path):
    files.write_json(tmp_path / "a" / "x.json", {"b": 1, "a": "é"})
    assert files.read_json(tmp_path / "a" / "x.json") == {"a": "é", "b": 1}
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x.json"]
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "absent.json"):
        with pytest.raises(StoreError, match=name):
            files.read_json(tmp_path / name)


def test_table_rejects_missing_columns():
    with pytest.raises(KeyError):
        to_table([{"id": "x"}], ITEM_SCHEMA)
    assert to_table([], ITEM_SCHEMA).schema == ITEM_SCHEMA
    assert isinstance(ITEM_SCHEMA, pa.Schema)


def test_a_database_draws_nothing_on_stdout():
    code = (
        "from gendata import duck, files\n"
        "connection = duck.database()\n"
        "connection.execute('SET progress_bar_time = 1')\n"
        "connection.execute('SELECT sum(a.range * b.range % 7) FROM range(10000) a, range(10000) b').fetchall()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_what_stops_the_writing_of_a_group_is_raised(tmp_path):
    made = rows(hashlib.sha512(str(i).encode()).hexdigest() for i in range(4 * files.GROUP_ROWS))
    writer = files.RowGroupWriter(tmp_path / "a.parquet", ITEM_SCHEMA)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="File too large") as error:  # noqa: PT012
            for row in made:
                writer.write(row)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.errno in REFUSED


def _filled(out, started):
    """Make a folder that takes a moment, and count how often it was made."""

    def make(work):
        started.append(out)
        time.sleep(0.2)
        (work / "whole").write_text("yes")

    files.fill(out, lambda folder: (folder / "whole").is_file(), make)
    return (out / "whole").read_text()


def test_one_of_several_fills_a_cache_and_the_others_wait(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = []
    with ThreadPoolExecutor(4) as pool:  # locks are between open files: threads are to them as processes
        assert list(pool.map(_filled, [tmp_path / "cache" / "a"] * 4, [started] * 4)) == ["yes"] * 4
    assert len(started) == 1
    (tmp_path / "cache" / "a" / "whole").unlink()
    assert _filled(tmp_path / "cache" / "a", started) == "yes"  # what is not whole is made again
    assert len(started) == 2
