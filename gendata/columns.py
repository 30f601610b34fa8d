"""Arrow tables to Parquet, in the very bytes that ``files.write_table`` gives of their rows.

What a stage has as columns needs no Python object per value on its way to disk.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata.files import GROUP_BYTES, GROUP_ROWS, parquet_writer


def write_columns(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    """The columns of ``schema`` to one Parquet file with fixed row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = table.select(schema.names).cast(schema)
    with parquet_writer(path, schema) as writer:
        for start, stop in _groups(_row_bytes(whole)):
            writer.write_table(whole.slice(start, stop - start).combine_chunks(), row_group_size=GROUP_ROWS)


def _groups(sizes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Spans of rows: each ends at the row that fills it."""
    ends, start = np.cumsum(sizes), 0
    while start < len(sizes):
        full = ends[start] - sizes[start] + GROUP_BYTES
        stop = min(start + GROUP_ROWS, int(np.searchsorted(ends, full)) + 1, len(sizes))
        yield start, stop
        start = stop


def _row_bytes(table: pa.Table) -> npt.NDArray[np.int64]:
    """``files.row_bytes`` of every row."""
    sizes = np.full(table.num_rows, 64, np.int64)
    for column in table.columns:
        length = _LENGTHS.get(column.type)
        if length is not None:
            sizes += pc.fill_null(pc.call_function(length, [column]), 0).to_numpy()
    return sizes


_LENGTHS = {
    pa.string(): "utf8_length",
    pa.large_string(): "utf8_length",
    pa.binary(): "binary_length",
    pa.large_binary(): "binary_length",
}
