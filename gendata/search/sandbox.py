"""The child process that runs a user's SQL: ``python -P -m gendata.search.sandbox``.

The parent (``gendata.search.sql``) writes one JSON request line to stdin and keeps the pipe open;
when it closes, for whatever reason, this process ends. The answer is an Arrow IPC stream on
stdout. A failure is one line ``error: ...`` on stderr and exit code 1.

Four walls, from the outside in: limits of the kernel on memory and processor time (DuckDB's own
memory limit does not bound what a result materialises), DuckDB without external access and with its
configuration locked, catalogs attached read-only, and the gate in ``guard``.
"""

import json
import os
import resource
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

import duckdb
import pyarrow as pa

from gendata.errors import QueryError
from gendata.search import calls, dotted
from gendata.search.guard import check_select, check_where
from gendata.search.views import add_catalogs, add_lance

BATCH_ROWS = 16_384
"""Rows per batch of the answer: what streaming holds in memory."""

BLOB_ROWS = 8
"""The same where rows may hold whole images."""


def connect(memory: int, threads: int) -> duckdb.DuckDBPyConnection:
    """An in-memory database that spills nothing to disk; ``memory`` in bytes is the whole process's."""
    connection = duckdb.connect()
    for setting in (
        "temp_directory=''",
        f"threads={threads}",
        f"memory_limit='{memory * 6 // 10 >> 20}MiB'",
        "enable_progress_bar_print=false",  # it would stand before the message of an error
    ):
        connection.execute(f"SET {setting}")
    return connection


def add_tables(connection: duckdb.DuckDBPyConnection, tables: Mapping[str, str]) -> None:
    """Arrow IPC files as tables: mapped, not read, so that they do not count as memory."""
    for name, path in tables.items():
        connection.register(name, pa.ipc.open_file(pa.memory_map(path)).read_all())


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """Nothing outside the database can be reached from here on, and no setting changed."""
    for setting in (
        "python_enable_replacements=false",
        "autoinstall_known_extensions=false",
        "autoload_known_extensions=false",
        "enable_external_access=false",
        "lock_configuration=true",
    ):
        connection.execute(f"SET {setting}")


def run(request: Mapping[str, Any], out: IO[bytes]) -> None:
    """Answer one request.

    ``{"sql": ...}`` is run; ``{"where": ..., "stable": ...}`` asks for the ids that satisfy a condition, and
    ``{"find": ..., "taken": ...}`` for the calls of ``search`` in a statement, which then is in the schema's metadata.
    """
    if "find" in request:
        sql, found = calls.find(request["find"], request["taken"])
        with pa.ipc.new_stream(out, calls.CALLS.with_metadata({"sql": sql})) as writer:
            writer.write_table(pa.Table.from_pylist(found, calls.CALLS))
        return
    connection = connect(request["memory"], request["threads"])
    catalogs: dict[str, str] = request["catalogs"]
    add_catalogs(connection, catalogs)
    add_tables(connection, request["tables"])
    where = request.get("where")
    if where is None:
        sql, mentioned = request["sql"], check_select(connection, request["sql"])
    else:
        condition = check_where(connection, where, stable=request["stable"])
        parts = " UNION ALL BY NAME ".join(f"SELECT '{n}' AS store, * FROM store_{n}.items" for n in catalogs)
        connection.execute(f"CREATE TEMP VIEW stored AS {parts}")  # a column that one store lacks is null
        sql = f"SELECT store, id FROM stored AS items WHERE {condition}"
        mentioned = check_select(connection, f"SELECT 1 FROM items WHERE {condition}")
    add_lance(connection, request["lance"], mentioned)
    lock(connection)
    rows = BATCH_ROWS if mentioned.isdisjoint({"contents", "output_contents"}) else BLOB_ROWS
    with dotted.bind(connection, sql).to_arrow_reader(rows) as reader, pa.ipc.new_stream(out, reader.schema) as writer:
        out.flush()
        for batch in reader:
            writer.write_batch(batch)
            out.flush()


def reason(error: Exception) -> str:
    """DuckDB's message as one line: the first, and the hint to it if there is one."""
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError)):
        return "the query needs more memory than it may use"
    lines = [line.strip() for line in str(error).splitlines()]
    hints = [line for line in lines[1:] if line.startswith(("Candidate bindings", "Did you mean"))]
    return " ".join([*lines[:1], *hints[:1]]) or type(error).__name__


def limit(memory: int, seconds: int) -> None:
    """Bound this process by the kernel: bytes of private memory, seconds of processor time."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def _read_line(fd: int) -> bytes:
    """One line, byte-exact: nothing after it may be taken from the pipe."""
    parts: list[bytes] = []
    while not parts or not parts[-1].endswith(b"\n"):
        part = os.read(fd, 1 << 16)
        if not part:
            break
        parts.append(part)
    return b"".join(parts)


def main() -> int:
    """Read the request, answer it; the exit code."""
    request = json.loads(_read_line(0))
    limit(request["memory"], request["cpu"])
    sys.setrecursionlimit(20_000)  # parse trees are deep; DuckDB bounds them at 1,000 levels
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with os.fdopen(os.dup(1), "wb") as out:
            os.dup2(2, 1)  # whatever a library prints must not enter the answer
            run(request, out)
    except BrokenPipeError:
        return 1
    except (QueryError, duckdb.Error, MemoryError, pa.ArrowException, RecursionError, OSError) as error:
        sys.stderr.write(f"error: {reason(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # without waiting for the thread that reads stdin
