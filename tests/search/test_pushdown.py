"""Conditions that Lance applies itself choose what the sandbox chooses."""

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from search.here import where_here
from search.shelves import encode

from gendata.search import retrieve, search
from gendata.search.pushdown import pushed

VALUES = st.sampled_from(["real", "generated", "docs", "made", "it's", "", "' OR 1=1 --", "%", "né"])
COLUMNS = st.sampled_from(["source", "origin", "id", "SOURCE", "items.origin", '"source"'])


def quoted(value):
    return "'" + value.replace("'", "''") + "'"


LEAVES = st.one_of(
    st.builds(lambda c, o, v: f"{c} {o} {quoted(v)}", COLUMNS, st.sampled_from(["=", "<>", "!="]), VALUES),
    st.builds(
        lambda c, o, v: f"{c} {o} ({', '.join(map(quoted, v))})",
        COLUMNS,
        st.sampled_from(["IN", "NOT IN"]),
        st.lists(VALUES, min_size=1, max_size=3),
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda a, b: f"{a} AND {b}", inner, inner),
        st.builds(lambda a, b: f"({a} OR {b})", inner, inner),
        st.builds(lambda a: f"NOT ({a})", inner),
    ),
    max_leaves=6,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONDITIONS)
def test_lance_chooses_what_the_sandbox_chooses(shelf, where):
    condition = pushed(where)
    assert condition is not None
    chosen = pa.ipc.open_stream(where_here(where, shelf.stores)).read_all().to_pylist()
    for name, store in shelf.stores.items():
        found = store.table("items").to_table(columns=["id"], filter=condition)["id"].to_pylist()
        assert sorted(found) == sorted(row["id"] for row in chosen if row["store"] == name)


@pytest.mark.parametrize(
    "where",
    [
        "quality > 0.8",
        "source = 'docs' AND quality > 0.8",
        "source = label",
        "source LIKE 'd%'",
        "source = 1",
        "source = NULL",
        "source IS NOT NULL",
        "outputs.source = 'docs'",
        "source = 'docs'; DROP TABLE items",
        "source = 'docs' UNION SELECT id FROM items",
        "source = 'docs' ORDER BY id",
        "source = (SELECT 'docs')",
        "",
        "source =",
        "(" * 3000 + "source = 'docs'" + ")" * 3000,
        "(" * 40_000,
        "NOT " * 4000 + "source = 'docs'",
        " OR ".join(["source = 'docs'"] * 5000),
        "CASE f(" * 3000,
        "\ud800",
    ],
)
def test_what_needs_more_is_left_to_the_sandbox(where):
    assert pushed(where) is None


def test_no_child_is_started_for_what_lance_can_apply(shelf, monkeypatch):
    monkeypatch.setattr(retrieve, "select_ids", None)
    hits = search(shelf.stores, "river stone", encode_text=encode, n=300, where="source IN ('made') -- mine").hits
    assert {hit.source for hit in hits} == {"made"}
