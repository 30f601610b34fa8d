"""SQL over the stores, read-only: a statement of a user runs in a child process that can do no harm.

The child (``gendata.search.sandbox``) answers with an Arrow stream, so memory is bounded on both
sides; it is killed when it works too long, when the caller stops reading, and on Ctrl-C.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa

from gendata.engine import cores
from gendata.errors import ProjectError, QueryError
from gendata.search.views import LANCE_VIEWS
from gendata.store.head import Store


class Rows(Protocol):
    """An Arrow table, a stream of one, a data frame: whatever gives itself as a stream of Arrow batches."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


TABLES = ("items", *LANCE_VIEWS, "rejected", "sources", "outputs")
"""The tables of the stores, which every statement can name."""

LEDGER = ("manifests", "manifest_items", "checkpoints", "runs")
"""Tables that the caller hands in from the ledger."""

REPORTS = ("scores",)
"""Tables that the caller hands in from what stage evaluate found."""


@dataclass(frozen=True)
class Limits:
    """What one statement may use."""

    timeout: float = 60.0
    """Seconds that the caller waits for rows; the time it takes to use them does not count."""
    memory: int = 1536 << 20
    """Bytes of private memory of the child process."""


@contextlib.contextmanager
def open_sql(
    sql: str,
    stores: Mapping[str, Store],
    *,
    tables: Mapping[str, Rows] | None = None,
    ledger: Mapping[str, Rows] | None = None,
    limits: Limits | None = None,
) -> Iterator[pa.RecordBatchReader]:
    """Run one SELECT and stream its rows.

    Args:
        sql: one SELECT (also FROM, VALUES, WITH, DESCRIBE, SHOW TABLES, SUMMARIZE).
        stores: the stores by name: real, other, outputs; each may be absent.
        tables: further tables by name; see ``read_attachment`` for files.
        ledger: the tables of LEDGER and REPORTS; see ``gendata.records.catalog`` and ``gendata.evaluate.scores``.
        limits: of time and memory.

    Raises:
        QueryError: the statement is refused, fails, or exceeds a limit; also while rows are read.
        ProjectError: no store is there.
    """
    attached = _named(tables or {}) | dict(ledger or {})
    with _child({"sql": _clean(sql)}, stores, attached, limits or Limits()) as reader:
        yield reader


def run_sql(
    sql: str,
    stores: Mapping[str, Store],
    *,
    tables: Mapping[str, Rows] | None = None,
    ledger: Mapping[str, Rows] | None = None,
    limits: Limits | None = None,
) -> pa.Table:
    """Like ``open_sql``, but all rows at once."""
    with open_sql(sql, stores, tables=tables, ledger=ledger, limits=limits) as reader:
        return reader.read_all()


def select_ids(
    where: str, stores: Mapping[str, Store], *, stable: bool = False, limits: Limits | None = None
) -> dict[str, pa.Array]:
    """The ids of each store's items that satisfy a condition over the columns of ``items``.

    Raises:
        QueryError: ``where`` is not one expression, or fails; if ``stable``, also if it asks a clock or chance.
    """
    with _child({"where": _clean(where), "stable": stable}, stores, {}, limits or Limits()) as reader:
        found = reader.read_all()
    names = found.column("store").combine_chunks().to_numpy(zero_copy_only=False)
    ids = found.column("id").combine_chunks()
    return {name: ids.filter(pa.array(names == name, pa.bool_())) for name in stores}


def find_calls(
    sql: str, stores: Mapping[str, Store], taken: Collection[str], limits: Limits | None = None
) -> tuple[str, list[dict[str, str]]]:
    """See ``gendata.search.calls.find``. Raises QueryError also where a limit is exceeded."""
    with _child({"find": _clean(sql), "taken": sorted(taken)}, stores, {}, limits or Limits()) as reader:
        return reader.schema.metadata[b"sql"].decode(), reader.read_all().to_pylist()


def _clean(text: str) -> str:
    """Without lone surrogates (undecodable bytes of a command line), which no UTF-8 interface takes."""
    return text.encode("utf-8", "replace").decode()


