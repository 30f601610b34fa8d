"""The ledger as tables: typed also where it is empty, read for those statements alone that need it."""

import json

import pyarrow as pa
import pytest

from gendata.errors import StoreError
from gendata.records.catalog import SCHEMAS, ledger_tables
from gendata.records.ledger import Ledger
from gendata.records.manifest import MANIFEST_SCHEMA, Manifest
from gendata.search import sql

ALL = "SELECT 1 FROM manifests, manifest_items, checkpoints, runs"


def manifest(count, where="true"):
    rows = [
        {"id": f"{i:064x}", "source": "ab"[i % 2], "uri": f"{i}", "modality": "text", "label": None}
        | {"text_sha256": None, "origin": "real", "split": "train" if i else "test", "license": "MIT" if i else None}
        for i in range(count)
    ]
    return Manifest.of({"where": where, "allow_origins": ["unknown"]}, pa.Table.from_pylist(rows, MANIFEST_SCHEMA))


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path)
    made.keep_manifest(manifest(4))
    made.keep_manifest(manifest(2, "false"))
    facts = {"steps": 7, "parameters": 9, "figures": {"valid/loss": 0.5}, "gendata": "1"}
    made.keep_checkpoint({"checkpoint_id": "a" * 64, "family": "toy", "manifest_id": manifest(4).id, **facts})
    made.keep_checkpoint({"checkpoint_id": "b" * 64, "family": "gpt", "manifest_id": manifest(2).id, "external": True})
    made.keep_run({"family": "toy", "run_id": "abcd", "checkpoint_id": "a" * 64})
    return made


def read(root, statement):
    tables = ledger_tables(root, statement)
    return {n: t if isinstance(t, pa.Table) else t.read_all() for n, t in tables.items()}


def test_the_tables_are_typed_without_a_ledger(tmp_path):
    tables = read(tmp_path, ALL)
    assert {name: table.schema for name, table in tables.items()} == SCHEMAS
    assert all(table.num_rows == 0 for table in tables.values())
    assert tuple(SCHEMAS) == sql.LEDGER
    assert not (tmp_path / "records").exists()


def test_what_the_tables_say(ledger, tmp_path):
    tables = read(tmp_path, ALL)
    assert {name: table.schema for name, table in tables.items()} == SCHEMAS
    four = next(m for m in tables["manifests"].to_pylist() if m["manifest_id"] == manifest(4).id)
    assert (four["rows"], four["train_rows"], four["where"]) == (4, 3, "true")
    parsed = {name: json.loads(four[name]) for name in ("allow_origins", "sources", "licenses", "origins", "splits")}
    assert parsed == {
        "allow_origins": ["unknown"],
        "sources": {"a": 2, "b": 2},
        "licenses": {"": 1, "MIT": 3},
        "origins": {"real": 4},
        "splits": {"test": 1, "train": 3},
    }
    toy, gpt = tables["checkpoints"].to_pylist()
    assert (toy["steps"], toy["parameters"], toy["external"], json.loads(toy["figures"])) == (
        7,
        9,
        False,
        {"valid/loss": 0.5},
    )
    assert (gpt["steps"], gpt["external"], json.loads(gpt["card"])["family"]) == (None, True, "gpt")
    (run,) = tables["runs"].to_pylist()
    assert {k: v for k, v in run.items() if v} == {"run_id": "abcd", "family": "toy", "checkpoint_id": "a" * 64}
    for made in (manifest(4), manifest(2, "false")):
        rows = [r for r in tables["manifest_items"].to_pylist() if r.pop("manifest_id") == made.id]
        assert rows == made.rows.to_pylist()


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("SELECT 1 FROM items", None),
        ("FROM Checkpoints", {"checkpoints": 2, "manifests": 0, "manifest_items": 0, "runs": 0}),
        ('FROM "manifest_items"', {"checkpoints": 0, "manifests": 0, "manifest_items": 6, "runs": 0}),
        ("show tables", dict.fromkeys(SCHEMAS, 0)),
        ("SELECT checkpoints_a FROM x", None),
    ],
)
def test_only_what_is_mentioned_is_read(ledger, tmp_path, statement, rows):
    assert {n: t.num_rows for n, t in read(tmp_path, statement).items()} == (rows or {})


@pytest.mark.parametrize(
    ("path", "content", "statement"),
    [
        ("checkpoints/" + "c" * 64 + ".json", b"{", "FROM checkpoints"),
        ("checkpoints/" + "c" * 64 + ".json", b'{"steps": "many"}', "FROM checkpoints"),
        ("manifests/" + "c" * 64 + ".parquet", b"PAR1", "FROM manifests"),
        ("manifests/" + "c" * 64 + ".parquet", b"PAR1", "FROM manifest_items"),
    ],
)
def test_a_broken_file_is_an_error_of_one_line(ledger, tmp_path, path, content, statement):
    (ledger.folder / path).write_bytes(content)
    with pytest.raises(StoreError) as error:
        read(tmp_path, statement)
    assert "\n" not in str(error.value)
