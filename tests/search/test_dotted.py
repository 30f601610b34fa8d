"""Dots after columns of JSON: values with their types, whatever the statement asks of them."""

import json

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.errors import QueryError
from gendata.search import dotted
from gendata.search.sql import run_sql, select_ids

METAS = [
    {"gen": {"model": "sdxl", "steps": 30, "cfg": 7.5, "seed": 2**64 - 1, "loras": [{"name": "a", "weight": 0.8}]}},
    {"gen": {"model": 3, "steps": "x", "cfg": 7.0, "seed": 2**53 + 1}},
    {"a b": {"it's/x~y": 5}, "n": None},
    {"gen": [1]},
    {"gen": {"model": "SDXL", "steps": 9}},
]


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as made:
        made.execute("CREATE TABLE items (id INTEGER, meta JSON, label VARCHAR)")
        made.executemany("INSERT INTO items VALUES (?, ?, 'x')", [[i, json.dumps(m)] for i, m in enumerate(METAS, 1)])
        made.execute("INSERT INTO items VALUES (6, NULL, 'x')")
        made.execute("CREATE TABLE own AS SELECT {'a': {'b': 3}} AS meta, 'meta' AS name")
        yield made


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("meta.gen.model = 'sdxl'", [1]),
        ("items.meta.gen.model = 'sdxl'", [1]),
        ('"meta"."gen".model <> \'sdxl\'', [2, 5]),
        ("meta.gen.model IN ('sdxl', 'SDXL')", [1, 5]),
        ("meta.gen.model NOT IN ('sdxl')", [2, 5]),
        ("meta.gen.model ILIKE 'sd%'", [1, 5]),
        ("lower(meta.gen.model) = 'sdxl'", [1, 5]),
        ("meta.gen.steps > 20", [1]),  # 9 is less as a number, and x is none
        ("20 < meta.gen.steps", [1]),
        ("meta.gen.steps = '30'", [1]),
        ("meta.gen.steps BETWEEN 5 AND 20", [5]),
        ("meta.gen.steps NOT IN (9, -1)", [1]),
        ("meta.gen.cfg = 7", [2]),
        ("meta.gen.cfg = 7.5", [1]),
        (f"meta.gen.seed = {2**64 - 1}", [1]),
        (f"meta.gen.seed = {2**53}", []),
        ("meta.gen.model IS NULL", [3, 4, 6]),
        ("meta.n IS NULL", [1, 2, 3, 4, 5, 6]),
        ("meta.gen.loras[1].name = 'a'", [1]),
        ("meta.gen.loras[1].weight = 0.8", [1]),
        ("meta['gen']['model'] = 'sdxl'", [1]),
        ('meta."a b"."it\'s/x~y" = 5', [3]),
        ("meta->>'$.gen.model' = 'sdxl'", [1]),  # as before
    ],
)
def test_conditions(connection, condition, ids):
    rows = dotted.bind(connection, f"SELECT id FROM items WHERE {condition} ORDER BY id").fetchall()
    assert [row[0] for row in rows] == ids


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT meta.gen.model, meta.gen.steps s FROM items WHERE id = 1", [{"model": "sdxl", "s": "30"}]),
        ("SELECT meta.gen.loras FROM items WHERE id = 1", [{"loras": '[{"name":"a","weight":0.8}]'}]),
        ("SELECT id FROM items WHERE id IN (1, 5) ORDER BY meta.gen.steps", [{"id": 5}, {"id": 1}]),
        ("SELECT avg(meta.gen.cfg) AS a FROM items", [{"a": 7.25}]),
        ("SELECT sum(meta.gen.steps) a, max(meta.gen.steps) b FROM items WHERE id <> 2", [{"a": 39.0, "b": "30"}]),
        ("SELECT meta.gen.cfg * 2 AS a, round(meta.gen.cfg) AS b FROM items WHERE id = 1", [{"a": 15.0, "b": 8.0}]),
        ("SELECT meta.gen.model FROM items GROUP BY meta.gen.model HAVING count(*) > 1", [{"model": None}]),
        ("SELECT round(meta.gen.cfg::DOUBLE * 2, 1) AS a FROM items WHERE id = 1", [{"a": 15.0}]),
        ("SELECT x.id FROM items x JOIN items y ON x.meta.gen.model = y.meta.gen.model AND y.id = 1", [{"id": 1}]),
        ("SELECT meta.id FROM items AS meta WHERE id = 1", [{"id": 1}]),  # the table, not the column
        ("SELECT own.meta.a.b > 2 AS more FROM own", [{"more": True}]),  # a column that is no JSON
        ("SELECT id AS \"a\"\"b\", meta.n AS \"c,d\" FROM items LIMIT 1", [{'a"b': 1, "c,d": None}]),
    ],
)  # fmt: skip
def test_statements(connection, sql, rows):
    assert dotted.bind(connection, sql).to_arrow_table().to_pylist() == rows


def test_a_column_that_is_not_json_is_named(connection):
    with pytest.raises(duckdb.BinderException, match="Cannot extract field 'gen' from expression \"label\""):
        dotted.bind(connection, "SELECT id FROM items WHERE label.gen.model = 'x'")


@given(st.text(max_size=6), st.integers(-(2**60), 2**60) | st.text(max_size=6) | st.decimals(-1000, 1000, places=3))
def test_any_key_and_value_is_found_by_itself(key, value):
    key, text = key.replace("\0", ""), str(value).replace("\0", "")
    literal = "'" + text.replace("'", "''") + "'" if isinstance(value, str) else text
    stored = text if isinstance(value, str) else float(value) if "." in text else value
    name = '"' + key.replace('"', '""') + '"'
    if not key:  # SQL has no empty names
        return
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE items (meta JSON)")
        connection.execute("INSERT INTO items VALUES (?)", [json.dumps({"gen": {key: stored}})])
        found = dotted.bind(connection, f"SELECT count(*) AS n FROM items WHERE meta.gen.{name} = {literal}").fetchall()
    assert found == [(1,)]


def test_in_the_sandbox(shelf):
    assert run_sql("SELECT sum(meta.a) AS n FROM items WHERE meta.a = 1", shelf.stores).to_pylist()[0]["n"] > 100
    every = select_ids("id IS NOT NULL", shelf.stores)
    some = select_ids("meta.a = 1 AND meta.a < 1.5", shelf.stores, stable=True)
    assert {name: len(ids) for name, ids in some.items()} == {name: len(ids) for name, ids in every.items()}
    assert not any(len(ids) for ids in select_ids("meta.gen.model = 'sdxl'", shelf.stores).values())
    with pytest.raises(QueryError, match="Cannot extract field 'gen' from expression \"label\""):
        select_ids("label.gen.model = 'x'", shelf.stores)
