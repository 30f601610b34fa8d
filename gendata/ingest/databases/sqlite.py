"""SQLite, by the standard library: one SELECT over a file that is opened for reading and is not trusted.

Not by ADBC, whose driver takes the types of columns from the first rows and fails at a later value of another type,
or at a text that is not UTF-8; offers neither an authorizer nor a limit of time; and lets ATTACH create files.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gendata.errors import ParamsError
from gendata.ingest.databases import Limit, Record, quoted, selected, too_large
from gendata.ingest.reader import UnitError

_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}

_OF_FTS5 = {(sqlite3.SQLITE_UPDATE, "sqlite_master"), (sqlite3.SQLITE_PRAGMA, "data_version")}
"""What a full-text index asks for to be opened; nothing is written, the file being open for reading."""

_REFUSED_FUNCTIONS = {"load_extension", "fts3_tokenizer"}

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FORMAT}
_CLOSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

_STEPS = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""


class Query:
    """A query over a file; see ``databases.Result``. ``seconds`` are those that SQLite itself may take."""

    def __init__(self, where: str, path: Path, query: str, key: str | None, seconds: float) -> None:
        self._where, self._query, self._key, self._seconds = where, query, key, seconds
        self._left, self._until = seconds, 0.0
        with self._errors():
            self._database = _opened(path)
        try:
            self._database.set_progress_handler(lambda: time.monotonic() > self._until, _STEPS)
            self._database.set_authorizer(_authorized)
            self.columns = self._columns()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def records(self, limit: Limit) -> Iterator[Record]:
        """The rows in the order of the key, or in the order that the query gives them."""
        cells = [f"q.{quoted(column)}" for column in self.columns]
        large = [f"{_size(cell)} > {limit(column)}" for cell, column in zip(cells, self.columns, strict=True)]
        kept = [f"CASE WHEN {test} THEN NULL ELSE {cell} END" for cell, test in zip(cells, large, strict=True)]
        first = " ".join(f"WHEN {test} THEN {i}" for i, test in enumerate(large))
        order = f" ORDER BY q.{quoted(self._key)} COLLATE BINARY" if self._key else ""
        with self._errors():
            sql = f"SELECT {', '.join(kept)}, CASE {first} END FROM {selected(self._query)}{order}"
            cursor = self._database.execute(sql)
        while (row := self._next(cursor)) is not None:
            *values, beyond = row
            broken = next((value for value in values if isinstance(value, UnitError)), None)
            yield (
                dict(zip(self.columns, values, strict=True)),
                broken if beyond is None else too_large(self.columns[beyond]),
            )

    def _columns(self) -> list[str]:
        with self._errors():
            return [d[0] for d in self._database.execute(f"SELECT * FROM {selected(self._query)} LIMIT 0").description]

    def _next(self, cursor: sqlite3.Cursor) -> tuple[Any, ...] | None:
        with self._errors():
            return next(cursor, None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """SQLite's errors in our words, and its time counted."""
        start = time.monotonic()
        self._until = start + self._left
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise self._translated(error) from None
        except UnicodeDecodeError:
            raise UnitError("corrupt-file", "names that are not UTF-8") from None
        except ValueError as error:  # a character that no SQL has
            raise ParamsError(f"{self._where}.query: {error}") from None
        finally:
            self._left -= time.monotonic() - start

    def _translated(self, error: sqlite3.Error | sqlite3.Warning) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _BROKEN:
            return UnitError("corrupt-file", f"{error}; the rest is not read")
        if code == sqlite3.SQLITE_TOOBIG:
            return UnitError("too-large", f"{error}; the rest is not read")
        if getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK":
            return UnitError("unreadable", "a writer of it was killed: a program that may write must open it once")
        if code in _CLOSED:
            return UnitError("unreadable", str(error))
        if code in _LOCKED:
            return ParamsError(f"{self._where}: another program writes into the database; run again")
        if code == sqlite3.SQLITE_INTERRUPT:
            return ParamsError(f"{self._where}.query: takes longer than ingest.query_seconds, {self._seconds:g}")
        if code == sqlite3.SQLITE_AUTH:
            return ParamsError(f"{self._where}.query: one SELECT is read, and nothing else is run ({error})")
        return ParamsError(f"{self._where}.query: {error}")


def tables(path: Path) -> list[str]:
    """The names of the tables and views. Raises UnitError, ParamsError."""
    query = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
    found = Query(os.fspath(path), path, query, "name", 60)
    try:
        return [record["name"] for record, problem in found.records(lambda column: 1000) if problem is None]
    finally:
        found.close()


def _opened(path: Path) -> sqlite3.Connection:
    # in WAL mode a reader leaves two files beside the database, unless that is immutable to it: as it is without a log
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file:
        idle = file.read(20)[18:] == b"\2\2" and not (log.exists() and log.stat().st_size)
    address = f"file:{quote(os.fsencode(path))}?mode=ro{'&immutable=1' if idle else ''}"
    database = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
    try:
        database.text_factory = _text
        for setting in ("trusted_schema=OFF", "query_only=ON", "cell_size_check=ON", "mmap_size=0"):
            database.execute(f"PRAGMA {setting}")
    except BaseException:
        database.close()
        raise
    return database


def _authorized(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _REFUSED_FUNCTIONS else sqlite3.SQLITE_OK
    return sqlite3.SQLITE_OK if action in _ALLOWED or (action, first) in _OF_FTS5 else sqlite3.SQLITE_DENY


def _text(data: bytes) -> str | UnitError:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return UnitError("invalid-utf8", f"byte {error.start}: {error.reason}")


def _size(cell: str) -> str:
    """SQL for the bytes in a cell; that of a blob is known without reading it."""
    return (
        f"CASE typeof({cell}) WHEN 'blob' THEN length({cell}) WHEN 'text' THEN length(CAST({cell} AS BLOB)) ELSE 0 END"
    )
