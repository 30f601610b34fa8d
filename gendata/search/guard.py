"""What a statement may do before it runs: one SELECT, no data-modifying CTE, only harmless functions.

DuckDB's settings (no external access, locked configuration, read-only catalogs) are the wall; this
is the gate before it. Two facts of DuckDB 2.0 make the gate necessary: ``WITH x AS (COPY t TO ..)``
and other data-modifying CTEs count as statements of type SELECT, and table functions such as
``arrow_scan`` take raw pointers. So query nodes and table functions are allow-listed; of the
scalar functions, none of which can read a file or the network, the few that touch state, wait,
show settings, run SQL out of a string or read raw memory are blocked, so that ordinary SQL keeps working.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from gendata.errors import QueryError

QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "STATEMENT_NODE"})

TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "regexp_split_to_table", "repeat", "repeat_row", "unnest"}
)
"""Not ``histogram`` and ``histogram_values``: they take the name of any table, system views too, as a text."""

BLOCKED = re.compile(
    r"getenv|current_setting|getvariable|write_log|nextval|currval|setval|setseed|sleep_ms|pg_sleep|current_query"
    r"|finalize|combine|combine_aggr|to_aggregate_state|stats|query|query_table|glob|which_secret|json_execute.*"
    r"|json_serialize_plan|variant_bytes_to_variant|__internal.*|duckdb_.*|pragma_.*|read_.*|.*_scan"
)
"""Functions that may not be called, and system views that may not be read."""

UNSTABLE = frozenset(
    {"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "now", "today", "current_date", "current_time"}
    | {"current_timestamp", "get_current_time", "get_current_timestamp", "localtime", "localtimestamp"}
    | {"transaction_timestamp", "txid_current", "current_query_id", "current_transaction_id", "current_connection_id"}
)
"""Functions (some are written as columns) that answer differently each time: a selection must mean the same twice."""

_SETTINGS_VIEWS = frozenset({"pg_settings"})

_SCHEMAS = frozenset({"main", "memory", "temp", "system", "information_schema", "pg_catalog"})
"""What may stand before the name of a table: not the catalogs, which the public views are made of."""

_SHOW = frozenset({"DESCRIBE", "SUMMARY", "SHOW_SPECIAL"})
"""``SHOW_SPECIAL`` is SHOW TABLES and the like; ``SHOW x`` gives the setting x where no table has that name."""

_WHERE_KEYS = frozenset({"type", "cte_map", "select_list", "from_table", "where_clause", "aggregate_handling"})


def check_select(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Check that ``sql`` is one harmless SELECT; the names of the tables that it mentions, in lower case.

    Raises:
        QueryError: it does not parse, is not exactly one SELECT, or calls what is not allowed.
    """
    tables = set()
    for node in walk(_parse(connection, sql)):
        kind = str(node.get("type", ""))
        if kind.endswith("_NODE") and kind not in QUERY_NODES:
            raise QueryError(f"only SELECT is allowed, not {kind.removesuffix('_NODE').split('_')[0]} inside it")
        if node.get("export_state"):
            raise QueryError("EXPORT_STATE is not allowed here")
        if kind == "TABLE_FUNCTION":
            _check_table_function(node)
        elif "function_name" in node:
            _check_function(_last_name(node, "function_name"))
        elif kind == "SHOW_REF" and node.get("show_type") not in _SHOW:
            raise QueryError("SHOW takes TABLES alone; DESCRIBE gives the columns of a table")
        elif kind == "BASE_TABLE":
            tables.add(_check_table(_path(node, "table_name")))
    return tables


