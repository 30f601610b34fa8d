"""Conditions that Lance can apply itself: comparisons of the columns that all its tables have with texts.

They save the child process in which other conditions become a set of ids.
"""

import re
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


_NAMES = "id|origin|source|items"
_TOKENS = re.compile(
    rf"""(?:\s++|--[^\n]*+|[=(),.]|<>|!=|(?:{_NAMES}|and|or|not|in)\b|"(?:{_NAMES})"|'(?:[^']++|'')*+')*+""",
    re.IGNORECASE,
)
"""All that a condition for Lance is made of, read from left to right in one go."""

_DEEPEST, _LONGEST = 16, 20_000
"""Brackets and negations, and characters of a condition that is looked at: others may cost the parser any time."""


@lru_cache(256)  # a prompt asks under one condition again and again
def pushed(where: str) -> str | None:
    """The condition in the SQL of Lance; None where it needs the catalog, or is none: the sandbox says why."""
    import duckdb

    from gendata.search.guard import check_where, parse_where

    if len(where) > _LONGEST or not _TOKENS.fullmatch(where) or _depth(where) > _DEEPEST:
        return None
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


def _depth(where: str) -> int:
    return where.count("(") + len(re.findall(r"\bnot\b", where, re.IGNORECASE))


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
