"""DuckDB databases: files that are only read, and those in memory."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb


def database(path: Path | None = None, threads: int | None = None) -> "duckdb.DuckDBPyConnection":
    """A DuckDB database: the file, which is only read, or one in memory; its cursors are like it.

    Quiet: DuckDB draws progress on stdout, into the result of a command, where a statement takes two seconds.
    """
    import duckdb

    config: dict[str, Any] = {} if threads is None else {"threads": threads}
    connection = duckdb.connect(str(path or ":memory:"), read_only=path is not None, config=config)
    connection.execute("SET enable_progress_bar_print = false")
    return connection


def cursor() -> "duckdb.DuckDBPyConnection":
    """Of the one database in memory of this process, for tables that are registered or temporary, which it alone sees.

    To open another database takes 25 ms.
    """
    return _in_memory().cursor()


@functools.cache
def _in_memory() -> "duckdb.DuckDBPyConnection":
    return database()
