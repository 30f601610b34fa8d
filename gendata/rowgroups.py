"""Rows or columns to one Parquet file: the same rows give the same bytes, for they cut the row groups themselves."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gendata.items import to_table

GROUP_ROWS, GROUP_BYTES = 1024, 16 << 20
"""A row group is closed at this many rows or bytes, whichever comes first."""

Sizes = npt.NDArray[np.int64]
"""``row_bytes`` of every row of a table."""


def parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """As every shard is written."""
    return pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, version="2.6", write_statistics=True)


class RowGroupWriter:
    """Writes rows of one schema into one Parquet file with row groups fixed by content.

    A group is encoded by a thread, without Python's lock, while the rows of the next one come; at most one at a time.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[Mapping[str, Any]] = []
        self._tables: list[pa.Table] = []  # before the rows
        self._count, self._bytes = 0, 0
        self._writer = parquet_writer(path, schema)
        self._thread = ThreadPoolExecutor(1)
        self._group: Future[None] | None = None

    def write(self, row: Mapping[str, Any], elsewhere: int = 0) -> None:
        """One more row; ``elsewhere`` are bytes that it stands for."""
        self._rows.append(row)
        self._add(1, row_bytes(row) + elsewhere)

    def extend(self, table: pa.Table, sizes: Sizes) -> None:
        """More rows, in columns of the schema, and their sizes."""
        self._to_table()
        ends, start, before = np.cumsum(sizes), 0, 0
        while start < table.num_rows:
            full = int(np.searchsorted(ends, before + GROUP_BYTES - self._bytes)) + 1
            stop = min(start + GROUP_ROWS - self._count, full, table.num_rows)
            self._tables.append(table.slice(start, stop - start))
            size = int(ends[stop - 1]) - before
            start, before = stop, before + size
            self._add(self._tables[-1].num_rows, size)

    def _add(self, count: int, size: int) -> None:
        """Count what was taken; a group that it filled is handed over."""
        self._count, self._bytes = self._count + count, self._bytes + size
        if self._count >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._to_table()
            tables, self._tables, self._count, self._bytes = self._tables, [], 0, 0
            self._wait()
            self._group = self._thread.submit(self._write, tables)

    def _to_table(self) -> None:
        if self._rows:
            self._tables.append(to_table(self._rows, self._schema))
            self._rows = []

    def _write(self, tables: list[pa.Table]) -> None:
        """A group in one piece: the bytes depend on how it is cut."""
        self._writer.write_table(pa.concat_tables(tables).combine_chunks(), row_group_size=GROUP_ROWS)

    def _wait(self) -> None:
        """Until no group is being written. Raises what the writing raised."""
        if self._group is not None:
            self._group.result()
            self._group = None

    def close(self) -> None:
        """Write what is buffered and the footer."""
        self._wait()
        self._thread.shutdown()
        self._to_table()
        if self._tables:
            self._write(self._tables)
        self._writer.close()


def row_bytes(row: Mapping[str, Any]) -> int:
    """About the memory that the row's texts and blobs take."""
    return 64 + sum([len(v) for v in row.values() if isinstance(v, (str, bytes))])


def row_sizes(table: pa.Table) -> Sizes:
    """``row_bytes`` of every row."""
    sizes = np.full(table.num_rows, 64, np.int64)
    for column in table.columns:
        length = _LENGTHS.get(column.type)
        if length is not None and column.null_count < table.num_rows:
            lengths = pc.call_function(length, [column])
            lengths = pc.fill_null(lengths, 0) if column.null_count else lengths
            sizes += np.from_dlpack(lengths.combine_chunks())  # to_numpy would import pandas
    return sizes


_LENGTHS = {
    pa.string(): "utf8_length",
    pa.large_string(): "utf8_length",
    pa.binary(): "binary_length",
    pa.large_binary(): "binary_length",
}
