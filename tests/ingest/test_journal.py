"""What a run has finished is not read again, and the result is that of a run that read everything."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from gendata import files
from gendata.errors import ParamsError
from gendata.ingest import IngestParams, SourceParams, ingest, journal, pool, scan
from gendata.ingest.journal import CACHE

PARAMS = IngestParams(workers=2)
OUT = Path("artifacts/ingest/s")

_CHILD = """
import sys
from pathlib import Path
from gendata import files
files.SHARD_MIN_ROWS, files.SHARD_MEAN_ROWS, files.SHARD_MAX_ROWS = 8, 8, 32
from gendata.ingest import IngestParams, SourceParams, ingest
print("ready", flush=True)
ingest("s", SourceParams(kind=sys.argv[1], origin="unknown", path="data"), Path.cwd(),
       Path("artifacts/scan/s.parquet"), Path("artifacts/ingest/s"), IngestParams(workers=2))
"""


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Many boundaries, by content and by number."""
    for name, rows in (("MIN", 6), ("MEAN", 6), ("MAX", 24)):
        monkeypatch.setattr(files, f"SHARD_{name}_ROWS", rows)


def source(kind, **options):
    return SourceParams(kind=kind, origin="unknown", path="data", **options)


def once(params, limits=PARAMS):
    """Scan and ingest; every byte that is written, and the summary."""
    scan({"s": params}, Path.cwd(), Path("artifacts/scan"), limits)
    return finished(params, limits)


def finished(params, limits=PARAMS):
    summary = ingest("s", params, Path.cwd(), Path("artifacts/scan/s.parquet"), OUT, limits)
    written = {p.relative_to(OUT).as_posix(): p.read_bytes() for p in sorted(OUT.rglob("*")) if p.is_file()}
    return written, summary


def anew(params):
    """As ``once``, of everything, in place of what was there."""
    shutil.rmtree(CACHE, ignore_errors=True)
    return once(params)


def records():
    return {p.name: p.stat().st_mtime_ns for p in CACHE.rglob("*.json")}


def text(rng):
    return " ".join(rng.choices(["ash", "bay", "cove", "dune", "elm", "fen"], k=rng.randint(1, 30)))


def _folder(rng, image, n):
    stem = f"data/{rng.choice(['', 'a/', 'b/'])}{n:03}"
    if rng.random() < 0.3:
        yield f"{stem}.png", image(color=rng.randrange(256))
        if rng.random() < 0.5:
            yield f"{stem}{rng.choice(['.txt', '.caption'])}", rng.choice([text(rng).encode(), b"\xff\xfe\0"])
        if rng.random() < 0.5:
            yield f"{stem}.json", rng.choice([b'{"label": "x"}', b"{"])
    else:
        yield f"{stem}{rng.choice(['.txt', '.md', '.xyz'])}", rng.choice([text(rng).encode(), text(rng).encode(), b""])


def _table(rng, image, n):
    rows = [json.dumps({"text": text(rng)}) if rng.random() < 0.9 else "{" for _ in range(rng.randint(0, 30))]
    if rng.random() < 0.2:
        rows.append(json.dumps({"text": text(rng), "image": "shared.png"}))
        yield "data/shared.png", image(color=rng.randrange(256))
    yield f"data/{n:03}.jsonl", "\n".join(rows).encode()


def _imagefolder(rng, image, n):
    name = f"{rng.choice(['ash', 'elm'])}/{n:03}.png"
    yield f"data/{name}", image(color=rng.randrange(256))
    if rng.random() < 0.2:
        rows = [{"file_name": rng.choice([name, "absent.png"]), "text": text(rng)} for _ in range(rng.randint(1, 6))]
        yield "data/metadata.jsonl", "\n".join(map(json.dumps, rows)).encode()


def _archive(rng, image, n):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(rng.randint(0, 30)):
            archive.writestr(f"{i}.txt" if rng.random() < 0.9 else f"{i}.xyz", text(rng))
    yield f"data/{n:03}.zip", packed.getvalue()


