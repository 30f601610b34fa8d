"""Columns of strings or bytes on disk, in Arrow's own layout: appended to once, then mapped into memory.

An Arrow array over one mapping takes any rows in time that does not grow with their number; a table read from Arrow
IPC or Parquet is in chunks, which each lookup has to find.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata.errors import StoreError


class ColumnWriter:
    """A column as two files in Arrow's layout: ``<name>.values``, and ``<name>.offsets`` of n + 1 int64."""

    def __init__(self, path: Path) -> None:
        self.name, self._end = path.name, 0
        self._values = path.with_suffix(".values").open("wb")
        self._offsets = path.with_suffix(".offsets").open("wb")
        self._offsets.write(np.int64(0).tobytes())

    def add(self, column: pa.ChunkedArray) -> None:
        """Append values; a null is an empty one."""
        array = pc.fill_null(column.cast(pa.large_binary()), b"").combine_chunks()
        ends = np.cumsum(pc.binary_length(array).to_numpy()) + self._end
        self._offsets.write(ends.astype(np.int64).tobytes())
        offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
        if values := array.buffers()[2]:
            self._values.write(memoryview(values)[offsets[0] : offsets[-1]])
        self._end = int(ends[-1])

    def close(self) -> None:
        """End both files."""
        self._values.close()
        self._offsets.close()


def open_columns(folder: Path, names: Sequence[str]) -> list[pa.Array]:
    """Columns of one length, mapped into memory; ``data`` as bytes, the others as text.

    Raises StoreError if they are not whole.
    """
    try:
        columns = [_open(folder / name) for name in names]
        if len({len(column) for column in columns}) > 1:
            raise ValueError("its columns differ in length")
    except (OSError, ValueError, IndexError) as error:
        raise StoreError(f"{folder}: cannot be read ({error}): delete it and open the dataset again") from None
    return columns


def _open(path: Path) -> pa.Array:
    values, offsets = _mapped(path.with_suffix(".values")), _mapped(path.with_suffix(".offsets"))
    if int(np.frombuffer(offsets, np.int64)[-1]) != values.size:
        raise ValueError(f"{path.name} was cut short")
    kind = pa.large_binary() if path.name == "data" else pa.large_string()
    return pa.Array.from_buffers(kind, offsets.size // 8 - 1, [None, offsets, values])


def _mapped(path: Path) -> pa.Buffer:
    if path.stat().st_size == 0:  # which cannot be mapped
        return pa.py_buffer(b"")
    with pa.memory_map(str(path)) as file:
        return file.read_buffer()
