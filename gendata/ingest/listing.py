"""The listing of a source: gathered and sorted as columns, read a page at a time, so that few entries are in memory."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import attrgetter
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gendata import files
from gendata.ingest.reader import UNIT, Entry
from gendata.rowgroups import row_sizes

LISTING_SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("sha256", pa.string()),
        pa.field("problem", pa.string()),
    ]
)
"""Sorted by uri. ``role`` is unit, caption, sidecar or linked (see reader); ``problem`` the reject reason of an
entry that cannot be opened as a unit, which then has no size and no hash: its content is not watched."""

_ROWS = 4096
"""Entries that become columns at once."""

_PAGES = 16
"""Pages that are kept: more than a binary search in ten million entries reads, so that the next nearby reads none."""

_NEAR = 8
"""Entries before and behind a place in which another one is looked for first."""

_COLUMNS = pa.schema([(f.name, pa.large_string() if f.type == pa.string() else f.type) for f in LISTING_SCHEMA])
"""The same without the limit of 2 GB."""


class Gathered:
    """Entries on their way into a listing, in any order."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._batches: list[pa.RecordBatch] = []

    def add(self, entry: Entry) -> None:
        """One more."""
        self._entries.append(entry)
        if len(self._entries) == _ROWS:
            self._to_columns()

    def _to_columns(self) -> None:
        columns = [pa.array(list(map(attrgetter(f.name), self._entries)), f.type) for f in _COLUMNS]
        self._batches.append(pa.RecordBatch.from_arrays(columns, schema=_COLUMNS))
        self._entries = []

    def write(self, path: Path) -> dict[str, Any]:
        """The listing, sorted by uri; its units, problems and bytes."""
        self._to_columns()
        table = pa.Table.from_batches(self._batches).combine_chunks()
        self._batches = []
        order = pc.sort_indices(table, [("uri", "ascending")])  # bytes of UTF-8 sort as str does
        writer = files.RowGroupWriter(path, LISTING_SCHEMA)
        for start in range(0, len(order), _ROWS):
            some = table.take(order[start : start + _ROWS]).cast(LISTING_SCHEMA)
            writer.extend(some, row_sizes(some))
        writer.close()
        return {
            "units": pc.sum(pc.equal(table["role"], UNIT)).as_py() or 0,
            "problems": len(table) - table["problem"].null_count,
            "bytes": pc.sum(table["size"]).as_py() or 0,
        }


class Listing(Sequence[Entry]):
    """The entries of a listing as ``Gathered`` wrote it. Raises StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise files.unreadable(path, error) from error
        groups = self._file.metadata
        self._ends = list(accumulate(groups.row_group(i).num_rows for i in range(groups.num_row_groups)))
        self._page = lru_cache(_PAGES)(self._read)
        self._last = range(0), list[Entry]()  # the page that was looked at, and where it is

    def _read(self, page: int) -> list[Entry]:
        try:
            rows = self._file.read_row_group(page, LISTING_SCHEMA.names, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise files.unreadable(self._path, error) from error
        return list(map(Entry, *(column.to_pylist() for column in rows.columns)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Entry]:
        for page in range(len(self._ends)):
            yield from self._page(page)

    @overload
    def __getitem__(self, at: int) -> Entry: ...

    @overload
    def __getitem__(self, at: slice) -> list[Entry]: ...

    def __getitem__(self, at: int | slice) -> Entry | list[Entry]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        where, entries = self._last
        if at not in where:
            at = range(len(self))[at]
            page = bisect_right(self._ends, at)
            entries = self._page(page)
            where = range(self._ends[page] - len(entries), self._ends[page])
            self._last = where, entries
        return entries[at - where.start]


def find(entries: Sequence[Entry], uri: str, near: int) -> int | None:
    """Where the entry of a uri is, probably near a place."""
    for at in range(near, min(near + 2, len(entries))):
        if entries[at].uri == uri:
            return at
    low, high = max(near - _NEAR, 0), min(near + _NEAR, len(entries))
    if low >= high or not entries[low].uri <= uri <= entries[high - 1].uri:
        low, high = 0, len(entries)
    at = bisect_left(entries, uri, low, high, key=attrgetter("uri"))
    return at if at < len(entries) and entries[at].uri == uri else None
