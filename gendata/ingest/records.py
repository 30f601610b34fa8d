"""The records of a table file, streamed: memory does not grow with the file.

Each format gives ``(position, record or UnitError)``. Positions count from 1: lines of a .jsonl,
records of a .csv (the header is not counted, nor are blank lines), rows of a .parquet. A broken
record is a UnitError in its place and reading goes on; a broken file raises UnitError, and so does
a .csv in which a line or a field is over the limit.
"""

import csv
import json
import re
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams

Records = Iterator[tuple[int, dict[str, Any] | UnitError]]

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")

SAMPLE_ROWS = 1000
"""The columns of a .jsonl are the keys of this many first records."""

_BATCH_ROWS = 64


def records(file: BinaryIO, suffix: str, params: IngestParams) -> Records:
    """The records of an open file whose name ends with one of SUFFIXES."""
    if not file.read(1):
        raise UnitError("empty", "0 bytes")
    file.seek(0)
    read = {".csv": _csv, ".parquet": _parquet}.get(suffix, _jsonl)
    return read(file, params)


def columns(file: BinaryIO, suffix: str, params: IngestParams) -> list[str]:
    """The names of the columns, in their order; none if the file is broken."""
    try:
        if suffix == ".parquet":
            with _open_parquet(file) as table:
                return list(table.schema_arrow.names)
        if suffix == ".csv":
            return _header(_csv_rows(file, params))
        sample = islice(records(file, suffix, params), SAMPLE_ROWS)
        return list(dict.fromkeys(key for _, r in sample if not isinstance(r, UnitError) for key in r))
    except UnitError:
        return []


class _Lines:
    """Lines of bounded length; a longer one raises UnitError, and the next call goes on after it."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._limit = file, limit

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> bytes:
        first = self._file.tell() == 0
        line = self._file.readline(self._limit + 1)
        if not line:
            raise StopIteration
        if len(line) > self._limit:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(self._limit)
            raise UnitError("too-large", f"more than {self._limit} bytes; see ingest.max_record_bytes")
        return line.removeprefix(b"\xef\xbb\xbf") if first else line  # a byte order mark is no content of a table


def _jsonl(file: BinaryIO, params: IngestParams) -> Records:
    lines = _Lines(file, params.max_record_bytes)
    for number in count(1):
        try:
            line = next(lines)
            if line.strip():
                yield number, _json_object(line)
        except StopIteration:
            return
        except UnitError as error:
            yield number, error


_SURROGATE = re.compile(rb"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


def _json_object(line: bytes) -> dict[str, Any]:
    value = parse_json(line)
    if not isinstance(value, dict):
        raise UnitError("invalid-row", "the line is valid JSON, but not an object")
    return value


def parse_json(line: bytes) -> Any:
    """A value that can be written as UTF-8 again. Raises UnitError."""
    try:
        value = json.loads(line.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise UnitError("invalid-utf8", f"byte {error.start}: {error.reason}") from None
    except RecursionError:
        raise UnitError("invalid-json", "nested too deeply") from None
    except ValueError as error:
        raise UnitError("invalid-json", str(error)) from None
    if _SURROGATE.search(line):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UnitError("invalid-unicode", "half of a surrogate pair") from None
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _csv_rows(file: BinaryIO, params: IngestParams) -> Iterator[list[str]]:
    lines = _Lines(file, params.max_record_bytes)
    # a byte that is not UTF-8 must cost one record, not the rest of the file
    return csv.reader(map(_decode, lines), strict=True)


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _header(rows: Iterator[list[str]]) -> list[str]:
    try:
        header = next((_utf8(row) for row in rows if row), [])
    except (csv.Error, UnitError) as error:
        raise UnitError("corrupt-file", f"the header: {getattr(error, 'detail', error)}") from None
    if not header:
        raise UnitError("empty", "no header")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UnitError("corrupt-file", f"the header names {twice[0]!r} twice")
    return header


def _utf8(row: list[str]) -> list[str]:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        raise UnitError("invalid-utf8", "bytes that are not UTF-8") from None
    return row


def _csv(file: BinaryIO, params: IngestParams) -> Records:
    previous = csv.field_size_limit(params.max_record_bytes)  # of the process: the module offers no other
    try:
        rows = _csv_rows(file, params)
        header = _header(rows)
        numbers = count(1)
        while (record := _csv_record(rows, header)) is not None:
            if record:
                yield next(numbers), record
    finally:
        csv.field_size_limit(previous)


_LOST = "the rest of the file is not read"
"""Beyond a limit in a .csv nobody can tell whether a line is a record or the middle of a quoted field."""


def _csv_record(rows: Iterator[list[str]], header: list[str]) -> dict[str, Any] | UnitError | None:
    """The next record; empty for a blank line, None at the end."""
    try:
        row = _utf8(next(rows))
    except StopIteration:
        return None
    except csv.Error as error:
        if "field limit" in str(error):
            raise UnitError("too-large", f"{error}; {_LOST}") from None
        return UnitError("invalid-row", str(error))
    except UnitError as error:
        if error.reason == "too-large":
            raise UnitError("too-large", f"a line of {error.detail}; {_LOST}") from None
        return error
    if row and len(row) != len(header):
        return UnitError("invalid-row", f"{len(row)} fields, the header has {len(header)}")
    return dict(zip(header, row, strict=False))


_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What pyarrow raises on malformed files and values (seen by fuzzing)."""


def _parquet(file: BinaryIO, params: IngestParams) -> Records:
    numbers = count(1)
    with _open_parquet(file) as table:
        for group in range(table.num_row_groups):
            batches = table.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group])
            while (batch := _next_batch(batches)) is not None:
                for record in _rows(batch):
                    yield next(numbers), record


def _next_batch(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except _BROKEN as error:
        raise _corrupt(error) from None


def _open_parquet(file: BinaryIO) -> pq.ParquetFile:
    try:
        table = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)  # pages, not whole column chunks
        names = table.schema_arrow.names
    except _BROKEN as error:
        raise _corrupt(error) from None
    if len(set(names)) < len(names):
        raise UnitError("corrupt-file", "two columns have the same name")
    return table


def _corrupt(error: Exception) -> UnitError:
    return UnitError("corrupt-file", str(error))


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnitError]:
    for i, column in enumerate(batch.columns):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python has no such values
            batch = batch.set_column(i, batch.schema.names[i], pc.cast(column, pa.string()))
    try:
        yield from batch.to_pylist()
    except _BROKEN:  # one value spoils the batch: find out which
        for i in range(batch.num_rows):
            yield _row(batch.slice(i, 1))


def _row(row: pa.RecordBatch) -> dict[str, Any] | UnitError:
    try:
        (record,) = row.to_pylist()
    except UnicodeDecodeError as error:
        return UnitError("invalid-utf8", f"byte {error.start}: {error.reason}")
    except _BROKEN as error:
        return UnitError("invalid-row", str(error))
    return dict(record)
