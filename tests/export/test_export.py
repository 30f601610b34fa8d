"""What an export is beside its rows: deterministic, whole or not at all, guarded, recorded."""

import hashlib
import json
import sys
import tarfile

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gendata.errors import ProjectError, QueryError, StoreError
from gendata.export import FORMATS, parquet, webdataset
from gendata.export import rows as rows_module
from gendata.export.choice import Choice
from gendata.export.folder import whole
from gendata.export.names import UNLABELLED, label_folder, safe_name
from gendata.export.rows import read_rows
from gendata.records.ledger import Ledger
from gendata.records.manifest import Manifest, read_manifest
from gendata.select.contents import Contents
from gendata.select.guard import OriginError


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_choice_gives_the_same_bytes(shop, everything, exports, name, tmp_path):
    record = shop.export_manifest(tmp_path / "elsewhere", name, everything, origin="real")
    assert tree(tmp_path / "elsewhere") == tree(exports / name)
    assert record == json.loads((exports / f"{name}.json").read_text())
    assert not [p for p in tmp_path.iterdir() if p.name not in {"elsewhere", "records"}]


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_is_kept_in_the_ledger(shop, exports, name):
    record = json.loads((exports / f"{name}.json").read_text())
    beside, ledger = read_manifest(exports / name / "manifest.parquet"), Ledger(exports)
    assert beside.id == record["manifest_id"] == ledger.manifest(beside.id).id
    assert not list(ledger.check())
    kept = {r["export_id"]: r for r in ledger.all("exports")}[record["export_id"]]
    assert kept == record | {"schema": 1}
    expected = shop.real("image" if name == "imagefolder" else None)
    assert set(beside.rows["id"].to_pylist()) == expected.keys()
    assert record["rows"] == len(expected)
    assert record["left_out"] == ({"not-image": len(shop.real()) - len(expected)} if name == "imagefolder" else {})
    files = [p for p in (exports / name).rglob("*") if p.is_file()]
    assert (record["files"], record["bytes"]) == (len(files), sum(p.stat().st_size for p in files))


@pytest.mark.parametrize(
    ("choice", "origins"),
    [
        ({}, {"real"}),
        ({"origin": "any"}, {"real", "generated", "unknown"}),
        ({"where": "label = '3'", "origin": "generated"}, {"generated"}),
        ({"where": "label = '3'", "origin": "any"}, {"real", "generated"}),
    ],
)
def test_origins_that_were_asked_for(shop, tmp_path, choice, origins):
    record = shop.export(tmp_path / "out", "jsonl", **choice)
    texts = (path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("*.jsonl"))
    rows = [json.loads(line) for text in texts for line in text.removesuffix("\n").split("\n")]
    assert {row["origin"] for row in rows} == origins
    assert {row["id"]: row["origin"] for row in rows} == {row["id"]: shop.items[row["id"]]["origin"] for row in rows}
    allowed = Ledger(tmp_path).manifest(record["manifest_id"]).selection["allowed"]
    assert set(allowed) == origins - {"real"}
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert all(f"| {origin} |" in card for origin in origins)


def test_generated_rows_are_refused_unless_asked_for(shop, everything, tmp_path):
    with pytest.raises(OriginError, match=r"refused, since 1 of 3 .*1 generated from made.*generated with --origin"):
        shop.export(tmp_path / "out", "parquet", where="label = '3'")
    with pytest.raises(OriginError, match="3 of 25 rows are not real"):
        shop.export_manifest(tmp_path / "out", "parquet", everything)
    assert not (tmp_path / "out").exists()
    assert shop.export_manifest(tmp_path / "all", "csv", everything, origin="any")["manifest_id"] == everything.id
    record = shop.export(tmp_path / "part", "csv", manifest=everything.id[:8], origin="generated", splits=("train",))
    part = Ledger(tmp_path).manifest(record["manifest_id"])
    assert part.selection["manifest"] == everything.id
    assert set(part.rows["origin"].to_pylist()) == {"generated"}


def test_splits_and_licenses_narrow(shop, everything, tmp_path):
    narrow = {"origin": "real", "splits": ("test",), "licenses": ("MIT",)}
    record = shop.export_manifest(tmp_path / "out", "csv", everything, **narrow)
    rows = Ledger(tmp_path).manifest(record["manifest_id"]).rows
    expected = {i for i, r in shop.real().items() if (r["split"], r["license"]) == ("test", "MIT")}
    assert set(rows["id"].to_pylist()) == expected != set()


