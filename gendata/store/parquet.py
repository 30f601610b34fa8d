"""What Parquet files tell before their rows are read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendata.files import unreadable


def digest(path: Path, but: str | None = None) -> str:
    """The sha256 of a Parquet file's bytes, in hex, without those of the column ``but``, which are not read.

    Raises StoreError if it is not there or is no Parquet file.
    """
    try:
        found = hashlib.sha256()
        with pq.ParquetFile(path) as parquet, path.open("rb") as file:
            for chunk in _chunks(parquet.metadata, but):
                start = min(filter(None, (chunk.dictionary_page_offset, chunk.data_page_offset)))
                found.update(file.read(start - file.tell()))
                file.seek(start + chunk.total_compressed_size)
            while block := file.read(1 << 20):
                found.update(block)
        return found.hexdigest()
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def extremes(path: Path, column: str) -> tuple[Any, Any] | None:
    """The least and the greatest value of a column, as the footer of a Parquet file says; None if it does not say.

    Raises StoreError if the file is not there or is no Parquet file.
    """
    try:
        with pq.ParquetFile(path) as file:
            found = [chunk.statistics for chunk in _chunks(file.metadata, column)]
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error
    if not found or not all(one and one.has_min_max for one in found):
        return None
    return min(one.min for one in found), max(one.max for one in found)


def _chunks(metadata: pq.FileMetaData, column: str | None) -> Iterator[pq.ColumnChunkMetaData]:
    """What the footer says of a column, a row group at a time."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = map(group.column, range(group.num_columns))
        yield from (chunk for chunk in chunks if chunk.path_in_schema == column)
