"""What differs between a Lance table and the rows that it should hold, item by item."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

Prints = dict[str, int]
"""Item id to a digest of all its rows, in whatever order they stand."""


@dataclass(frozen=True)
class Changes:
    """Items whose rows have to go, and items whose rows have to come; a changed item is in both."""

    out: pa.Array
    into: pa.Array

    @classmethod
    def between(cls, old: Prints, new: Prints) -> "Changes":
        """From the rows that are there to those that should be."""
        out = sorted(i for i, digest in old.items() if new.get(i) != digest)
        into = sorted(i for i, digest in new.items() if old.get(i) != digest)
        return cls(pa.array(out, pa.string()), pa.array(into, pa.string()))

    def __len__(self) -> int:
        """How many items differ."""
        return len(set(self.out.to_pylist()) | set(self.into.to_pylist()))


def prints(batches: Iterable[pa.RecordBatch]) -> tuple[Prints, int]:
    """The digest of every item in these rows, and how many they are; blobs are not looked at: the id is their hash."""
    found: Prints = {}
    count = 0
    for batch in batches:
        count += batch.num_rows
        names = [n for n in batch.schema.names if n not in {"id", "vector", "data"}]
        ids, facts = batch["id"].to_pylist(), zip(*(batch[n].to_pylist() for n in names), strict=True)
        vectors: Iterable[bytes] = (
            map(np.ndarray.tobytes, np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1))
            if "vector" in batch.schema.names
            else (b"" for _ in ids)
        )
        for id_, row, vector in zip(ids, facts, vectors, strict=True):
            digest = hashlib.blake2b(repr(row).encode() + vector, digest_size=8).digest()
            found[id_] = (found.get(id_, 0) + int.from_bytes(digest)) % (1 << 64)
    return found, count
