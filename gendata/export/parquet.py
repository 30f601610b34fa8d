"""Format parquet: a few files per split, the bytes of media in the column ``data``."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from gendata.export.names import safe_name
from gendata.export.rows import SCHEMA

MODALITY = None
FILES = "data/{split}-*.parquet"
LAYOUT = "`data/<split>-00000.parquet` and on; the column `data` holds the bytes of images and audio."
LOAD = """import pandas
items = pandas.read_parquet("DEST/data")

from datasets import load_dataset
items = load_dataset("DEST", split="SPLIT")"""

_GROUP_ROWS, _GROUP_BYTES, _FILE_BYTES = 8192, 32 << 20, 512 << 20
"""A row group ends at so many rows or bytes, a file after so many bytes, before compression."""


class Writer:
    """Writes the files; holds a row group per split in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "data"
        self._splits: dict[str, _Split] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir()
        return self

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        if split not in self._splits:
            self._splits[split] = _Split(self._folder / safe_name(split))
        self._splits[split].add(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for split in self._splits.values():
            split.close()


class _Split:
    def __init__(self, stem: Path) -> None:
        self._stem, self._files = stem, 0
        self._writer: Any = None
        self._group: list[pa.Table] = []
        self._group_rows = self._group_bytes = self._file_bytes = 0

    def add(self, rows: pa.Table) -> None:
        self._group.append(rows)
        self._group_rows += rows.num_rows
        self._group_bytes += rows.nbytes
        if self._group_rows >= _GROUP_ROWS or self._group_bytes >= _GROUP_BYTES:
            self._flush()
            if self._file_bytes >= _FILE_BYTES:
                self.close()

    def _flush(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            path = self._stem.with_name(f"{self._stem.name}-{self._files:05d}.parquet")
            self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
            self._files, self._file_bytes = self._files + 1, 0
        self._writer.write_table(pa.concat_tables(self._group), row_group_size=self._group_rows)
        self._file_bytes += self._group_bytes
        self._group, self._group_rows, self._group_bytes = [], 0, 0

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