def check_where(connection: duckdb.DuckDBPyConnection, where: str, *, stable: bool = False) -> str:
    """Check that ``where`` is one boolean expression over ``items``; the condition, ready to embed.

    ``SELECT id FROM items WHERE <where>`` must parse to exactly that: any clause or statement that
    the text adds (ORDER BY, UNION, a second statement) shows in the tree. A ``stable`` condition
    holds for the same rows each time: no chance and no clock.

    Raises:
        QueryError: it is not an expression, or ``check_select`` refuses it.
    """
    if not where.strip():
        raise QueryError("the condition is empty")
    check_select(connection, _selection(where))
    node = parse_where(connection, where)
    _parse(connection, f"SELECT id FROM items WHERE (\n{where}\n)")  # a WINDOW that is not used shows in no tree
    if not node.keys() <= _WHERE_KEYS or node["type"] != "SELECT_NODE" or node.get("cte_map"):
        raise QueryError("a condition must be one expression, as after WHERE")
    if stable:
        _check_stable(node)
    return f"{where}\n"  # the line feed ends a trailing comment


def parse_where(connection: duckdb.DuckDBPyConnection, where: str) -> dict[str, Any]:
    """The query node of the statement that a condition is a part of. Raises QueryError where it does not parse."""
    return _parse(connection, _selection(where))


def _selection(where: str) -> str:
    return f"SELECT id FROM items WHERE {where}\n"


def _check_stable(root: object) -> None:
    for node in walk(root):
        names = {_last_name(node, "function_name"), *(str(n).lower() for n in node.get("column_names", ())[:1])}
        if used := names & UNSTABLE:
            raise QueryError(
                f"{used.pop()} answers differently each time, and a selection must not: "
                "for a share of the items use `hash(id) % 100 < 10`, for a time write it out"
            )
        if "sample" in node:
            raise QueryError("TABLESAMPLE draws by chance, and a selection must not: use `hash(id) % 100 < 10`")


def _parse(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """The query node of the one statement in ``sql``, without empty and default values."""
    statements = connection.extract_statements(sql)
    if not statements:
        raise QueryError("there is no SQL statement")
    if len(statements) > 1:
        raise QueryError(f"give one statement, not {len(statements)}")
    kind = _kind(statements[0])
    if kind != "SELECT":
        hint = ": name the values of PIVOT, as in PIVOT t ON c IN ('a', 'b')" if kind == "MULTI" else ""
        raise QueryError(f"only SELECT is allowed, not {kind}{hint}")
    rows = connection.execute(
        "SELECT json_serialize_sql(?::VARCHAR, skip_null := true, skip_empty := true, skip_default := true)", [sql]
    ).fetchall()
    try:
        tree = json.loads(rows[0][0])
    except RecursionError:
        raise QueryError("the statement is nested too deeply") from None
    if tree["error"]:
        raise QueryError(f"the statement cannot be checked: {tree.get('error_message', 'no parse tree')}")
    node: dict[str, Any] = tree["statements"][0]["node"]
    return node


def _kind(statement: duckdb.Statement) -> str:
    try:
        return statement.type.name
    except ValueError:  # newer kinds (CONNECT, UPDATE EXTENSIONS) that the client has no name for
        return "this statement"


def walk(root: object) -> Iterator[dict[str, Any]]:
    """Every node of a parse tree."""
    stack = [root]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _path(node: dict[str, Any], key: str) -> list[str]:
    return [str(part).lower() for part in node.get("qualified_name", {}).get("path") or [node.get(key, "")]]


def _last_name(node: dict[str, Any], key: str) -> str:
    return _path(node, key)[-1]


def _check_table_function(node: dict[str, Any]) -> None:
    name = _last_name(node["function"], "function_name") if "function_name" in node.get("function", {}) else "?"
    if name not in TABLE_FUNCTIONS:
        raise QueryError(f"table function {name} is not allowed; files come in with --attach name=FILE")


def _check_function(name: str) -> None:
    if BLOCKED.fullmatch(name):
        raise QueryError(f"function {name} is not allowed here")


def _check_table(path: list[str]) -> str:
    name = path[-1]
    hidden = name in _SETTINGS_VIEWS or name.startswith(("duckdb_", "pragma_", "lance_"))
    if hidden or not _SCHEMAS.issuperset(path[:-1]):
        raise QueryError(f"table {'.'.join(path)} is not allowed here")
    return name
