"""What tables bring for items instead of it being computed: settings, and how a stage is given it.

``gendata.ingest.brought`` reads the tables and finds the items; stages ``tag`` and ``embed`` take what is brought from
``<source>/<shard>.parquet``, in the order of the items (tags: a row per item; vectors: VECTOR_SCHEMA), and keep
``<source>/rejected.parquet`` beside what they write.
"""

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError

REJECTED = "rejected.parquet"


@dataclass(frozen=True)
class TableParams:
    """One table, whose rows name items.

    Attributes:
        path: of the .parquet, .arrow, .jsonl, .json, .csv or .tsv file, relative to the project root.
        columns: to take.
        source: whose items the rows name; empty, with ``by: id``, for items of all sources.
        by: what a row names its item by: its uri (the path in the source) or its id.
        key: the column that holds it; empty for one of the name ``by``.
    """

    path: str
    columns: tuple[str, ...]
    source: str = ""
    by: Literal["uri", "id"] = "uri"
    key: str = ""

    def __post_init__(self) -> None:
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError("columns must name at least one column, and none twice")
        if self.by == "uri" and not self.source:
            raise ValueError("source is missing: a uri is a path in a source")

    @property
    def key_column(self) -> str:
        """The column that names the items."""
        return self.key or self.by


def check_names(tables: Mapping[str, TableParams]) -> None:
    """Raises ValueError where a table has a name that no file may have."""
    for name in tables:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise ValueError(f"tables: the name {name!r} must match [a-z0-9][a-z0-9_-]*")


def check_vectors(tables: Mapping[str, TableParams], *, passages: bool) -> None:
    """Raises ValueError where a table of vectors, of ``passages`` of texts or not, is not laid out as such."""
    check_names(tables)
    for name, table in tables.items():
        if len(table.columns) not in ({1, 3} if passages else {1}):
            more = ", with those of start and end after it for passages" if passages else ""
            raise ValueError(f"tables.{name}.columns: a vector is in one column{more}")


def values(folder: Path | None, source: str, shard: str) -> dict[str, str]:
    """By id, the tags that tables bring for the items of a shard of this file name."""
    path = _shard(folder, source, shard)
    if path is None:
        return {}
    table = files.read_table(path)
    return dict(zip(table["id"].to_pylist(), table["value"].to_pylist(), strict=True))


class Brought:
    """The vectors that tables bring for the items of a shard, read as the items come: memory is that of an item's."""

    def __init__(self, folder: Path | None, source: str, shard: str) -> None:
        self._path = _shard(folder, source, shard)
        batches = () if self._path is None else files.iter_batches(self._path)
        rows = (row for batch in batches for row in _rows(batch))
        self._items = itertools.groupby(rows, itemgetter("id"))
        self._next = self._take()

    def _take(self) -> tuple[str, list[dict[str, Any]]] | None:
        found = next(self._items, None)
        return found and (found[0], list(found[1]))

    def of(self, item_id: str) -> list[dict[str, Any]]:
        """The rows about an item; each item is asked for once, in order."""
        if self._next is None or self._next[0] != item_id:
            return []
        _, found = self._next
        self._next = self._take()
        return found

    def end(self) -> None:
        """Raises StoreError where rows remain: they are about no item that came."""
        if self._next is not None:
            raise StoreError(f"{self._path}: {self._next[0]} is not kept there; run `gendata run` again")


def _shard(folder: Path | None, source: str, shard: str) -> Path | None:
    path = None if folder is None else folder / source / shard
    return path if path is not None and path.is_file() else None


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """With vectors as arrays: lists of floats take many times the memory."""
    columns = [c.to_numpy(zero_copy_only=False) if pa.types.is_list(c.type) else c.to_pylist() for c in batch.columns]
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))