@contextlib.contextmanager
def _child(
    question: dict[str, Any], stores: Mapping[str, Store], tables: Mapping[str, Rows], limits: Limits
) -> Iterator[pa.RecordBatchReader]:
    if not stores:
        raise ProjectError("no store is built: run `gendata run`")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile())
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gendata-sql-")) if tables else ""
        request = question | {
            "catalogs": {name: str(store.catalog.resolve()) for name, store in stores.items()},
            "lance": lance_tables(stores),
            "tables": _write_tables(tables, Path(folder)),
            "memory": limits.memory,
            "cpu": int(limits.timeout * cores()) + 10,
            "threads": min(cores(), 4),
        }
        process = _start(log)
        try:
            with contextlib.suppress(BrokenPipeError):  # it died: what it said comes from the answer
                _pipe(process.stdin).write(json.dumps(request).encode() + b"\n")
                _pipe(process.stdin).flush()
            yield _Answer(process, log, limits).reader()
        finally:
            process.kill()
            _pipe(process.stdout).close()
            with contextlib.suppress(BrokenPipeError):
                _pipe(process.stdin).close()
            process.wait()


def _start(log: IO[bytes]) -> "subprocess.Popen[bytes]":
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "gendata.search.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        # Arrow's own allocator reserves a gigabyte at once, which the limit counts as used
        env={**os.environ, "PYTHONPATH": path, "LANCE_LOG": "error", "ARROW_DEFAULT_MEMORY_POOL": "system"},
        process_group=0,  # Ctrl-C reaches the parent alone, which kills the child
    )


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def lance_tables(stores: Mapping[str, Store]) -> dict[str, dict[str, tuple[str, int]]]:
    """The Lance tables by table and store: where each lies, and the version to read."""
    return {
        table: {
            name: (store.uri(table), store.head.lance[table])
            for name, store in stores.items()
            if table in store.head.lance
        }
        for table, _ in LANCE_VIEWS.values()
    }


def _named(tables: Mapping[str, Rows]) -> dict[str, Rows]:
    """The tables of a user. Raises QueryError for a name that is none, or that is taken."""
    for name in tables:
        taken = name.lower() in {*TABLES, *LEDGER, *REPORTS} or name.lower().startswith("lance_")
        if taken or not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise QueryError(f"{name!r} cannot be the name of an attached table")
    return dict(tables)


def _write_tables(tables: Mapping[str, Rows], folder: Path) -> dict[str, str]:
    paths: dict[str, str] = {}
    for name, rows in tables.items():
        paths[name] = str(folder / f"{len(paths)}.arrow")
        if not hasattr(rows, "__arrow_c_stream__"):
            raise QueryError(f"table {name}: give an Arrow table, a stream of one or a data frame, not {type(rows)}")
        try:
            reader = pa.RecordBatchReader.from_stream(rows)
            with pa.ipc.new_file(paths[name], reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
        except pa.ArrowInvalid as error:
            raise QueryError(f"table {name}: {str(error).splitlines()[0]}") from error
    return paths


class _Answer:
    """The child's answer as a reader that tells a full answer from a cut one."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: IO[bytes], limits: Limits) -> None:
        self._process, self._log, self._limits = process, log, limits
        self._left = limits.timeout
        self._late = False

    def reader(self) -> pa.RecordBatchReader:
        """Wait for the schema, then stream. Raises QueryError, also from the reader's batches."""
        try:
            stream = self._timed(lambda: pa.ipc.open_stream(self._process.stdout))
        except (pa.ArrowInvalid, OSError):
            raise self._error() from None
        return pa.RecordBatchReader.from_batches(stream.schema, self._batches(stream))

    def _batches(self, stream: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                batch = self._timed(stream.read_next_batch)
            except StopIteration:
                break
            except (pa.ArrowInvalid, OSError):
                raise self._error() from None
            yield batch
        if self._timed(self._process.wait):  # a stream may end early without a sign of it
            raise self._error()

    def _timed(self, wait: Any) -> Any:
        start = time.monotonic()
        timer = threading.Timer(max(self._left, 0.0), self._kill)
        timer.start()
        try:
            return wait()
        finally:
            timer.cancel()
            self._left -= time.monotonic() - start

    def _kill(self) -> None:
        self._late = True
        self._process.kill()

    def _error(self) -> QueryError:
        code = self._timed(self._process.wait)
        if self._late or code == -signal.SIGXCPU:
            return QueryError(f"the query took longer than {self._limits.timeout:g} s and was stopped")
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        said = [line for line in lines if re.match(r"error: |[\w.]+(Error|Exception): ", line)]
        if said:
            return QueryError(said[-1].removeprefix("error: "))
        memory = self._limits.memory >> 20
        return QueryError(f"the query's process ended with code {code}: most likely it needs more than {memory} MiB")
