"""Manifests: the id is that of rows and selection, whatever their chunks; what was changed is refused."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.errors import StoreError
from gendata.records.manifest import MANIFEST_SCHEMA, Manifest, read_manifest, read_summary, write_manifest

SELECTION = {"where": "origin = 'real'", "allow_origins": []}


def row(number, **changed):
    made = {"id": f"{number:064x}", "source": "s", "uri": f"{number}.txt", "modality": "text", "label": None}
    return made | {"text_sha256": f"{number:064x}", "origin": "real", "split": "train", "license": "MIT"} | changed


def manifest(rows, selection=SELECTION):
    return Manifest.of(selection, pa.Table.from_pylist(rows, MANIFEST_SCHEMA))


ROWS = [row(1), row(2, split="valid"), row(3, license=None)]


@pytest.mark.parametrize(
    ("rows", "selection"),
    [
        ([row(1, label="seven"), *ROWS[1:]], SELECTION),
        ([row(1, text_sha256="0" * 64), *ROWS[1:]], SELECTION),
        ([row(1, text_sha256=None), *ROWS[1:]], SELECTION),
        ([row(1, origin="unknown"), *ROWS[1:]], SELECTION),
        ([row(1, split="test"), *ROWS[1:]], SELECTION),
        ([row(1, license=""), *ROWS[1:]], SELECTION),
        (ROWS[::-1], SELECTION),
        (ROWS[:2], SELECTION),
        ([*ROWS, ROWS[0]], SELECTION),
        (ROWS, SELECTION | {"where": "true"}),
        (ROWS, SELECTION | {"allow_origins": ["unknown"]}),
    ],
)
def test_every_change_is_another_manifest(rows, selection):
    assert manifest(rows, selection).id != manifest(ROWS).id


def test_the_order_of_keys_and_columns_is_none(tmp_path):
    shuffled = pa.Table.from_pylist(ROWS, MANIFEST_SCHEMA).select(MANIFEST_SCHEMA.names[::-1])
    assert Manifest.of(dict(reversed(SELECTION.items())), shuffled).id == manifest(ROWS).id


@given(st.lists(st.integers(0, 50), max_size=30), st.lists(st.integers(1, 7), max_size=8))
def test_chunks_do_not_matter(numbers, cuts):
    whole = pa.Table.from_pylist([row(n) for n in numbers], MANIFEST_SCHEMA)
    parts, at = [], 0
    for cut in [*cuts, len(numbers)]:
        parts.append(whole.slice(at, cut))
        at += cut
    assert Manifest.of(SELECTION, pa.concat_tables(parts)).id == Manifest.of(SELECTION, whole).id


def test_the_same_manifest_is_the_same_file(tmp_path):
    write_manifest(tmp_path / "a.parquet", manifest(ROWS))
    chunks = pa.concat_tables([pa.Table.from_pylist([r], MANIFEST_SCHEMA) for r in ROWS])
    write_manifest(tmp_path / "b.parquet", Manifest.of(SELECTION, chunks))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    read = read_manifest(tmp_path / "a.parquet")
    assert (read.id, read.selection) == (manifest(ROWS).id, SELECTION)
    assert read.rows.to_pylist() == ROWS
    assert read.split("valid").to_pylist() == [ROWS[1]]
    assert read_summary(tmp_path / "a.parquet") == read.summary()
    assert read.summary()["by"]["license"] == {"": 1, "MIT": 2}
    assert read.summary()["by"]["split"] == {"train": 2, "valid": 1}


def test_no_row_is_a_manifest_too(tmp_path):
    write_manifest(tmp_path / "a.parquet", manifest([]))
    assert read_manifest(tmp_path / "a.parquet").summary()["rows"] == 0


PLANTED = row(9, origin="generated", source="planted")


@pytest.mark.parametrize(
    "changed",
    [[*ROWS, PLANTED], ROWS[:2], [row(1, label="x"), *ROWS[1:]], [ROWS[0], ROWS[2], ROWS[1]], []],
    ids=["planted", "removed", "relabelled", "reordered", "emptied"],
)
def test_changed_rows_are_refused(tmp_path, changed):
    path = tmp_path / "m.parquet"
    write_manifest(path, manifest(ROWS))
    metadata = pq.read_schema(path).metadata
    pq.write_table(pa.Table.from_pylist(changed, MANIFEST_SCHEMA.with_metadata(metadata)), path)
    with pytest.raises(StoreError, match=rf"m\.parquet: its rows are not those of manifest {manifest(ROWS).id[:12]}"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "no manifest there"),
        (lambda path: path.write_bytes(b""), "not a manifest"),
        (lambda path: path.write_bytes(path.read_bytes()[:-20]), "not a manifest"),
        (lambda path: pq.write_table(pa.table({"id": ["a"]}), path), "not a manifest"),
        (lambda path: replace_metadata(path, b'{"schema": 2}'), "not a manifest of schema 1"),
        (lambda path: replace_metadata(path, b"{"), "not a manifest"),
    ],
)
def test_what_is_no_manifest(tmp_path, change, message):
    path = tmp_path / "m.parquet"
    write_manifest(path, manifest(ROWS))
    change(path)
    with pytest.raises(StoreError, match=rf"m\.parquet: {message}$"):
        read_manifest(path)


def replace_metadata(path, value):
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"gendata.manifest": value}), path)
