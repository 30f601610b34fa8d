"""``search(...)`` in SQL: found wherever it stands, evaluated with its arguments, joined as a table."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from search.shelves import encode

from gendata.cli import cli
from gendata.errors import QueryError
from gendata.search import search
from gendata.search.calls import find
from gendata.search.expand import expand
from gendata.search.sql import run_sql


def ask(stores, sql, said=None):
    def run(text, **options):
        result = search(stores, text, encode_text=encode, **options)
        if said is not None:
            said.extend(result.messages)
        return result

    bound, tables = expand(sql, stores, run)
    return run_sql(bound, stores, tables=tables).to_pylist()


def test_hits_are_rows_in_order(shelf):
    rows = ask(shelf.stores, "SELECT * FROM search('river stone', k := 7) ORDER BY rank")
    hits = search(shelf.stores, "river stone", encode_text=encode, n=7).hits
    assert [(r["id"], r["score"], r["snippet"], r["store"]) for r in rows] == [
        (h.id, h.score, h.text, h.store) for h in hits
    ]
    assert [r["rank"] for r in rows] == list(range(1, 8))


def test_hits_join_the_items_without_prefixes(shelf):
    rows = ask(
        shelf.stores, "SELECT id, rank, source, quality FROM search('stone') JOIN items USING (id) ORDER BY rank"
    )
    assert len(rows) == 10
    assert all(r["source"] and r["quality"] is not None for r in rows)


def test_arguments_are_those_of_search(shelf):
    sql = "SELECT id FROM search('stone', k => 5, mode := 'keyword', origin := 'real', condition := 'quality < 2')"
    hits = search(shelf.stores, "stone", mode="keyword", origin="real", where="quality < 2", n=5).hits
    assert [r["id"] for r in ask(shelf.stores, sql)] == [h.id for h in hits]


def test_calls_stand_anywhere_and_as_often_as_one_likes(shelf):
    sql = """
        WITH é AS (SELECT 'ü' AS word, id FROM search('stone', k := 20) s)
        SELECT a.id FROM é a JOIN search('river', k := 20) AS b ON a.id = b.id
        WHERE a.id IN (SELECT id FROM search('stone river', k := 50)) -- search('no call')
        ORDER BY a.id"""
    found = [{h.id for h in search(shelf.stores, q, encode_text=encode, n=20).hits} for q in ("stone", "river")]
    both = {h.id for h in search(shelf.stores, "stone river", encode_text=encode, n=50).hits}
    assert [r["id"] for r in ask(shelf.stores, sql)] == sorted(found[0] & found[1] & both)


def test_aliases_of_tables_and_columns_hold(shelf):
    sql = """SELECT "t ""1".key, place FROM search('stone') AS "t ""1"(key, place) WHERE place = 1"""
    (row,) = ask(shelf.stores, sql)
    assert row["place"] == 1
    assert list(row) == ["key", "place"]


def test_a_call_that_finds_nothing_is_an_empty_table(shelf):
    said = []
    sql = """SELECT count(*) AS n FROM search('"purple elephants dance"')"""
    assert ask(shelf.stores, sql, said) == [{"n": 0}]
    assert said


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("search()", "takes a text first"),
        ("search(7)", "takes a text first"),
        ("search('a' || 'b')", "literals alone"),
        ("search('a', 'b')", "a second text"),
        ("search('a', depth := 3)", "not depth"),
        ("search('a', k := 'x')", "k is a whole number"),
        ("search('a', mode := 3)", "the other arguments are texts"),
        ("search('a', k := 0)", "n must be at least 1"),
        ("search('a', mode := 'loud')", "mode 'loud' is not one of"),
        ("search('a', condition := 'nope = 1')", "nope"),
        ("search('')", "query is empty"),
        ("search('a', k := 1, K := 2)", "takes k once"),
        ("search('a') WITH ORDINALITY", "has a column rank"),
    ],
)
def test_wrong_arguments_are_named(shelf, call, message):
    with pytest.raises(QueryError, match=message):
        ask(shelf.stores, f"SELECT * FROM {call}")


@pytest.mark.parametrize("sql", ["SELEC search(", "SELECT 'search(1)'", "SELECT search FROM t", "(" * 300 + "search("])
def test_what_is_no_call_is_left_alone(shelf, sql):
    assert find(sql, ()) == (sql, [])
    assert expand(sql, shelf.stores, None) == (sql, {})


def test_a_sample_of_the_hits_is_one(shelf):
    sql = "SELECT count(*) AS n FROM search('stone', k := 50) TABLESAMPLE 10 ROWS"
    assert ask(shelf.stores, sql) == [{"n": 10}]


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_can_be_searched_for(query, before):
    literal, comment = query.replace("'", "''").replace("\x00", ""), before.replace("*", "").replace("\x00", "")
    comment = comment.rstrip("/")  # "/*" begins a comment inside of one
    sql = f"/*{comment}*/ SELECT * FROM search('{literal}', k := 3) AS s WHERE s.rank < 2"
    bound, calls = find(sql.encode("utf-8", "replace").decode(), {"SEARCH_1"})
    cleaned = query.replace("\x00", "").encode("utf-8", "replace").decode()
    assert calls == [{"table": "search_1_", "query": cleaned, "options": '{"n": 3}'}]
    assert bound == "SELECT * FROM search_1_ AS s WHERE (s.rank < 2)"


def test_the_command_line_joins_hits_and_lists_tables(built):
    def go(*args):
        result = CliRunner().invoke(cli, ["--project", str(built.root), "sql", *args, "--format", "json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    sql = "SELECT uri, rank FROM search('bread and trains', k := 3) JOIN items USING (id) ORDER BY rank"
    assert [row["rank"] for row in go(sql)] == [1, 2, 3]
    columns = go("--tables")
    tables = {"items", "passages", "rejected", "sources", "outputs", "manifests", "checkpoints", "runs"}
    assert tables <= {row["table"] for row in columns}
    assert {"table": "items", "column": "id", "type": "VARCHAR"} in columns
