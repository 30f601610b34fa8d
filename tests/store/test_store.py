"""Stores built from shards: what they hold, how HEAD switches, what doctor sees."""

import hashlib
import json
import os
from pathlib import Path

import duckdb
import pytest
from shards import SOURCES, make, write_source

from gendata import doctor, files
from gendata.errors import ProjectError, StoreError
from gendata.search.lookup import Lookup
from gendata.store.head import Store, read_head


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "artifacts"
    write_source(folder, "a", "real", [f"real text {i}" for i in range(6)], images=2)
    write_source(folder, "b", "generated", [f"made text {i}" for i in range(4)])
    return folder


def test_real_takes_real_rows_and_nothing_else(root):
    record = make(root)
    assert (record["real"]["items"], record["real"]["passages"], record["real"]["images"]) == (5, 5, 2)
    assert (record["other"]["items"], record["other"]["images"]) == (2, 0)
    assert record["real"]["rejected_by_reason"] == {"empty": 1, "near-text": 3}
    for name, origins in (("real", {"real"}), ("other", {"generated"})):
        store = Store.open(root / "store" / name)
        for table in store.head.lance:
            assert {r["origin"] for r in store.table(table).to_table().to_pylist()} == origins


def test_store_json_depends_on_content_alone(root, tmp_path):
    first = make(root)
    assert make(root) == first  # built again over the old one
    elsewhere = tmp_path / "elsewhere"
    write_source(elsewhere, "a", "real", [f"real text {i}" for i in range(6)], images=2)
    write_source(elsewhere, "b", "generated", [f"made text {i}" for i in range(4)])
    assert make(elsewhere) == first
    assert (root / "store/real/store.json").read_bytes() == (elsewhere / "store/real/store.json").read_bytes()
    write_source(elsewhere, "a", "real", [f"real text {i}" for i in range(6)], images=2, label="corrected")
    changed = make(elsewhere)
    assert changed["real"]["digest"] != first["real"]["digest"]
    assert changed["real"]["digest_vectors"] == first["real"]["digest_vectors"]
    assert changed["other"] == first["other"]


def test_a_removed_source_is_gone_and_a_store_without_sources_is_not_there(root):
    make(root)
    record = make(root, "a")
    assert record["other"]["items"] == 0
    assert read_head(root / "store" / "other") is None
    with pytest.raises(ProjectError, match="not built"):
        Store.open(root / "store" / "other")


def test_a_reader_keeps_its_view_while_the_store_is_rebuilt(root):
    make(root)
    reader = Store.open(root / "store" / "real")
    before = sorted(r["id"] for r in reader.table("items").to_table().to_pylist())
    write_source(root, "a", "real", [f"quite new text {i}" for i in range(20)])
    make(root)
    assert sorted(r["id"] for r in reader.table("items").to_table().to_pylist()) == before
    assert reader.table("passages").to_table(full_text_query="real", limit=5).num_rows
    assert reader.catalog.is_file()
    assert Store.open(root / "store" / "real").table("items").count_rows() == 10


def test_blobs_texts_and_passages_come_back(root):
    make(root)
    lookup = Lookup({"real": Store.open(root / "store" / "real")})
    image = hashlib.sha256(b"a1").hexdigest()
    assert lookup.content(image) == (b"a1", "image/png")
    assert lookup.resolve(image[:10]) == image
    item = lookup.item(image)
    assert (item["source"], item["text"], item["split"]) == ("a", "picture 1", "train")
    rows = Store.open(root / "store" / "real").table("passages").to_table().to_pylist()
    assert {r["text"] for r in rows} == {"real text 0", "real text 2", "real text 4", "picture 0", "picture 1"}


def test_dropped_rows_say_how_like_they_are_and_of_which_file(root):
    import duckdb

    make(root)
    with duckdb.connect(str(Store.open(root / "store" / "real").catalog), read_only=True) as connection:
        rows = connection.execute("SELECT stage, score, file_sha256 FROM rejected ORDER BY stage, uri").fetchall()
        kinds = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE rejected)").fetchall())
    assert rows == [*[("dedup", 0.9, None)] * 3, ("ingest", None, None)]
    assert (kinds["score"], kinds["file_sha256"]) == ("DOUBLE", "VARCHAR")


def test_rows_of_different_runs_are_refused(root):
    write_source(root / "x", "a", "real", ["another text", "b", "c", "d", "e", "f"], images=2)
    for stage in ("dedup", "tag", "embed"):
        target = root / stage / "a" / "00000.parquet"
        good = target.read_bytes()
        target.write_bytes((root / "x" / stage / "a" / "00000.parquet").read_bytes())
        with pytest.raises(StoreError):
            make(root)
        target.write_bytes(good)
    make(root)


@pytest.fixture
def project(root, tmp_path):
    lines = [f"  {n}: {json.dumps(s)}" for n, s in SOURCES.items()]
    (tmp_path / "params.yaml").write_text("\n".join(["gendata: {version: 1}", "sources:", *lines]) + "\n")
    make(root)
    return tmp_path


