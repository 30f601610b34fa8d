"""Stores built from shards: what they hold, how HEAD switches, what doctor sees."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import duckdb
import lancedb
import numpy as np
import pytest
from shards import SOURCES, make, write_source

from gendata import doctor, files
from gendata.errors import ProjectError, StoreError
from gendata.search import search
from gendata.search.lookup import Lookup
from gendata.store.head import Store, read_head, write_head


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "artifacts"
    write_source(folder, "a", "real", [f"real text {i}" for i in range(6)], images=2)
    write_source(folder, "b", "generated", [f"made text {i}" for i in range(4)])
    return folder


def test_real_takes_real_rows_and_nothing_else(root, anywhere):
    record = make(root)
    assert (record["real"]["items"], record["real"]["passages"], record["real"]["images"]) == (5, 5, 2)
    assert (record["other"]["items"], record["other"]["images"]) == (2, 0)
    assert record["real"]["rejected_by_reason"] == {"empty": 1, "near-text": 3}
    for name, origins in (("real", {"real"}), ("other", {"generated"})):
        store = Store.open(root / "store" / name)
        for table in store.head.lance:
            assert {r["origin"] for r in store.table(table).to_table().to_pylist()} == origins


def test_store_json_depends_on_content_alone(root, tmp_path, anywhere):
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


def test_a_removed_source_is_gone_and_a_store_without_sources_is_not_there(root, anywhere):
    make(root)
    record = make(root, "a")
    assert record["other"]["items"] == 0
    assert read_head(root / "store" / "other") is None
    with pytest.raises(ProjectError, match="not built"):
        Store.open(root / "store" / "other")


def test_a_reader_keeps_its_view_while_the_store_is_rebuilt(root, anywhere):
    make(root)
    reader = Store.open(root / "store" / "real")
    before = sorted(r["id"] for r in reader.table("items").to_table().to_pylist())
    write_source(root, "a", "real", [f"quite new text {i}" for i in range(20)])
    make(root)
    assert sorted(r["id"] for r in reader.table("items").to_table().to_pylist()) == before
    assert reader.table("passages").to_table(full_text_query="real", limit=5).num_rows
    assert reader.catalog.is_file()
    assert Store.open(root / "store" / "real").table("items").count_rows() == 10


def test_blobs_texts_and_passages_come_back(root, anywhere):
    make(root)
    lookup = Lookup({"real": Store.open(root / "store" / "real")})
    image = hashlib.sha256(b"a1").hexdigest()
    assert lookup.content(image) == (b"a1", "image/png")
    assert lookup.resolve(image[:10]) == image
    item = lookup.item(image)
    assert (item["source"], item["text"], item["split"]) == ("a", "picture 1", "train")
    rows = Store.open(root / "store" / "real").table("passages").to_table().to_pylist()
    assert {r["text"] for r in rows} == {"real text 0", "real text 2", "real text 4", "picture 0", "picture 1"}


def test_dropped_rows_say_how_like_they_are_and_of_which_file(root, anywhere):
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


def _no_catalog(store):
    (store / read_head(store).catalog).unlink()


def _junk_catalog(store):
    (store / read_head(store).catalog).write_bytes(b"junk")


def _changed_label(store):
    with duckdb.connect(str(store / read_head(store).catalog)) as connection:
        connection.execute("UPDATE items SET label = 'tampered' WHERE uri = 't0.txt'")


def _empty_manifest(store):
    _newest(store / "lance" / "items.lance" / "_versions").write_bytes(b"")


def _empty_data_file(store):
    next((store / "lance" / "items.lance" / "data").glob("*.lance")).write_bytes(b"")


def _empty_index_file(store):
    for path in (store / "lance" / "passages.lance" / "_indices").rglob("*tokens*"):
        path.write_bytes(b"")


def _head_of(**values):
    def write(store):
        head = read_head(store)
        (store / "HEAD.json").write_text(
            json.dumps({"schema": 1, "catalog": head.catalog, "lance": head.lance} | values)
        )

    return write


DAMAGES = {
    "truncated head": lambda store: (store / "HEAD.json").write_text(""),
    "head of other types": _head_of(catalog=5, lance=7),
    "head of other versions": _head_of(lance={"items": "1"}),
    "no catalog": _no_catalog,
    "junk catalog": _junk_catalog,
    "changed label": _changed_label,
    "empty manifest": _empty_manifest,
    "no table": lambda store: os.rename(store / "lance" / "passages.lance", store / "lance" / "gone"),
    "empty data file": _empty_data_file,
    "empty index file": _empty_index_file,
    "foreign row": lambda store: _plant(store),
    "no folder": shutil.rmtree,
    "no store.json": lambda store: (store / "store.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_doctor_finds_damage_and_repairs_it(project, damage):
    DAMAGES[damage](project / "artifacts" / "store" / "real")
    findings = doctor.examine(project, ["a", "b"])
    assert findings
    assert all("\n" not in f.problem for f in findings)
    assert all(f.repaired for f in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


def test_doctor_finds_a_store_json_that_says_something_else(project):
    path = project / "artifacts" / "store" / "real" / "store.json"
    for content in ("{", "{}", "[]", path.read_text().replace('"items": 5', '"items": 6')):
        path.write_text(content)
        assert [f.where for f in doctor.examine(project, ["a", "b"])] == ["artifacts/store/real"]
    assert all(f.repaired for f in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


def test_doctor_finds_every_row_that_is_not_of_the_shards(project):
    """Written as Lance writes, with indexes brought up to date: nothing but the content is wrong."""
    changed = {
        "items": {"real text 0": {"source": "'b'"}, "picture 1": {"text": "'garbage'"}, "real text 2": {}},
        "passages": {
            "real text 0": {"text": "'garbage'"},
            "real text 2": {"origin": "'generated'"},
            "real text 4": {"part": "part + 7"},
            "picture 0": {},
        },
        "images": {None: {}},
    }
    store = project / "artifacts" / "store" / "real"
    head = read_head(store)
    for name, rows in changed.items():
        table = lancedb.connect(store / "lance").open_table(name)
        for text, values in rows.items():
            where = f"text = '{text}'" if text else f"id = '{hashlib.sha256(b'a1').hexdigest()}'"
            if values:
                table.update(where=where, values_sql=values)
            else:  # the same row twice
                table.add(table.to_lance().to_table(filter=where))
        table.optimize()
        table.checkout_latest()
        head.lance[name] = int(table.version)
    write_head(store, head)
    problems = " ".join(f.problem for f in doctor.examine(project, ["a", "b"]))
    for name, rows in changed.items():
        assert f"{name} differs from the shards in {len(rows)} items" in problems
    assert "passages holds rows of origin generated" in problems
    assert all(f.repaired for f in doctor.examine(project, ["a", "b"], repair=lambda line: None))
    assert doctor.examine(project, ["a", "b"]) == []


@pytest.mark.parametrize("table", ["items", "passages", "images"])
def test_rows_that_do_not_read_are_one_line(project, table):
    store = project / "artifacts" / "store" / "real"
    image = hashlib.sha256(b"a1").hexdigest()
    for path in (store / "lance" / f"{table}.lance" / "data").glob("*.lance"):
        os.truncate(path, 0)
    stores = {"real": Store.open(store)}
    with pytest.raises(StoreError, match=f"of table {table} is gone or cut short"):
        stores["real"].check()
    look = {"text": "real"} if table == "passages" else {"image": b"x"}
    ask = {"items": lambda: Lookup(stores).content(image)}.get(table, lambda: _ask(stores, **look))
    with pytest.raises(StoreError, match=r"does not read \(.*\); run `gendata doctor --repair`$"):
        ask()


def _ask(stores, text=None, image=None):
    return search(stores, text, image=image, encode_text=_one, encode_image=_one)


def _one(_):
    return np.ones(8 if isinstance(_, str) else 4, np.float32) / 8


def _plant(store: Path):
    """A generated row in the Lance table of the real store, as nobody should write it."""
    table = lancedb.connect(store / "lance").open_table("items")
    row = {
        "id": hashlib.sha256(b"fake").hexdigest(),
        "modality": "text",
        "origin": "generated",
        "source": "a",
        "uri": "x",
    }
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
