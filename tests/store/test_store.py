"""Stores built from shards: what they hold, how HEAD switches, what doctor sees."""

import hashlib
import json
import os
from pathlib import Path

import duckdb
import numpy as np
import pytest

from gendata import doctor, files
from gendata.errors import ProjectError, StoreError
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
from gendata.search.lookup import Lookup
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.head import Store, read_head
from gendata.store.rows import Artifacts

SOURCES = {
    "a": {"kind": "folder", "origin": "real", "path": "a"},
    "b": {"kind": "folder", "origin": "generated", "path": "b"},
}


def unit(seed, dim=8):
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return (vector / np.linalg.norm(vector)).tolist()


def write_source(root, name, origin, texts, images=0, label=None):
    """Shards of every stage for one source; every second text is dropped as a copy of the one before."""
    items = [
        Item(modality="text", uri=f"t{i}.txt", media_type="text/plain", text=t, label=label)
        for i, t in enumerate(texts)
    ]
    items += [
        Item(modality="image", uri=f"i{i}.png", media_type="image/png", data=f"{name}{i}".encode(), text=f"picture {i}")
        for i in range(images)
    ]
    rows = [i.row(name, origin, "CC0-1.0") for i in items]
    files.write_table(root / "ingest" / name / "items" / "00000.parquet", rows, ITEM_SCHEMA)
    reject = {"source": name, "uri": "bad.txt", "stage": "ingest", "reason": "empty", "detail": "0 bytes"}
    files.write_table(root / "ingest" / name / "rejected.parquet", [reject], REJECT_SCHEMA)
    decisions, tags, vectors = [], [], []
    for n, row in enumerate(rows):
        kept = row["modality"] == "image" or n % 2 == 0
        keeper = row["id"] if kept else rows[n - 1]["id"]
        decisions.append(
            {"id": row["id"], "source": name, "uri": row["uri"], "kept": kept, "reason": None if kept else "near-text"}
            | {"kept_id": keeper, "score": 0.9, "group": keeper, "copies": 1, "conflict_id": None}
        )
        if not kept:
            continue
        tags.append({f.name: None for f in TAG_SCHEMA} | {"id": row["id"], "split": "train", "lang": "en"})
        if row["modality"] == "image":
            vectors.append({"id": row["id"], "part": 0, "start": None, "end": None, "vector": unit(n, 4)})
        text = row["text"]
        vectors.append({"id": row["id"], "part": 1, "start": 0, "end": len(text), "vector": unit(n)})
    files.write_table(root / "embed" / name / "rejected.parquet", [], REJECT_SCHEMA)
    files.write_table(root / "dedup" / name / "00000.parquet", decisions, DECISION_SCHEMA)
    files.write_table(root / "tag" / name / "00000.parquet", tags, TAG_SCHEMA)
    files.write_table(root / "embed" / name / "00000.parquet", vectors, VECTOR_SCHEMA)
    return rows


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "artifacts"
    write_source(folder, "a", "real", [f"real text {i}" for i in range(6)], images=2)
    write_source(folder, "b", "generated", [f"made text {i}" for i in range(4)])
    return folder


def artifacts(root, *names):
    return Artifacts(root / "ingest", root / "dedup", root / "tag", root / "embed", names or ("a", "b"))


def make(root, *names):
    chosen = {n: SOURCES[n] for n in names or ("a", "b")}
    return build(artifacts(root, *chosen), chosen, root / "store", StoreParams())


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