def _newest(folder):
    return min(folder.glob("*.manifest"))  # manifest names count down


DAMAGES = [
    "truncated head", "no catalog", "junk catalog", "changed label", "empty manifest", "no table", "foreign row",
    "empty data file", "empty index file",
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_doctor_finds_damage_and_repairs_it(project, damage):
    assert doctor.examine(project, ["a", "b"]) == []
    store = project / "artifacts" / "store" / "real"
    head = read_head(store)
    if damage == "truncated head":
        (store / "HEAD.json").write_text("")
    elif damage == "no catalog":
        (store / head.catalog).unlink()
    elif damage == "junk catalog":
        (store / head.catalog).write_bytes(b"junk")
    elif damage == "changed label":
        with duckdb.connect(str(store / head.catalog)) as connection:
            connection.execute("UPDATE items SET label = 'tampered' WHERE uri = 't0.txt'")
    elif damage == "empty manifest":
        _newest(store / "lance" / "items.lance" / "_versions").write_bytes(b"")
    elif damage == "no table":
        os.rename(store / "lance" / "passages.lance", store / "lance" / "gone")
    elif damage == "empty data file":
        next((store / "lance" / "items.lance" / "data").glob("*.lance")).write_bytes(b"")
    elif damage == "empty index file":
        for path in (store / "lance" / "passages.lance" / "_indices").rglob("*tokens*"):
            path.write_bytes(b"")
    else:
        _plant(store)
    findings = doctor.examine(project, ["a", "b"])
    assert findings
    assert all("\n" not in f.problem for f in findings)
    assert all(f.repaired for f in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


def _plant(store: Path):
    """A generated row in the Lance table of the real store, as nobody should write it."""
    import lancedb

    table = lancedb.connect(store / "lance").open_table("items")
    row = {"id": hashlib.sha256(b"fake").hexdigest(), "modality": "text", "origin": "generated", "source": "a"}
    table.add([{**row, "text": "fake", "data": None}])
    head = read_head(store)
    (store / "HEAD.json").write_text(
        json.dumps({"schema": 1, "catalog": head.catalog, "lance": {**head.lance, "items": table.version}})
    )


def test_a_repair_that_cannot_work_leaves_the_store_as_it_is(project):
    store = project / "artifacts" / "store" / "real"
    (store / read_head(store).catalog).write_bytes(b"junk")
    (project / "artifacts" / "tag" / "a" / "00000.parquet").unlink()
    said = []
    findings = doctor.examine(project, ["a", "b"], repair=said.append)
    assert not any(f.repaired for f in findings)
    assert (store / "lance" / "items.lance").is_dir()
    assert Store.open(store).table("items").count_rows() == 5


@pytest.mark.parametrize("lost", ["a table", "HEAD", "what HEAD names"])
def test_a_store_that_cannot_be_built_again_goes_back_to_what_it_held(project, root, lost):
    store = project / "artifacts" / "store" / "real"
    before = Store.open(store).table("items").count_rows()
    write_source(root, "a", "real", [f"quite new text {i}" for i in range(20)])
    make(root)
    if lost == "a table":
        _newest(store / "lance" / "items.lance" / "_versions").write_bytes(b"")
    else:
        (store / "HEAD.json").write_text("" if lost == "HEAD" else '{"schema": 1}')
    (root / "tag" / "a" / "00000.parquet").unlink()
    said = []
    assert not all(f.repaired for f in doctor.examine(project, ["a", "b"], repair=said.append))
    assert "rolled the store real back to what it held before the last build" in said
    assert Store.open(store).table("items").count_rows() == before


def test_what_a_live_run_holds_is_no_leftover(project):
    work, held = project / ".gendata" / "work" / "artifacts-tag", project / ".gendata" / "locks" / "artifacts-tag"
    work.mkdir(parents=True)
    with files.lock(held):
        assert doctor.examine(project, ["a", "b"], repair=lambda line: None) == []
        assert work.is_dir()
    assert len(doctor.examine(project, ["a", "b"])) == 1


def test_a_broken_table_is_built_anew_by_the_next_build(root):
    first = make(root)
    for table in ("items", "passages"):
        _newest(root / "store" / "real" / "lance" / f"{table}.lance" / "_versions").write_bytes(b"")
    (root / "store" / "real" / "HEAD.json").unlink()
    assert make(root) == first
    assert Store.open(root / "store" / "real").table("items").count_rows() == 5


def test_leftovers_of_killed_runs_are_swept(project):
    left = project / ".gendata" / "work" / "artifacts-dedup"
    left.mkdir(parents=True)
    hidden = project / "artifacts" / "store" / "real" / "lance" / "items.lance" / "data" / ".tmpXYZ"
    hidden.write_bytes(b"x" * 100)
    assert len(doctor.examine(project, ["a", "b"])) == 2
    doctor.examine(project, ["a", "b"], repair=lambda line: None)
    assert not left.exists()
    assert not hidden.exists()
