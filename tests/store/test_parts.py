"""Builds that read only the shards that changed: what they hold is what a build from nothing holds, in its order."""

import itertools
import os
import random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shards import artifacts, make, write_source

from gendata import files
from gendata.store import parquet
from gendata.store.catalog import write_catalog
from gendata.store.head import Head, Store, read_head, write_head
from gendata.store.parts import Before, joined, parts_of
from gendata.store.place import Folder

TEXTS = [f"{number} of amber and copper" for number in range(40)]


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "artifacts"
    write_source(folder, "a", "real", TEXTS, images=10, ends=(12, 24, 36))
    write_source(folder, "b", "generated", [f"made {i}" for i in range(12)], ends=(6,))
    return folder


def content(root, store="store"):
    """The tables of the real store: the catalog's in their order, those of Lance by id."""
    opened = Store.open(root / store / "real")
    rows = {name: opened.table(name).to_table().to_pylist() for name in opened.head.lance}
    with duckdb.connect(str(opened.catalog), read_only=True) as connection:
        catalog = {
            t: connection.sql(f"SELECT * FROM {t}").fetchall() for t in ("items", "rejected", "sources", "parts")
        }
    return {name: sorted(map(repr, some)) for name, some in rows.items()}, catalog


def known(root):
    """What the real store lets the next build copy: source and first row of each part."""
    before = Before.read(Folder(root / "store" / "real"), read_head(root / "store" / "real"))
    return [before.rows("items", part) is not None for part in parts_of(artifacts(root, "a"))]


def change(rng, texts, ends):
    """A row changed, rows added at an end or inside, removed, or shards cut elsewhere."""
    texts, at = list(texts), rng.randrange(len(texts))
    kind = rng.choice(["changed", "added", "inserted", "removed", "cut"])
    fresh = [f"{rng.random()} new" for _ in range(2)]
    if kind == "changed":
        texts[at] = fresh[0]
    elif kind == "added":
        texts += fresh
    elif kind == "inserted":
        texts[at:at] = fresh
    elif kind == "removed":
        del texts[at : at + 2]
    else:
        ends = tuple(sorted(rng.sample(range(1, len(texts)), 3)))
    return texts, ends


@pytest.mark.parametrize("seed", range(4))
def test_what_is_held_and_its_order_are_those_of_a_new_build(root, seed):
    make(root)
    rng, texts, ends = random.Random(seed), TEXTS, (12, 24, 36)
    for number in range(3):
        texts, ends = change(rng, texts, ends)
        write_source(root, "a", "real", texts, images=10, ends=ends)
        sources = ("a",) if rng.random() < 0.2 else ("a", "b")
        record = make(root, *sources)
        assert make(root, *sources, store=f"anew-{number}") == record
        assert content(root) == content(root, f"anew-{number}")


def test_shards_that_did_not_change_are_known(root):
    make(root)
    assert known(root) == [True, True, True, True, True]  # those that could not be read, and four shards
    write_source(root, "a", "real", [*TEXTS[:14], "another", *TEXTS[15:]], images=10, ends=(12, 24, 36))
    assert known(root) == [True, True, False, True, True]
    write_source(root, "a", "real", [TEXTS[0], *TEXTS[1:]], images=11, ends=(12, 24, 36))
    assert known(root) == [True, True, True, True, False]


@pytest.mark.parametrize("stage", ["ingest", "dedup", "tag", "embed"])
def test_a_file_of_any_stage_makes_its_shard_a_new_one(root, stage):
    make(root)
    path = root / stage / "a" / ("items/00001.parquet" if stage == "ingest" else "00001.parquet")
    table = files.read_table(path)
    column = {"ingest": "label", "dedup": "copies", "tag": "lang", "embed": "part"}[stage]
    new = pa.array([7 if pa.types.is_integer(table[column].type) else "x"] * len(table), table[column].type)
    table = table.set_column(table.schema.get_field_index(column), table.schema.field(column), new)
    files.write_table(path, table.to_pylist(), table.schema)
    assert known(root) == [True, True, False, True, True]
    record = make(root)
    assert make(root, store="anew") == record
    assert content(root) == content(root, "anew")


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 255]))


