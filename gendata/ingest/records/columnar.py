"""Tables in columns: .parquet; .arrow and .feather, as a file or as a stream (as ``datasets`` saves them)."""

from collections.abc import Iterable, Iterator
from itertools import chain, count
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gendata.ingest.reader import UnitError
from gendata.ingest.records.weights import bounded, weight

_BATCH_ROWS, _BATCH_BYTES = 64, 64 << 20
"""Read at once, and about their bytes: rows may be large."""

_MERGED, _MERGED_BYTES = 16, 1 << 20
"""Batches, and their bytes, that are put together where they are small."""

_BROKEN = (pa.ArrowException, OSError, ValueError, ArithmeticError)
"""What pyarrow raises on malformed files and values (seen by fuzzing)."""


def opened(file: BinaryIO, suffix: str) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema, and the rows, a few at a time. Raises UnitError, MemoryError."""
    return (_parquet if suffix == ".parquet" else _arrow)(file)


def numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, dict[str, Any] | UnitError]]:
    """A record per row, counted from 1."""
    return zip(count(1), chain.from_iterable(map(rows, batches)))


def merged(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in larger batches, of about a megabyte. What ends the batches is raised after the last one."""
    held, size = list[pa.RecordBatch](), 0
    try:
        for batch in batches:
            held.append(batch)
            size += weight(batch)
            if size >= _MERGED_BYTES or len(held) == _MERGED:
                yield from _concatenated(held)
                held, size = [], 0
    except UnitError:
        yield from _concatenated(held)
        raise
    yield from _concatenated(held)


def _concatenated(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """One, or as they are where their types cannot be put together."""
    try:
        return pa.Table.from_batches(batches).combine_chunks().to_batches() if len(batches) > 1 else batches
    except _BROKEN:
        return batches


def _parquet(file: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    try:
        table = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)  # pages, not whole column chunks
        return _distinct(table.schema_arrow), _parquet_batches(table)
    except _BROKEN as error:
        raise _corrupt(error) from None


def _parquet_batches(table: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    for number in range(table.num_row_groups):
        group = table.metadata.row_group(number)
        rows = _BATCH_BYTES * group.num_rows // max(1, group.total_byte_size)
        batches = table.iter_batches(batch_size=min(max(1, rows), _BATCH_ROWS), row_groups=[number])
        while (batch := _next_batch(batches)) is not None:
            yield from bounded(batch)


def _arrow(file: BinaryIO) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    try:
        magic = file.read(len(_FILE))
        file.seek(0)
        if magic == _FILE:
            table = pa.ipc.open_file(file)
            batches = (table.get_batch(i) for i in range(table.num_record_batches))
            return _distinct(table.schema), _arrow_batches(batches)
        stream = pa.ipc.open_stream(file)
        return _distinct(stream.schema), _arrow_batches(iter(stream))
    except _BROKEN as error:
        raise _corrupt(error) from None


_FILE = b"ARROW1"
"""How a file of Arrow's begins that is no stream."""


def _arrow_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a batch says of itself is verified before a value is read: offsets may lead anywhere."""
    while (batch := _next_batch(batches)) is not None:
        try:
            batch.validate(full=True)
        except _BROKEN as error:
            raise _corrupt(error) from None
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield from bounded(batch.slice(start, _BATCH_ROWS))


def _next_batch(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except _BROKEN as error:
        raise _corrupt(error) from None


def _distinct(schema: pa.Schema) -> pa.Schema:
    if len(set(schema.names)) < len(schema.names):
        raise UnitError("corrupt-file", "two columns have the same name")
    return schema


def _corrupt(error: Exception) -> UnitError:
    if isinstance(error, MemoryError):
        raise error
    return UnitError("corrupt-file", str(error))


def rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | UnitError]:
    """A record per row of a batch."""
    try:
        yield from _records(batch)
    except _BROKEN:  # one value spoils the batch: find out which
        for i in range(batch.num_rows):
            yield _row(batch.slice(i, 1))


def _records(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    for i, column in enumerate(batch.columns):
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":  # Python has no such values
            batch = batch.set_column(i, batch.schema.names[i], pc.cast(column, pa.string()))
    return list(batch.to_pylist())


def _row(row: pa.RecordBatch) -> dict[str, Any] | UnitError:
    try:
        (record,) = _records(row)
    except UnicodeDecodeError as error:
        return UnitError("invalid-utf8", f"byte {error.start}: {error.reason}")
    except _BROKEN as error:
        return UnitError("invalid-row", str(error))
    return dict(record)
