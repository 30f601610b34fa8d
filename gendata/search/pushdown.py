"""Conditions that Lance can apply itself: comparisons of the columns that all its tables have with texts.

They save the child process in which other conditions become a set of ids.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from gendata.errors import QueryError
from gendata.search.ranking import both, quote

if TYPE_CHECKING:
    import duckdb

COLUMNS = frozenset({"id", "origin", "source"})
"""Of every table of every store, never null, and the same as in the catalog."""

_COMPARISONS = {"COMPARE_EQUAL": "=", "COMPARE_NOTEQUAL": "<>"}


@lru_cache(256)  # a prompt asks under one condition again and again
def pushed(where: str) -> str | None:
    """The condition in the SQL of Lance; None where it needs the catalog, or is none: the sandbox says why."""
    import duckdb

    from gendata.search.guard import check_where, parse_where

    text = where.encode("utf-8", "replace").decode()  # no lone surrogate
    with _parser().cursor() as connection:
        try:
            check_where(connection, text)
            tree = parse_where(connection, text)
        except (QueryError, duckdb.Error):
            return None
    try:
        return _condition(tree["where_clause"])
    except RecursionError:
        return None


@cache
def _parser() -> "duckdb.DuckDBPyConnection":
    """An empty database: opening one takes longer than a question to its parser."""
    import duckdb

    return duckdb.connect()


def _condition(node: Mapping[str, Any]) -> str | None:
    kind, children = node["type"], node.get("children", [])
    if kind in {"CONJUNCTION_AND", "CONJUNCTION_OR"}:
        parts = [_condition(child) for child in children]
        if None in parts:
            return None
        return both(*parts) if kind == "CONJUNCTION_AND" else " OR ".join(f"({part})" for part in parts)
    if kind == "OPERATOR_NOT":
        inner = _condition(children[0])
        return inner and f"NOT ({inner})"
    if kind in _COMPARISONS:
        column, value = _column(node["left"]), _text(node["right"])
        return f"{column} {_COMPARISONS[kind]} {value}" if column and value else None
    if kind == "COMPARE_IN":
        column, values = _column(children[0]), [_text(child) for child in children[1:]]
        return f"{column} IN ({', '.join(map(str, values))})" if column and None not in values else None
    return None


def _column(node: Mapping[str, Any]) -> str | None:
    *table, name = [str(part).lower() for part in node.get("column_names", [""])]
    return name if name in COLUMNS and table in ([], ["items"]) else None


def _text(node: Mapping[str, Any]) -> str | None:
    literal = node.get("literal", {})
    return quote(str(literal.get("text", ""))) if literal.get("kind") == "STRING" else None