@pytest.mark.parametrize("damage", [cut, flip, os.remove])
def test_a_catalog_that_is_not_whole_is_not_copied_from(root, damage):
    make(root)
    damage(root / "store" / "real" / read_head(root / "store" / "real").catalog)
    assert not any(known(root))
    make(root, store="anew")
    make(root)
    assert content(root) == content(root, "anew")


def test_a_catalog_of_an_earlier_release_is_not_copied_from(root):
    """It has no table of parts."""
    make(root)
    store = root / "store" / "real"
    head = read_head(store)
    with duckdb.connect(str(store / head.catalog)) as connection:
        connection.execute("DROP TABLE parts")
    renamed = f"catalog-{files.sha256(store / head.catalog)[:16]}-0.duckdb"
    (store / head.catalog).rename(store / renamed)
    write_head(store, Head(renamed, head.lance))
    assert not any(known(root))
    make(root)
    assert all(known(root))


def test_rows_of_a_file_that_was_cut_short_are_written_anew(root):
    make(root)
    (data,) = (root / "store" / "real" / "lance" / "passages.lance" / "data").iterdir()
    cut(data)
    make(root, store="anew")
    make(root)
    assert content(root) == content(root, "anew")


def test_rows_are_copied_from_large_tables_by_their_place(tmp_path):
    """DuckDB keeps 122,880 rows in a group; the copy must be right across groups, and in order."""
    schema = pa.schema([("source", pa.string()), *((n, pa.string()) for n in ("kind", "origin", "license"))])

    def rows(start, stop):
        numbers = pa.array([str(n) for n in range(start, stop)])
        return pa.table(dict.fromkeys(schema.names, numbers), schema)

    pieces = [rows(at, at + 7000) for at in range(0, 280_000, 7000)]
    write_catalog(tmp_path / "a", {"sources": (schema, pieces)})
    asked = [range(130_000), rows(-3, 0), range(200_000, 280_000), range(150_000, 150_001)]
    write_catalog(tmp_path / "b", {"sources": (schema, asked)}, tmp_path / "a")
    with duckdb.connect(str(tmp_path / "b"), read_only=True) as connection:
        found = [int(row[0]) for row in connection.execute("SELECT source FROM sources").fetchall()]
    assert found == [*range(130_000), -3, -2, -1, *range(200_000, 280_000), 150_000]


spans = st.lists(st.one_of(st.integers(0, 3), st.just("table")))


@given(spans)
def test_ranges_that_follow_each_other_are_joined(some):
    at, row = 0, pa.table({"n": [0]})
    rows = [row if what == "table" else range(at, at := at + what) for what in some]
    found = list(joined(rows))
    numbers = [n for r in found if isinstance(r, range) for n in r]
    assert numbers == list(range(at))
    assert [r for r in found if isinstance(r, pa.Table)] == [r for r in rows if isinstance(r, pa.Table)]
    for one, two in itertools.pairwise(found):
        assert not (isinstance(one, range) and isinstance(two, range))


def test_the_digest_of_a_file_leaves_out_one_column_and_nothing_else(tmp_path):
    path = tmp_path / "some.parquet"
    rows = pa.table({"id": ["a", "b"] * 600, "data": [b"x", b"yy"] * 600, "text": ["one", "two"] * 600})
    files.write_table(path, rows.to_pylist(), rows.schema)
    metadata = pq.read_metadata(path)
    chunks = [metadata.row_group(number).column(1) for number in range(metadata.num_row_groups)]
    assert len(chunks) > 1
    starts = [c.dictionary_page_offset or c.data_page_offset for c in chunks]
    inside = {
        at for c, start in zip(chunks, starts, strict=True) for at in range(start, start + c.total_compressed_size)
    }
    whole, content = parquet.digest(path, but="data"), path.read_bytes()
    assert parquet.digest(path) == files.sha256(path)
    for at in range(4, len(content) - metadata.serialized_size - 8):
        path.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        assert (parquet.digest(path, but="data") == whole) == (at in inside)
