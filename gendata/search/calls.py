"""``search('a text', k := 20)`` inside SQL: found in the parsed statement, evaluated before it, joined as a table.

DuckDB cannot be taught table functions from Python, and its sandbox reaches no index: so the caller searches,
and the statement reads the hits as an attached table that stands where the call stood.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gendata.errors import QueryError
from gendata.search import SearchResult

OPTIONS = {
    "k": "n",
    "mode": "mode",
    "modality": "modality",
    "origin": "origin",
    "source": "source",
    "condition": "where",
}
"""Named arguments, and the options of ``search`` that they are; ``where`` is a keyword of SQL."""

HITS = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("score", pa.float64()),
        pa.field("snippet", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        *(pa.field(f"{kind}_score", pa.float64()) for kind in ("keyword", "semantic", "visual")),
        pa.field("store", pa.string()),
    ]
)
"""The columns of a call: none but ``id`` is one of ``items``, so that a join needs no prefixes."""


@dataclass(frozen=True)
class Call:
    """One call in a statement."""

    start: int
    length: int
    """Where it stands, in bytes of UTF-8."""
    query: str
    options: dict[str, Any]
    named: bool
    """Whether the statement gives it an alias."""


def find_calls(sql: str) -> tuple[Call, ...]:
    """The calls of ``search`` in a statement, in order; none in one that does not parse: the sandbox says why.

    Raises:
        QueryError: an argument is not a literal, or is not known.
    """
    if "search" not in sql.lower():
        return ()
    nodes = (n for n in _walk(_parse(sql)) if n.get("type") == "TABLE_FUNCTION" and _name(n) == "search")
    return tuple(sorted((_call(n) for n in nodes), key=lambda call: call.start))


def bind(
    sql: str, calls: tuple[Call, ...], run: Callable[..., SearchResult], taken: set[str]
) -> tuple[str, dict[str, pa.Table]]:
    """The statement with a table in place of each call, and these tables.

    Args:
        sql: as ``find_calls`` read it.
        calls: which it found.
        run: searches: ``run(query, **options)``.
        taken: names that tables have already.
    """
    text, tables = sql.encode(), dict[str, pa.Table]()
    for number, call in reversed(list(enumerate(calls, 1))):  # from the end: what stands before keeps its place
        name = f"search_{number}"
        while name in taken:
            name += "_"
        result = run(call.query, **call.options)
        rows = [{"rank": rank, "snippet": hit.text, **vars(hit)} for rank, hit in enumerate(result.hits, 1)]
        tables[name] = pa.Table.from_pylist(rows, HITS)
        put = name if call.named else f"{name} AS search" if len(calls) == 1 else name
        text = text[: call.start] + put.encode() + text[call.start + call.length :]
    return text.decode(), tables


def _parse(sql: str) -> Any:
    import duckdb

    with duckdb.connect() as connection:
        try:
            rows = connection.execute(
                "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)",
                [sql.encode("utf-8", "replace").decode()],
            ).fetchall()
            return json.loads(rows[0][0])
        except (duckdb.Error, RecursionError):
            return None


def _walk(root: object) -> Iterator[dict[str, Any]]:
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _name(node: dict[str, Any]) -> str:
    return str(node.get("function", {}).get("function_name", "")).lower()


def _call(node: dict[str, Any]) -> Call:
    query, options = None, dict[str, Any]()
    for argument in node["function"].get("arguments", []):
        name, value = argument.get("name"), _literal(argument["expression"])
        if name is None and query is None:
            query = value
        elif name is None or name.lower() not in OPTIONS:
            raise QueryError(f"search() takes a text and {', '.join(OPTIONS)}, not {name or 'a second text'}")
        else:
            options[OPTIONS[name.lower()]] = value
    if not isinstance(query, str):
        raise QueryError("search() takes a text first: search('a text', k := 20)")
    if not isinstance(options.get("n", 1), int) or not all(isinstance(v, str) for k, v in options.items() if k != "n"):
        raise QueryError("search(): k is a whole number, the other arguments are texts")
    return Call(node["query_location"], node["query_location_length"], query, options, "alias" in node)


def _literal(expression: dict[str, Any]) -> str | int:
    literal = expression.get("literal", {})
    if expression.get("type") != "VALUE_CONSTANT" or literal.get("kind") not in {"STRING", "INTEGER"}:
        raise QueryError("search() takes literals alone: a text in quotes, a number")
    return str(literal["text"]) if literal["kind"] == "STRING" else int(literal["text"])
