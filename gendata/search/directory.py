"""Which item and which passage each row of a Lance table is, held in memory."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.ranges import spread
from gendata.store.head import Store

Places = NDArray[np.int64]
"""Rows by their number in the table, from 0: what ``take`` of a Lance table is asked for."""

Keys = NDArray[np.uint64]
RowIds = NDArray[np.uint64]

_READ: WeakKeyDictionary[Store, dict[str, "Directory"]] = WeakKeyDictionary()

_DIGITS = 16
_VALUES = np.zeros(256, np.uint64)
_VALUES[list(b"0123456789abcdef")] = range(16)


@dataclass(frozen=True)
class Directory:
    """Keys and parts of the rows of a table in its order, and their row ids as runs: 28 bytes a row with the index.

    A search needs to know of every row that it ranks which item it is of, and Lance takes longer to read a few
    hundred ids than to rank all passages. A vector index, which Lance holds in memory, takes many times as much.
    """

    keys: Keys
    parts: NDArray[np.int32]
    """0 where the table has none."""
    first_rows: RowIds
    """The first row id of each run of consecutive ones: a run ends with a fragment, or at a deleted row."""
    first_places: Places
    """Where that is, ascending."""

    @classmethod
    def read(cls, table: Any) -> "Directory":
        """The directory of a table with a column ``id``."""
        columns = [name for name in ("id", "part") if name in table.schema.names]
        rows, keys, parts = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
        for batch in table.to_batches(columns=columns, with_row_id=True):
            rows.append(batch["_rowid"].to_numpy())
            keys.append(keys_of(batch["id"]))
            parts.append(batch["part"].to_numpy() if "part" in columns else np.zeros(batch.num_rows, np.int32))
        return cls.of_rows(np.concatenate(rows), np.concatenate(keys), np.concatenate(parts))

    @classmethod
    def of_rows(cls, rows: RowIds, keys: Keys, parts: NDArray[np.int32]) -> "Directory":
        """Of these rows in the order of the table."""
        first = np.flatnonzero(np.diff(rows, prepend=rows[:1]) != 1)
        return cls(keys, parts, rows[first], first)

    def places(self, rows: RowIds) -> Places:
        """Where the rows with these ids are; each is there."""
        run = self._runs[np.searchsorted(self.first_rows, rows, "right", sorter=self._runs) - 1]
        return self.first_places[run] + (rows - self.first_rows[run]).astype(np.int64)

    def rows(self, places: Places) -> RowIds:
        """What Lance calls the ``_rowid`` of the rows in these places."""
        run = np.searchsorted(self.first_places, places, "right") - 1
        return self.first_rows[run] + (places - self.first_places[run]).astype(np.uint64)

    def of(self, keys: Keys) -> Places:
        """All rows of the items with these keys, ascending."""
        order, ordered = self._by_key
        first, last = (np.searchsorted(ordered, keys, side) for side in ("left", "right"))
        _, found = spread(first, last)
        return np.sort(order[found])

    def parts_of(self, keys: Keys) -> dict[tuple[int, int], int]:
        """The places of all rows of these items, by key and part."""
        places = self.of(keys)
        columns = (self.keys[places], self.parts[places], places)
        return {(key, part): place for key, part, place in zip(*(c.tolist() for c in columns), strict=True)}

    @cached_property
    def _runs(self) -> Places:
        return np.argsort(self.first_rows)

    @cached_property
    def _by_key(self) -> tuple[Places, Keys]:
        order = np.argsort(self.keys)
        return order, self.keys[order]


def directory(store: Store, name: str) -> Directory:
    """Of a table that an opened store has: read once."""
    read = _READ.setdefault(store, {})
    if name not in read:
        read[name] = Directory.read(store.table(name))
    return read[name]


def keys_of(ids: pa.Array) -> Keys:
    """The first 64 bits of each id: in the order of the ids, and as good as unique (two of a million: 3 in 10^8)."""
    first = pc.binary_slice(ids.cast(pa.binary()), 0, _DIGITS).cast(pa.binary(_DIGITS))
    digits = np.frombuffer(first.buffers()[1], np.uint8)[first.offset * _DIGITS :][: len(first) * _DIGITS]
    weights = np.uint64(16) ** np.arange(_DIGITS - 1, -1, -1, dtype=np.uint64)
    return _VALUES[digits.reshape(-1, _DIGITS)] @ weights