@pytest.mark.parametrize(
    ("format_", "choice", "message"),
    [
        ("xml", {}, "format 'xml' is none of parquet, jsonl"),
        ("csv", {"where": "label ="}, "syntax error"),
        ("csv", {"where": "label = 'none'"}, "the selection matches no item"),
        ("csv", {"splits": ("dev",)}, "none of the 22 items found has the origin, split"),
        ("imagefolder", {"where": "modality = 'text' AND origin = 'real'"}, "none of the 8 found is one"),
        ("csv", {"manifest": "abcd1234"}, "no manifest abcd1234"),
        ("csv", {"manifest": "abcd1234", "where": "true"}, "a condition or a manifest, not both"),
        ("csv", {"origin": "fake"}, "origin 'fake' is none of"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(shop, tmp_path, format_, choice, message):
    with pytest.raises(QueryError, match=message):
        shop.export(tmp_path / "out", format_, **choice)
    assert not [p for p in tmp_path.iterdir() if p.name != "records"]


def test_a_destination_that_is_taken_stays_as_it_is(shop, everything, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "full")
    for name in ("file", "full", "link"):
        with pytest.raises(QueryError, match=r"is not empty|is not a folder"):
            shop.export(tmp_path / name, "csv")
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    shop.export_manifest(tmp_path / "empty", "csv", everything, origin="any")
    assert (tmp_path / "empty" / "manifest.parquet").is_file()


def test_nothing_is_left_of_an_export_that_fails(shop, everything, tmp_path):
    rows, at = everything.rows, everything.rows.schema.get_field_index("text_sha256")
    digests = [["0" * 64 if digest else None for digest in rows["text_sha256"].to_pylist()]]
    stale = Manifest.of(everything.selection, rows.set_column(at, rows.schema.field(at), digests))
    with pytest.raises(StoreError, match="its text changed since the manifest"):
        shop.export_manifest(tmp_path / "out", "webdataset", stale, origin="any")
    assert [p.name for p in tmp_path.iterdir()] == ["records"]
    assert not list(Ledger(tmp_path).all("exports"))


def test_what_a_kill_left_is_replaced_and_another_export_is_waited_for_by_nobody(tmp_path):
    left = tmp_path / ".out.part" / "data"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    with whole(tmp_path / "out") as part:
        assert list(part.iterdir()) == []
        (part / "file").write_text("whole")
        with pytest.raises(QueryError, match="another export writes there"), whole(tmp_path / "out"):
            pass
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "file").read_text() == "whole"


def test_without_the_library_hf_says_what_to_install(shop, everything, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ProjectError, match=r"pip install 'gendata\[export\]'"):
        shop.export_manifest(tmp_path / "out", "hf", everything, origin="any")
    assert not (tmp_path / "out").exists()


def test_large_exports_are_cut_into_files(shop, everything, exports, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 2)
    monkeypatch.setattr(parquet, "_FILE_BYTES", 1)
    monkeypatch.setattr(webdataset, "_SHARD_BYTES", 1)
    shop.export_manifest(tmp_path / "p", "parquet", everything, origin="real")
    assert len(list((tmp_path / "p" / "data").glob("train-*.parquet"))) > 2
    cut, whole = (pq.read_table(folder / "data").sort_by("id") for folder in (tmp_path / "p", exports / "parquet"))
    assert cut.equals(whole)
    shop.export_manifest(tmp_path / "w", "webdataset", everything, origin="real")
    shards = sorted((tmp_path / "w").glob("*/*.tar"))
    assert len(shards) == len(shop.real())
    names = set()
    for shard in shards:
        with tarfile.open(shard) as tar:
            names |= {name.partition(".")[0] for name in tar.getnames()}
    assert names == shop.real().keys()


def test_a_manifest_in_any_order_reads_its_own_rows(shop, everything, monkeypatch):
    monkeypatch.setattr(rows_module, "_BLOCK", 4)
    monkeypatch.setattr(rows_module, "_FIRST", 3)
    order = np.random.default_rng(0).permutation(everything.rows.num_rows)
    manifest = Manifest.of(everything.selection, everything.rows.take(order))
    read = [row for table in read_rows(Contents(manifest, shop.stores), shop.stores) for row in table.to_pylist()]
    assert [row["id"] for row in read] == manifest.rows["id"].to_pylist()
    for row in read:
        item = shop.items[row["id"]]
        assert all(row[name] == item[name] for name in row if name != "meta")
        assert json.loads(row["meta"]) == json.loads(item["meta"])


def test_large_items_are_read_a_few_at_a_time(shop, everything, monkeypatch):
    monkeypatch.setattr(rows_module, "_FIRST", 2)
    monkeypatch.setattr(rows_module, "_BYTES", 1)
    manifest = Manifest.of({}, everything.rows.filter(pc.equal(everything.rows["source"], "photos")))
    sizes = [table.num_rows for table in read_rows(Contents(manifest, shop.stores), shop.stores)]
    assert sizes == [2, *[1] * (manifest.rows.num_rows - 2)]


def test_the_front_matter_is_what_the_hub_reads(exports):
    front = YAML(typ="safe").load((exports / "parquet" / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front["license"] == ["cc0-1.0", "mit"]
    assert front["size_categories"] == ["n<1K"]
    assert front["tags"] == ["gendata", "origin-real"]
    assert front["configs"][0]["data_files"] == [
        {"split": "test", "path": "data/test-*.parquet"},
        {"split": "train", "path": "data/train-*.parquet"},
    ]


@given(st.from_regex(r"[0-9a-f]{64}\.[a-z0-9]{1,5}", fullmatch=True), st.integers(0, 8**11 - 1))
def test_headers_of_shards_are_those_of_tarfile(name, size):
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    assert webdataset._header(name, size) == info.tobuf(tarfile.USTAR_FORMAT)


NAMES = st.one_of(
    st.text(max_size=300), st.sampled_from([".", "..", "/", "a/b", UNLABELLED, "%5Funlabelled", "x" * 400])
)


@given(NAMES, NAMES)
def test_names_of_labels_are_safe_and_distinct(one, two):
    for name in map(label_folder, (one, two)):
        assert 0 < len(name.encode()) <= 255
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name not in {".", ".."}
        assert name == name.strip()
    assert (label_folder(one) == label_folder(two)) == (one == two)


def test_a_label_that_no_name_can_hold_keeps_its_meaning():
    assert [label_folder(x) for x in (None, "", "a/b", "..", "7", "two words")] == [
        UNLABELLED, UNLABELLED, "a%2Fb", "%2E%2E", "7", "two words",
    ]  # fmt: skip
    assert safe_name("data") != "data"


def test_a_choice_knows_what_it_allows():
    assert [Choice(origin=o).allowed for o in (None, "real", "generated", "any")] == [
        (), (), ("generated",), ("generated", "unknown"),
    ]  # fmt: skip
