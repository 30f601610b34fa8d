"""What a row is, by brute force, in tables that were written to in every way."""

import hashlib

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gendata.search.directory import Directory, keys_of

changes = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=8)),
        st.tuples(st.just("delete"), st.sets(st.integers(0, 9), min_size=1, max_size=3)),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=6,
)


def id_of(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def key_of(*numbers):
    return np.array([int(id_of(number)[:16], 16) for number in numbers], np.uint64)


def rows_of(pairs):
    schema = pa.schema([pa.field("id", pa.string(), False), pa.field("part", pa.int32(), False)])
    return pa.Table.from_pylist([{"id": id_of(number), "part": part} for number, part in pairs], schema)


@settings(deadline=None)
@given(changes=changes)
def test_directory_equals_the_table(tmp_path_factory, changes):
    database = lancedb.connect(tmp_path_factory.mktemp("directory"))
    table = database.create_table("t", rows_of([(n, p) for n in range(10) for p in range(2)]))
    for what, value in changes:
        if what == "add":
            table.add(rows_of(value))
        elif what == "delete":
            table.delete(" OR ".join(f"id = '{id_of(number)}'" for number in sorted(value)))
        else:
            table.optimize()
    opened = table.to_lance()
    directory = Directory.read(opened)
    rows = opened.to_table(columns=["id", "part"], with_row_id=True)
    ids, parts = rows["id"].to_pylist(), rows["part"].to_pylist()
    assert [f"{key:016x}" for key in directory.keys.tolist()] == [i[:16] for i in ids]
    assert directory.parts.tolist() == parts
    shuffled = np.random.default_rng(0).permutation(len(ids))
    row_ids = rows["_rowid"].to_numpy()[shuffled]
    assert directory.places(row_ids).tolist() == shuffled.tolist()
    assert directory.rows(shuffled).tolist() == row_ids.tolist()
    taken = opened.take(shuffled.tolist(), columns=["id", "part"]) if len(ids) else rows
    assert taken["id"].to_pylist() == [ids[n] for n in shuffled]
    for number in range(11):
        key = key_of(number)
        expected = [place for place, one in enumerate(ids) if one == id_of(number)]
        assert directory.of(key).tolist() == expected
        assert directory.parts_of(key).keys() == {(int(key[0]), parts[place]) for place in expected}
        assert all(place in expected and parts[place] == part for (_, part), place in directory.parts_of(key).items())
    expected = [place for place, one in enumerate(ids) if one in {id_of(3), id_of(1), id_of(7)}]
    assert directory.of(key_of(3, 1, 7)).tolist() == expected
    assert directory.of(key_of()).tolist() == []


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_keys_are_in_the_order_of_ids(kind):
    ids = sorted(map(id_of, range(200)))
    keys = keys_of(pa.array(["f" * 64, *ids], kind).slice(1))
    assert keys.dtype == np.uint64
    assert (np.diff(keys.astype(object)) > 0).all()
    assert len(keys_of(pa.array([], kind))) == 0
