"""Which item and which passage each row of a Lance table is, held in memory."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.store.head import Store

Places = NDArray[np.int64]
"""Rows by their number in the table, from 0: what ``take`` of a Lance table is asked for."""

Keys = NDArray[np.uint64]

_READ: WeakKeyDictionary[Store, dict[str, "Directory"]] = WeakKeyDictionary()

_DIGITS = 16
_VALUES = np.zeros(256, np.uint64)
_VALUES[list(b"0123456789abcdef")] = range(16)


@dataclass(frozen=True)
class Directory:
    """Row ids, keys and parts of a table in its order: 36 bytes a row with the two orders that are derived.

    A search needs to know of every row that it ranks which item it is of, and Lance takes longer to read a few
    hundred ids than to rank all passages. A vector index, which Lance holds in memory, takes some 15 times as much.
    """

    rows: NDArray[np.uint64]
    """What Lance calls ``_rowid``."""
    keys: Keys
    parts: NDArray[np.int32]
    """0 where the table has none."""

    @classmethod
    def read(cls, table: Any) -> "Directory":
        """The directory of a table with a column ``id``."""
        columns = [name for name in ("id", "part") if name in table.schema.names]
        rows, keys, parts = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)], [np.empty(0, np.int32)]
        for batch in table.to_batches(columns=columns, with_row_id=True):
            rows.append(batch["_rowid"].to_numpy())
            keys.append(keys_of(batch["id"]))
            parts.append(batch["part"].to_numpy() if "part" in columns else np.zeros(batch.num_rows, np.int32))
        return cls(np.concatenate(rows), np.concatenate(keys), np.concatenate(parts))

    def places(self, rows: NDArray[np.uint64]) -> Places:
        """Where the rows with these ids are; each is there."""
        return self._by_row[np.searchsorted(self.rows, rows, sorter=self._by_row)]

    def of(self, keys: Iterable[int]) -> Places:
        """All rows of the items with these keys, ascending."""
        wanted, order = np.fromiter(keys, np.uint64), self._by_key
        first, last = (np.searchsorted(self.keys, wanted, side, sorter=order).tolist() for side in ("left", "right"))
        found = [order[a:b] for a, b in zip(first, last, strict=True)]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def place(self, key: int, part: int) -> int | None:
        """Of one passage; None if it is not in the table."""
        places = self.of([key])
        found = places[self.parts[places] == part]
        return int(found[0]) if len(found) else None

    @cached_property
    def _by_row(self) -> Places:
        return np.argsort(self.rows)

    @cached_property
    def _by_key(self) -> Places:
        return np.argsort(self.keys)


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