def _webdataset(rng, image, n):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as shard:
        for i in range(rng.randint(0, 15)):
            for ending, content in (("txt", text(rng).encode()), ("png", image(color=rng.randrange(256)))):
                member = tarfile.TarInfo(f"{i}.{ending}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    yield f"data/{n:03}.tar", packed.getvalue()


KINDS = {f.__name__[1:]: f for f in (_folder, _table, _imagefolder, _archive, _webdataset)}


def change(rng, kind, image, count):
    """Write ``count`` files, over others or not, and remove some."""
    for name in sorted(str(p) for p in Path("data").rglob("*") if p.is_file()):
        if rng.random() < 0.05:
            os.unlink(name)
    for _ in range(count):
        for name, content in KINDS[kind](rng, image, rng.randrange(40)):
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_bytes(content)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_after_any_change_the_result_is_that_of_reading_everything(kind, seed, project, image):
    rng = random.Random(f"{kind} {seed}")
    Path("data").mkdir()
    for step in range(4):
        change(rng, kind, image, rng.choice([1, 2, 8]) if step else 20)
        found = once(source(kind))
        assert finished(source(kind)) == found, "from the journal alone"
        kept = CACHE.rename(project / "kept")
        assert once(source(kind)) == found, "without a journal"
        shutil.rmtree(CACHE)
        kept.rename(CACHE)


@pytest.mark.parametrize("content", ["copy", "reference"])
def test_the_bytes_do_not_depend_on_processes(content, project, image, monkeypatch):
    change(random.Random(content), "folder", image, 40)
    found = once(source("folder", content=content))
    alone = IngestParams(workers=1)
    shutil.rmtree(CACHE)
    assert once(source("folder", content=content), alone) == found
    monkeypatch.setattr(pool, "_FEW", 16)  # and so one unit a batch on processes
    shutil.rmtree(CACHE)
    assert finished(source("folder", content=content)) == found
    monkeypatch.setattr(pool, "apart", lambda fn, batches, workers: map(fn, [[u for batch in batches for u in batch]]))
    shutil.rmtree(CACHE)
    assert finished(source("folder", content=content)) == found


def texts(count):
    for i in range(count):
        path = Path(f"data/{i % 7}/{i:04}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text {i} about matter {i * i}")


def reads(monkeypatch):
    """The uris that are read from now on."""
    from gendata.ingest import folder

    found, original = [], folder.read_inside
    monkeypatch.setattr(
        folder, "read_inside", lambda base, path, limit: found.append(path.decode()) or original(base, path, limit)
    )
    return found


def test_only_what_changed_and_what_shares_a_shard_with_it_is_read(project, monkeypatch):
    texts(1000)
    once(source("folder"))
    read = reads(monkeypatch)
    once(source("folder"))
    assert read == []
    Path("data/3/0010.txt").write_text("other words")
    found = once(source("folder"))
    assert "3/0010.txt" in read
    assert len(read) < 200  # those ahead of the shard's end, too
    assert found == anew(source("folder"))


def test_a_shard_that_was_written_anew_elsewhere_is_shared_again(project):
    texts(100)
    Path("data/bad.xyz").touch()
    found = once(source("folder"))
    for path in (OUT / "items").iterdir():  # as DVC does
        copy = path.with_suffix(".copy")
        shutil.copyfile(path, copy)
        copy.replace(path)
    inodes = [p.stat().st_ino for p in files.shards(OUT / "items")]
    journal.share(project)
    assert len(inodes) > 3
    assert {p.stat().st_ino for p in CACHE.rglob("*.parquet")} >= set(inodes)
    (OUT / "items/00001.parquet").write_bytes((OUT / "items/00001.parquet").read_bytes()[::-1])  # the journal's, too
    assert finished(source("folder")) == found


def test_parts_that_are_no_more_are_dropped(project):
    texts(100)
    once(source("folder"))
    for path in Path("data").rglob("*.txt"):
        if path.parent.name != "0":
            path.unlink()
    once(source("folder"))
    kept = records()
    anew(source("folder"))
    assert records().keys() == kept.keys()
    journal.drop_all_but(["other"])
    assert not (CACHE / "s").exists()


@pytest.mark.parametrize("seed", range(4))
def test_damage_to_the_journal_costs_time_alone(seed, project):
    rng = random.Random(seed)
    texts(150)
    Path("data/bad.xyz").touch()
    found = once(source("folder"))
    paths = sorted(p for p in CACHE.rglob("*") if p.is_file())
    for path in rng.sample(paths, len(paths) // 3):
        content = bytearray(path.read_bytes())
        path.unlink()  # not in place: shards are links to what was written
        if rng.random() < 0.7:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(content if rng.random() < 0.5 else content[: len(content) // 2])
    assert finished(source("folder")) == found


@pytest.mark.parametrize(
    "change", [{"label": "x"}, {"license": "CC0-1.0"}, {"origin": "generated"}, {"marks": "ignore"}]
)
def test_other_settings_of_a_source_count(change, project):
    from dataclasses import replace

    texts(30)
    once(source("folder"))
    other = replace(source("folder"), **change)
    assert once(other) == anew(other)


def test_other_limits_count_but_for_those_that_change_nothing(project, monkeypatch):
    texts(30)
    once(source("folder"))
    read = reads(monkeypatch)
    once(source("folder"), IngestParams(workers=1, max_reject_rate=0.5))
    assert read == []
    _, summary = once(source("folder"), IngestParams(max_text_chars=20))
    assert len(read) == 30
    assert summary["rejected_by_reason"] == {"too-large": 30}


def test_what_changed_between_scan_and_ingest_is_not_remembered(project):
    texts(30)
    path = Path("data/3/0010.txt")
    content = path.read_bytes()
    scan({"s": source("folder")}, Path.cwd(), Path("artifacts/scan"), PARAMS)
    path.write_text("other words")
    _, summary = finished(source("folder"))
    assert summary["rejected_by_reason"] == {"changed": 1}
    path.write_bytes(content)
    _, summary = once(source("folder"))
    assert summary["rejected"] == 0


@pytest.mark.parametrize("kind", ["table", "archive", "webdataset"])
def test_a_file_of_many_items_that_changed_after_the_scan_is_a_reject(kind, project, image):
    rng = random.Random(1)
    for n in range(3):
        for name, content in KINDS[kind](rng, image, n):
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_bytes(content)
    path = sorted(p for p in Path("data").iterdir() if p.name.startswith("001."))[0]
    content = path.read_bytes()
    whole = once(source(kind))
    scan({"s": source(kind)}, Path.cwd(), Path("artifacts/scan"), PARAMS)
    path.write_bytes(next(c for n, c in KINDS[kind](rng, image, 1) if n.startswith("data/001")))
    shutil.rmtree(CACHE)
    _, summary = finished(source(kind))
    assert summary["rejected_by_reason"]["changed"] == 1
    path.write_bytes(content)
    assert once(source(kind)) == whole


def test_an_image_that_a_row_names_and_that_changed_after_the_scan_is_a_reject(project, image):
    Path("data/more").mkdir(parents=True)
    Path("data/more/a.png").write_bytes(image(color=1))
    Path("data/more/t.jsonl").write_text('{"image": "../more/a.png"}\n{"text": "words", "image": null}\n')
    whole = once(source("table"))
    shutil.rmtree(CACHE)
    Path("data/more/a.png").write_bytes(image(color=2))
    _, summary = finished(source("table"))
    assert summary["rejected_by_reason"] == {"changed": 1}
    Path("data/more/a.png").write_bytes(image(color=1))
    assert once(source("table")) == whole


def test_a_table_whose_mapping_follows_from_another_file_is_read_again(project):
    Path("data").mkdir()
    Path("data/a.jsonl").write_text('{"title": "one", "n": 1}\n')
    once(source("table"))
    Path("data/b.jsonl").write_text('{"text": "two"}\n')
    assert once(source("table")) == anew(source("table"))


def test_too_many_rejects_end_the_run(project):
    texts(9)
    Path("data/bad.xyz").touch()
    once(source("folder"), IngestParams(max_reject_rate=0.1))
    Path("data/worse.xyz").touch()
    with pytest.raises(ParamsError, match=r"source s: 2 of 11 units are rejects \(2 unsupported-type\)"):
        once(source("folder"), IngestParams(max_reject_rate=0.1))
    assert records(), "what was read is not lost"


def _killed(kind, parts, seconds):
    """Ingest in a process of its own, and kill it some time after so many new parts are finished."""
    before = records().items()
    command = [sys.executable, "-c", _CHILD, kind]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        while child.poll() is None and len(records().items() - before) < parts:
            time.sleep(0.002)
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)


def _kills(kind, count, seed):
    """Kill runs that each go on where the one before was killed; how many found parts of it, and left them alone."""
    rng, went_on = random.Random(seed), 0
    for _ in range(count):
        if rng.random() < 0.2:
            shutil.rmtree(CACHE, ignore_errors=True)
        left = records()
        _killed(kind, rng.randrange(8), rng.uniform(0, 0.05))
        found = records()
        assert all(found[name] == written for name, written in left.items())
        went_on += bool(left)
    return went_on


def _many_rows():
    Path("data").mkdir()
    for n in range(4):
        Path(f"data/{n}.jsonl").write_text(
            "\n".join(json.dumps({"text": f"text {n} {i} about matter {i * i}"}) for i in range(500)) + "\n{\n"
        )


def _go_on(kind, count, seed, monkeypatch):
    for name, rows in (("MIN", 8), ("MEAN", 8), ("MAX", 32)):
        monkeypatch.setattr(files, f"SHARD_{name}_ROWS", rows)
    texts(2000) if kind == "folder" else _many_rows()
    expected = once(source(kind))
    shutil.rmtree(CACHE)
    assert _kills(kind, count, seed) >= count // 2
    left = records()
    assert finished(source(kind)) == expected
    assert all(records()[name] == written for name, written in left.items())


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_killed_runs_are_gone_on_with(kind, project, monkeypatch):
    _go_on(kind, 5, 1, monkeypatch)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["folder", "table"])
def test_fifty_killed_runs_are_gone_on_with(kind, project, monkeypatch):
    _go_on(kind, 50, 2, monkeypatch)
