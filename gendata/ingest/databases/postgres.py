"""PostgreSQL, through ADBC (extra ``postgres``): one SELECT in a transaction that is read-only, streamed by COPY."""

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import pyarrow as pa

from gendata.errors import ParamsError
from gendata.ingest import addresses
from gendata.ingest.cells import as_meta
from gendata.ingest.databases import Limit, Record, quoted, selected, too_large
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.ingest.records.columnar import rows

_SETTINGS = (
    "TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "LOCAL DateStyle = 'ISO'",
    "LOCAL IntervalStyle = 'postgres'",
    "LOCAL TimeZone = 'UTC'",
)
"""Of the transaction: a server's own settings must not show in what is read."""

_AS_TEXT = {"money", "interval"}
"""Types whose values Arrow has not; so are those that ADBC gives as the bytes of the wire."""

_CONNECT_SECONDS = 10

_PREFIX = re.compile(r"^[A-Z_]+: (\[libpq\] )?")
"""What ADBC puts before the server's words."""

_FIXED = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_temporal)
"""Types whose values are small."""


class Query:
    """A query to a server; see ``databases.Result``. ``seconds`` are those that we may wait for it, in all."""

    def __init__(self, where: str, uri: str, query: str, key: str, seconds: float) -> None:
        self._where, self._uri, self._query, self._key = where, uri, query, key
        self._seconds = self._left = seconds
        self._adbc = _adbc(where)
        self._open = ExitStack()
        try:
            with self._errors("uri"):
                connection = self._open.enter_context(self._adbc.connect(_patient(uri), autocommit=False))
                self._cursor = self._open.enter_context(connection.cursor())
            with self._errors(), self._watched():
                for setting in _SETTINGS:
                    self._cursor.execute(f"SET {setting}")
                self._schema = self._cursor.adbc_execute_schema(f"SELECT * FROM {selected(query)}")
            self.columns: list[str] = list(self._schema.names)
            if twice := sorted({name for name in self.columns if self.columns.count(name) > 1}):
                raise ParamsError(f"{where}.query: two columns have the name {twice[0]!r}; name one of them by AS")
            if key not in self.columns:
                raise ParamsError(f"{where}.key: no column {key!r}; there are: {', '.join(self.columns)}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Leave the server, whether all was read or not."""
        self._open.close()

    def records(self, limit: Limit) -> Iterator[Record]:
        """The rows in the order of the key: of texts that of their bytes, whatever the server's language."""
        fields = list(self._schema)
        cells = [_cell(field) for field in fields]
        large = [f"{_size(field)} > {limit(field.name)}" for field in fields]
        kept = [
            f"CASE WHEN {test} THEN NULL ELSE {cell} END AS {quoted(field.name)}"
            for field, cell, test in zip(fields, cells, large, strict=True)
        ]
        first = " ".join(f"WHEN {test} THEN {i}" for i, test in enumerate(large))
        key = self._schema.field(self._key)
        order = f"q.{quoted(self._key)}" + (' COLLATE "C"' if pa.types.is_string(key.type) else "")
        sql = f"SELECT {', '.join(kept)}, CASE {first} END FROM {selected(self._query)} ORDER BY {order}"
        json = [field.name for field in fields if _is_json(field)]
        with self._errors(), self._watched():
            self._cursor.execute(sql)
            batches = self._cursor.fetch_record_batch()
        while (batch := self._next(batches)) is not None:
            beyond = batch.column(len(fields)).to_pylist()
            for record, at in zip(rows(batch.select(range(len(fields)))), beyond, strict=True):
                yield ({}, record) if isinstance(record, UnitError) else _record(record, json, self.columns, at)

    def _next(self, batches: pa.RecordBatchReader) -> pa.RecordBatch | None:
        with self._errors(), self._watched():
            return next(batches, None)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Cancel what the server does when its time is over; ours is not counted."""
        start = time.monotonic()
        watch = threading.Timer(max(self._left, 0), self._cursor.adbc_cancel)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()
            watch.join()  # where it is at it: soon there is nothing left to cancel, which is an error of its own
            self._left -= time.monotonic() - start

    @contextmanager
    def _errors(self, key: str = "query") -> Iterator[None]:
        """The server's errors as ParamsError, without passwords."""
        try:
            yield
        except (self._adbc.Error, OSError, pa.ArrowException) as error:  # the latter come from the reader
            if self._left <= 0:
                detail = f"takes longer than ingest.query_seconds, {self._seconds:g}"
            else:
                detail = addresses.redacted(str(error).partition("\n\nQuery was:")[0], self._uri)
            raise ParamsError(f"{self._where}.{key}: {' '.join(_PREFIX.sub('', detail).split())}") from None


def _adbc(where: str) -> ModuleType:
    try:
        import adbc_driver_postgresql.dbapi as adbc
    except ImportError:
        raise ParamsError(f"{where}: PostgreSQL needs the extra: pip install 'gendata[postgres]'") from None
    found: ModuleType = adbc
    return found


def _patient(uri: str) -> str:
    """The address, in which a server that does not answer is given up soon."""
    if "connect_timeout=" in uri or "PGCONNECT_TIMEOUT" in os.environ:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}connect_timeout={_CONNECT_SECONDS}"


def _cell(field: pa.Field) -> str:
    """SQL for a cell as we want it: ADBC flattens arrays of several dimensions, and Python knows few points in time."""
    cell = f"q.{quoted(field.name)}"
    of_the_wire = isinstance(field.type, pa.OpaqueType) and pa.types.is_binary(field.type.storage_type)
    if _is_json(field):
        return f"to_jsonb({cell})"
    return f"{cell}::text" if of_the_wire or pa.types.is_temporal(field.type) or _type(field) in _AS_TEXT else cell


def _is_json(field: pa.Field) -> bool:
    return pa.types.is_nested(field.type) or isinstance(field.type, pa.JsonType)


def _size(field: pa.Field) -> str:
    """SQL for the bytes in a cell; that of a bytea is known without reading it."""
    if any(is_such(field.type) for is_such in _FIXED):
        return "0"
    return f"octet_length(q.{quoted(field.name)}{'' if _type(field) == 'bytea' else '::text'})"


def _type(field: pa.Field) -> str:
    name: bytes = (field.metadata or {}).get(b"POSTGRESQL:type", b"")
    return name.decode()


def _record(record: dict[str, Any], json: list[str], columns: list[str], beyond: int | None) -> Record:
    if beyond is not None:
        return record, too_large(columns[beyond])
    try:
        return record | {
            name: as_meta(parse_json(record[name].encode())) for name in json if record[name] is not None
        }, None
    except UnitError as error:  # nested too deeply, say
        return record, error
