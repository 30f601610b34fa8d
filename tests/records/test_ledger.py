"""The ledger: append-only, whole files only, found by unique prefix, and checked."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gendata import files
from gendata.errors import QueryError, StoreError
from gendata.records import external
from gendata.records.ledger import Ledger, once
from gendata.records.manifest import MANIFEST_SCHEMA, Manifest, write_manifest
from gendata.tracking import NullTracker, TrackingParams


def sha(data):
    return hashlib.sha256(data).hexdigest()


OFF = TrackingParams(to="none")


def manifest(where="true", label=None):
    row = {"id": "ab" * 32, "source": "s", "uri": "a.txt", "modality": "text", "label": label}
    row |= {"text_sha256": None, "origin": "real", "split": "train", "license": "MIT"}
    return Manifest.of({"where": where}, pa.Table.from_pylist([row], MANIFEST_SCHEMA))


def card(digits, **facts):
    return {"checkpoint_id": digits.ljust(64, "0"), "family": "toy", "manifest_id": manifest().id, **facts}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def test_what_is_kept_stays(ledger):
    ledger.keep_checkpoint(card("abcd", steps=1))
    before = {path: path.read_bytes() for path in ledger.folder.rglob("*.json")}
    ledger.keep_checkpoint(card("abcd", steps=2))
    assert ledger.checkpoint("abcd")["steps"] == 1
    ledger.keep_manifest(manifest())
    stamp = next(ledger.folder.glob("manifests/*")).stat().st_mtime_ns
    ledger.keep_manifest(manifest())
    assert next(ledger.folder.glob("manifests/*")).stat().st_mtime_ns == stamp
    assert {path: path.read_bytes() for path in ledger.folder.rglob("*.json")} == before
    assert ledger.manifest(manifest().id).rows.equals(manifest().rows)


def test_runs_and_exports_are_named_by_content(ledger):
    tracked = ledger.keep_run({"family": "toy", "run_id": "0123abcd", "checkpoint_id": "a"})
    untracked = ledger.keep_run({"family": "toy", "run_id": None, "checkpoint_id": "a"})
    assert tracked == "0123abcd"
    assert untracked == ledger.keep_run({"family": "toy", "run_id": None, "checkpoint_id": "a"})
    assert untracked != ledger.keep_run({"family": "toy", "run_id": None, "checkpoint_id": "b"})
    assert [run["run_id"] for run in ledger.all("runs")] == sorted(p.stem for p in ledger.folder.glob("runs/*"))
    first = ledger.keep_export({"format": "csv", "rows": 1})
    assert first == ledger.keep_export({"rows": 1, "format": "csv"})
    assert first != ledger.keep_export({"rows": 2, "format": "csv"})
    assert list(ledger.check()) == []


@pytest.mark.parametrize("key", ["abcd1", "ABCD1", "abcd1".ljust(64, "0")])
def test_a_unique_prefix_is_enough(ledger, key):
    for digits in ("abcd1", "abcd2", "beef"):
        ledger.keep_checkpoint(card(digits))
    assert ledger.checkpoint(key)["checkpoint_id"] == "abcd1".ljust(64, "0")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("abcd", r"^checkpoint abcd is not unique: abcd100000000000, abcd200000000000$"),
        ("beef", r"^no checkpoint beef in records/ledger$"),
        ("abc", r"at least 4 hex digits"),
        ("*", r"at least 4 hex digits"),
        ("../../x", r"at least 4 hex digits"),
        ("", r"at least 4 hex digits"),
    ],
)
def test_other_keys_say_why(ledger, key, message):
    ledger.keep_checkpoint(card("abcd1"))
    ledger.keep_checkpoint(card("abcd2"))
    with pytest.raises(QueryError, match=message):
        ledger.checkpoint(key)


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "ledger" / "a.json"
    with contextlib.suppress(OSError), once(path) as part:
        part.write_text("half")
        raise OSError("disk full")
    assert list(path.parent.iterdir()) == []
    with once(path) as part:
        part.write_text("first")
    with once(path) as part:  # as another process, which did not see the first
        part.write_text("second")
    assert [p.read_text() for p in path.parent.iterdir()] == ["first"]


def test_a_kill_leaves_nothing_that_is_taken_for_a_record(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from gendata.records.ledger import Ledger, once\n"
        "with once(Ledger(Path(sys.argv[1])).folder / 'checkpoints' / 'abcd.json') as part:\n"
        "    part.write_text('{'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ, check=False)
    ledger = Ledger(tmp_path)
    assert len(list((ledger.folder / "checkpoints").iterdir())) == 1
    assert list(ledger.all("checkpoints")) == []
    assert list(ledger.check()) == []
    with pytest.raises(QueryError, match="no checkpoint"):
        ledger.checkpoint("abcd")


def test_changed_files_are_found(ledger):
    ledger.keep_manifest(manifest())
    ledger.keep_manifest(manifest(label="seven"))
    ledger.keep_checkpoint(card("abcd"))
    ledger.keep_checkpoint(card("beef"))
    assert list(ledger.check()) == []
    planted, renamed = (ledger.folder / "manifests" / f"{m.id}.parquet" for m in (manifest(), manifest(label="seven")))
    table = pq.read_table(planted)
    pq.write_table(pa.concat_tables([table, table]), planted)
    write_manifest(renamed, manifest(label="eight"))
    swapped, torn = (ledger.folder / "checkpoints" / f"{d}".ljust(64, "0") for d in ("abcd", "beef"))
    swapped.with_suffix(".json").write_text(json.dumps(card("beef")))
    torn.with_suffix(".json").write_text('{"checkpoint')
    found = {path.stem: problem for path, problem in ledger.check()}
    assert found.keys() == {planted.stem, renamed.stem, swapped.name, torn.name}
    assert "it was changed" in found[planted.stem]
    assert found[renamed.stem] == "holds another manifest than its name says"
    assert found[swapped.name] == "holds another record than its name says"
    assert "not valid JSON" in found[torn.name]
    with pytest.raises(StoreError, match="it was changed"):
        ledger.manifest(planted.stem)


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def add(ledger, weights, name="mine", **changed):
    stated = {"name": name, "family": "gpt", "note": ""} | changed
    return external.register(ledger.folder.parents[1], stated, manifest().id[:8], weights, OFF)


def test_a_model_from_elsewhere_is_known_by_its_weights(ledger, weights):
    ledger.keep_manifest(manifest())
    kept = add(ledger, weights, note="three epochs")
    assert kept["checkpoint_id"] == sha(b"weights")
    found = ledger.checkpoint(sha(b"weights"))
    assert (found["external"], found["manifest_id"], found["bytes"]) == (True, manifest().id, 7)
    assert found["data"]["by"]["license"] == {"MIT": 1}
    assert (found["file"], found["note"]) == ("model.pt", "three epochs")
    assert str(weights.parent) not in json.dumps(found)
    assert [run["checkpoint_id"] for run in ledger.all("runs")] == [sha(b"weights")]
    before = {path: path.read_bytes() for path in ledger.folder.rglob("*.*")}
    assert add(ledger, weights, note="three epochs")["checkpoint_id"] == sha(b"weights")
    assert {path: path.read_bytes() for path in ledger.folder.rglob("*.*")} == before
    with pytest.raises(QueryError, match="these weights are known as mine"):
        add(ledger, weights, name="yours")


class Recorder(NullTracker):
    """Takes what a tracker is given, and copies files as MLflow does (whose own test takes 7 s)."""

    run_id = "abcd"

    def __init__(self, folder):
        self.folder = folder

    def start(self, params, manifest):
        self.params, self.manifest = params, manifest

    def checkpoint(self, folder, card):
        for path in folder.iterdir():
            shutil.copy2(path, self.folder)


def test_a_model_from_elsewhere_is_logged(ledger, weights, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    recorder = Recorder(tmp_path / "run")
    monkeypatch.setattr(external, "open_tracker", lambda *_: contextlib.nullcontext(recorder))
    ledger.keep_manifest(manifest())
    add(ledger, weights)
    assert (recorder.params["family"], recorder.manifest["manifest_id"]) == ("gpt", manifest().id)
    assert {path.name for path in recorder.folder.iterdir()} == {"card.json", "README.md", "weights.pt"}
    assert not (recorder.folder / "weights.pt").is_symlink()
    assert (recorder.folder / "weights.pt").read_bytes() == b"weights"
    assert files.read_json(recorder.folder / "card.json").items() <= ledger.checkpoint(sha(b"weights")).items()
    assert manifest().id in (recorder.folder / "README.md").read_text()
    assert [run["run_id"] for run in ledger.all("runs")] == ["abcd"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"name": "a/b"}, "name: must be letters"),
        ({"name": ""}, "name: must be letters"),
        ({"family": "x:y"}, "family: must be letters"),
    ],
)
def test_names_that_are_none(ledger, weights, changed, message):
    ledger.keep_manifest(manifest())
    with pytest.raises(QueryError, match=message):
        add(ledger, weights, **changed)


def test_a_model_needs_its_manifest_and_its_weights(ledger, weights):
    with pytest.raises(QueryError, match="no manifest"):
        add(ledger, weights)
    ledger.keep_manifest(manifest())
    with pytest.raises(QueryError, match="No such file"):
        add(ledger, weights.with_name("absent.pt"))
    assert list(ledger.all("checkpoints")) == []
