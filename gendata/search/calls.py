"""Calls of ``search('a text', k := 20)`` inside SQL: found in the parsed statement, each replaced by a table.

What becomes of them is in ``gendata.search.expand``. This runs in the sandbox: a statement may need any time and memory
to parse.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from gendata.errors import QueryError

OPTIONS = {
    "k": "n",
    "mode": "mode",
    "modality": "modality",
    "origin": "origin",
    "source": "source",
    "condition": "where",
}
"""Named arguments, and the options of ``search`` that they are; ``where`` is a keyword of SQL."""

CALLS = pa.schema([(name, pa.string()) for name in ("table", "query", "options")])
"""What ``find`` says of each call; ``options`` is JSON."""


def find(sql: str, taken: Collection[str]) -> tuple[str, list[dict[str, str]]]:
    """The statement with a table in place of each call, and the calls as rows of CALLS; as it is, if it has none.

    One that does not parse is left alone: running it says why.

    Args:
        sql: one statement.
        taken: names that tables have already.

    Raises:
        QueryError: an argument of a call is not a literal, or is not known.
    """
    import duckdb

    from gendata.search.guard import walk

    with duckdb.connect() as connection:
        tree = _parse(connection, sql)
        nodes = [node for node in walk(tree) if _is_call(node)]
        calls = list[dict[str, str]]()
        for node in nodes:
            name = _free(f"search_{len(calls) + 1}", taken)
            query, options = _arguments(node)
            calls.append({"table": name, "query": query, "options": json.dumps(options)})
            alias = node["alias"] or ("search" if len(nodes) == 1 else name)
            _put(node, _parse(connection, f'FROM "{name}"')["statements"][0]["node"]["from_table"], alias)
        return (_text(connection, tree) if calls else sql), calls


def _parse(connection: Any, sql: str) -> Any:
    import duckdb

    try:
        text = sql.encode("utf-8", "replace").decode()
        return json.loads(connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone()[0])
    except (duckdb.Error, RecursionError):
        return None


def _text(connection: Any, tree: Any) -> str:
    return str(connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(tree)]).fetchone()[0])


def _is_call(node: Mapping[str, Any]) -> bool:
    function = node.get("function")
    return node.get("type") == "TABLE_FUNCTION" and str((function or {}).get("function_name")).lower() == "search"


def _free(name: str, taken: Collection[str]) -> str:
    while name in {other.lower() for other in taken}:
        name += "_"
    return name


def _put(node: dict[str, Any], table: Mapping[str, Any], alias: str) -> None:
    """A table where the call stood, under the names that the statement gives it, with its sample."""
    if node["with_ordinality"] != "WITHOUT_ORDINALITY":
        raise QueryError("search() has a column rank: WITH ORDINALITY is not needed")
    kept = {name: node[name] for name in ("column_name_alias", "sample")}
    node.clear()
    node.update(table, alias=alias, **kept)


def _arguments(node: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The text of a call, and the options of ``search``."""
    query, options = None, dict[str, Any]()
    for argument in node["function"].get("arguments", []):
        name, value = argument.get("name"), _literal(argument["expression"])
        if not name and query is None:
            query = value
        elif not name or name.lower() not in OPTIONS:
            raise QueryError(f"search() takes a text and {', '.join(OPTIONS)}, not {name or 'a second text'}")
        elif OPTIONS[name.lower()] in options:
            raise QueryError(f"search() takes {name.lower()} once")
        else:
            options[OPTIONS[name.lower()]] = value
    if not isinstance(query, str):
        raise QueryError("search() takes a text first: search('a text', k := 20)")
    if not isinstance(options.get("n", 1), int) or not all(isinstance(v, str) for k, v in options.items() if k != "n"):
        raise QueryError("search(): k is a whole number, the other arguments are texts")
    return query, options


def _literal(expression: Mapping[str, Any]) -> str | int:
    literal = expression.get("literal") or {}
    if expression.get("type") != "VALUE_CONSTANT" or literal.get("kind") not in {"STRING", "INTEGER"}:
        raise QueryError("search() takes literals alone: a text in quotes, a number")
    return str(literal["text"]) if literal["kind"] == "STRING" else int(literal["text"])
