import importlib
import os
from pathlib import Path

import pytest

from gendata import files
from gendata.ingest import IngestParams, SourceParams, pool, scan
from gendata.items import content_id

stage = importlib.import_module("gendata.ingest.scan")  # the package has the function by this name

P = IngestParams(workers=2)


@pytest.fixture
def source(project):
    for i in range(5):
        path = project / "data" / f"d{i % 2}" / f"{i}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text {i}")
    return SourceParams("folder", "real", "data")


@pytest.fixture
def settled(monkeypatch):
    """As if the files had lain there for a while, so that they are remembered."""
    monkeypatch.setattr(stage, "SETTLED_NS", -1)


@pytest.fixture
def hashed(monkeypatch):
    """The paths whose contents are read."""
    seen = []
    real = stage.open_inside
    monkeypatch.setattr(stage, "open_inside", lambda base, path: (seen.append(path), real(base, path))[1])
    return seen


def listing(source, project, name="s"):
    summary = scan({name: source}, project, Path("artifacts/scan"), P)
    return Path(f"artifacts/scan/{name}.parquet").read_bytes(), summary[name]


def rows():
    return files.read_table(Path("artifacts/scan/s.parquet")).to_pylist()


def test_a_listing_is_sorted_and_holds_sizes_and_hashes(source, project):
    _, summary = listing(source, project)
    assert [(r["uri"], r["size"]) for r in rows()] == [(f"d{i % 2}/{i}.txt", 6) for i in (0, 2, 4, 1, 3)]
    assert all(len(r["sha256"]) == 64 and r["problem"] is None for r in rows())
    assert summary == {"units": 5, "problems": 0, "bytes": 30}


def test_times_do_not_matter_and_contents_do(source, project, settled):
    first, _ = listing(source, project)
    path = project / "data/d0/0.txt"
    os.utime(path, (1, 1))
    assert listing(source, project)[0] == first
    stat = path.stat()
    path.write_text("TEXT 0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # same size, same mtime: the ctime tells
    assert listing(source, project)[0] != first


def test_hashes_are_remembered(source, project, settled, hashed):
    first, _ = listing(source, project)
    assert len(hashed) == 5
    assert listing(source, project)[0] == first
    assert len(hashed) == 5
    (project / "data/d1/1.txt").write_text("new")
    assert listing(source, project)[0] != first
    assert len(hashed) == 6


def test_the_listing_does_not_depend_on_processes(source, project, settled, monkeypatch):
    os.mkfifo(project / "data/pipe.txt")
    (project / "data/broken.txt").symlink_to("nothing")
    (project / "data/link.txt").symlink_to("d0/0.txt")
    first, summary = listing(source, project)
    assert (summary["units"], summary["problems"]) == (8, 2)
    (project / ".gendata/cache/scan/s.hashes").unlink()
    monkeypatch.setattr(pool, "_FEW", 2)
    assert listing(source, project)[0] == first
    monkeypatch.setattr(pool, "apart", None)  # now all is known
    assert listing(source, project)[0] == first


def test_a_file_that_has_just_changed_is_not_remembered(source, project, hashed):
    listing(source, project)
    listing(source, project)
    assert len(hashed) == 10


def test_nor_is_it_where_its_hash_comes_late(source, project, hashed, monkeypatch):
    """Other files may take longer: an edit right after it was read would be missed ever after."""
    spread = stage.spread

    def late(*args):
        done = list(spread(*args))
        monkeypatch.setattr(stage, "SETTLED_NS", -1)  # as much later
        return done

    with monkeypatch.context() as patch:
        patch.setattr(stage, "spread", late)
        listing(source, project)
    listing(source, project)
    assert len(hashed) == 10


@pytest.mark.parametrize(
    "damage",
    [
        lambda path, content: path.unlink(),
        lambda path, content: path.write_bytes(content[: len(content) // 2]),
        lambda path, content: path.write_bytes(content.replace(b"0", b"1", 1)),
        lambda path, content: path.write_bytes(b"\xff\n[["),
        lambda path, content: path.write_bytes(b""),
    ],
    ids=["deleted", "truncated", "changed", "garbage", "empty"],
)
def test_a_lost_or_broken_cache_changes_nothing(source, project, settled, hashed, damage):
    first, _ = listing(source, project)
    cache = project / ".gendata/cache/scan/s.hashes"
    content = cache.read_bytes()
    damage(cache, content)
    assert listing(source, project)[0] == first
    assert len(hashed) == 10
    assert sorted(cache.read_bytes().split(b"\n", 1)[1]) == sorted(content.split(b"\n", 1)[1])


def test_another_path_under_the_same_name_is_hashed_anew(source, project, settled):
    listing(source, project)
    (project / "other/d0").mkdir(parents=True)
    (project / "other/d0/0.txt").write_text("other!")
    listing(SourceParams("folder", "real", "other"), project)
    assert [(r["uri"], r["sha256"]) for r in rows()] == [("d0/0.txt", content_id("other!"))]


def test_a_removed_source_has_no_listing(source, project):
    scan({"a": source, "b": source}, project, Path("artifacts/scan"), P)
    scan({"b": source}, project, Path("artifacts/scan"), P)
    assert [p.name for p in Path("artifacts/scan").iterdir()] == ["b.parquet"]


def test_an_edited_caption_changes_the_listing(source, project, image):
    (project / "data/x.png").write_bytes(image())
    (project / "data/x.txt").write_text("a dog")
    before, _ = listing(source, project)
    (project / "data/x.txt").write_text("a cat")
    assert listing(source, project)[0] != before


def test_what_is_rejected_anyway_is_not_watched(source, project):
    (project / "data/app.exe").write_text("1")
    before, summary = listing(source, project)
    assert summary["problems"] == 1
    (project / "data/app.exe").write_text("22")
    assert listing(source, project)[0] == before


def test_built_ins_are_one_row(project, monkeypatch):
    docs = SourceParams("pydocs", "real")
    before, _ = listing(docs, project)
    assert listing(docs, project)[0] == before
    (row,) = rows()
    assert row["problem"] is None
    assert row["size"] > 5_000_000
    monkeypatch.setattr("platform.python_version", lambda: "9.9.9")
    assert listing(docs, project)[0] != before
