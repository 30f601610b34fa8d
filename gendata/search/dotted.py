"""``meta.gen.model`` in SQL: the dot of DuckDB gives JSON again, in which a text is ``"sdxl"`` with its quotes.

So each value behind a dot or in brackets is taken out of the JSON before a statement runs. What it is compared with
says what it is: with numbers a number, with texts a text. Functions are given a text, those that count a number, for
DuckDB would round a VARIANT to a whole number there. Elsewhere it is a VARIANT, which keeps its type in an order.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from gendata.search.guard import check_select, walk

COLUMNS = frozenset({"meta", "merged", "request", "brought"})
"""Columns of the public tables that hold JSON objects."""

_TYPED = {
    "number": "TRY_CAST(json_extract_string({}, {}) AS DECIMAL(38, 10))",  # exact, of seeds of 64 bits too
    "double": "TRY_CAST(json_extract_string({}, {}) AS DOUBLE)",
    "text": "json_extract_string({}, {})",
    "value": "CAST(json_extract({}, {}) AS VARIANT)",
}
_COUNTS = frozenset(
    {"+", "-", "*", "/", "//", "%", "abs", "ceil", "floor", "round", "sum", "avg", "mean", "median"}
    | {"stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp"}
)
_ANY = frozenset({"min", "max", "arg_min", "arg_max", "first", "last", "any_value", "mode"})
_LITERALS = {"INTEGER": "number", "NUMERIC": "number", "STRING": "text"}
_EXTRACTS = {"ARRAY_EXTRACT", "STRUCT_EXTRACT"}


def bind(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The rows of a statement that the guard let through, in types that Arrow has. Raises duckdb.Error, QueryError."""
    rewritten = rewrite(connection, sql)
    if rewritten is not None:
        check_select(connection, rewritten)  # should DuckDB write a tree otherwise than it was read
    try:
        found = connection.sql(rewritten or sql)
    except duckdb.BinderException:
        found = connection.sql(sql)  # of that name, but not JSON, in a table of the user; or a mistake, as it stands
    if "VARIANT" not in map(str, found.types):
        return found
    columns = enumerate(zip(found.columns, found.types, strict=True), 1)
    return found.project(", ".join(_as_text(number, *column) for number, column in columns))


def _as_text(number: int, name: str, kind: object) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return f"CAST(#{number} AS JSON) ->> '$' AS {quoted}" if str(kind) == "VARIANT" else f"#{number} AS {quoted}"


def rewrite(connection: duckdb.DuckDBPyConnection, sql: str) -> str | None:
    """The statement with what is behind dots taken out of JSON; None where it has nothing of the kind."""
    tree = json.loads(_answer(connection, "json_serialize_sql(?::VARCHAR)", sql))
    columns = COLUMNS - {str(n.get(k)).lower() for n in walk(tree) if "class" not in n for k in ("alias", "table_name")}
    changed = False
    for node in walk(tree):  # from the outside in: what a value is for comes before the value
        for inner, kind, alias in [*_parts(node), (node, "value", "")]:
            changed |= _replace(connection, inner, kind, columns, alias)
    return _answer(connection, "json_deserialize_sql(?::JSON)", json.dumps(tree)) if changed else None


def _answer(connection: duckdb.DuckDBPyConnection, expression: str, value: str) -> str:
    return str(connection.execute(f"SELECT {expression}", [value]).fetchall()[0][0])


def _parts(node: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], str, str]]:
    """The parts of a node that know what they are for: each with that kind, and with a name if it is a column."""
    operands, kind = _operands(node)
    yield from ((operand, kind, "") for operand in operands)
    for entry in node.get("select_list") or []:
        names, parts = _path(entry)
        if names:
            yield entry, "value", str([*names, *parts][-1])


def _operands(node: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What a comparison compares or a function is given, and as what; of any other node nothing."""
    if "function_name" in node:
        name = str(node["function_name"]).lower()
        given = [argument["expression"] for argument in node.get("arguments") or []]
        return given, "double" if name in _COUNTS else "value" if name in _ANY else "text"
    if not str(node.get("type", "")).startswith("COMPARE_"):
        return [], ""
    compared = [node[k] for k in ("left", "right", "input", "lower", "upper") if k in node] + node.get("children", [])
    constants = [o["literal"]["kind"] for o in compared if o.get("type") == "VALUE_CONSTANT" and "literal" in o]
    kinds = {_LITERALS.get(kind, "value") for kind in constants}
    return compared, kinds.pop() if len(kinds) == 1 else "value"


def _replace(
    connection: duckdb.DuckDBPyConnection, node: dict[str, Any], kind: str, columns: frozenset[str], alias: str
) -> bool:
    """Put the value that a node is a path to in its place; False where it is none."""
    names, parts = _path(node)
    at = next((n for n, name in enumerate(names) if name.lower() in columns), None)
    if at is None or not [*names[at + 1 :], *parts] or at > 1:
        return False
    pointer = "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in [*names[at + 1 :], *parts])
    column = ".".join('"' + name.replace('"', '""') + '"' for name in names[: at + 1])
    sql = f"SELECT {_TYPED[kind].format(column, _quoted(pointer))}"
    parsed = json.loads(_answer(connection, "json_serialize_sql(?::VARCHAR)", sql))
    alias = node.get("alias") or alias
    node.clear()
    node.update(parsed["statements"][0]["node"]["select_list"][0], alias=alias)
    return True


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _path(node: Mapping[str, Any]) -> tuple[list[str], list[str | int]]:
    """The parts of a column's name, and the keys and positions (from 0) that are asked of it."""
    if node.get("type") == "COLUMN_REF":
        return [str(name) for name in node.get("column_names", [])], []
    if str(node.get("type")) not in _EXTRACTS or len(node.get("children", [])) != 2:
        return [], []
    inner, literal = node["children"][0], node["children"][1].get("literal") or {}
    names, parts = _path(inner)
    if literal.get("kind") == "STRING":
        return names, [*parts, str(literal["text"])]
    if literal.get("kind") == "INTEGER" and int(literal["text"]) > 0:
        return names, [*parts, int(literal["text"]) - 1]
    return [], []
