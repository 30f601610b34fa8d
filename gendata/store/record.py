"""store.json: what a store holds, as counts and digests; no versions, no paths.

The same record follows from the shards, from a catalog and from Lance tables, row by row, so that
each can be checked against the others.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pyarrow as pa

from gendata.items import canonical_json
from gendata.store import OUTPUTS, store_of
from gendata.store.head import SCHEMA

COUNTED = ("modality", "origin", "source", "split", "lang")
_COUNTED_OF = {"items": COUNTED, "rejected": ("reason",)}


def home_of(sources: Mapping[str, Mapping[str, Any]], store: str) -> set[str]:
    """The sources that a store answers for: rejects have no origin and go where their source goes."""
    if store == OUTPUTS:
        return set(sources)
    return {name for name, source in sources.items() if store_of(source.get("origin") or "unknown") == store}


class Digest:
    """The sum, modulo 2**256, of the sha256 of every row: whatever their order, and as a sum of those of parts.

    A multiset hash (MSet-Add-Hash of Clarke et al., 2003), against mishaps and not against forgers.
    """

    def __init__(self, count: int = 0, total: int = 0) -> None:
        self.count, self.sum = count, total

    def add(self, row: bytes) -> None:
        """Take in a row."""
        self.sum = (self.sum + int.from_bytes(hashlib.sha256(row).digest())) % (1 << 256)
        self.count += 1

    def table(self, rows: pa.Table) -> None:
        """Take in the rows of a table."""
        for row in rows.to_pylist():
            self.add(canonical_json(row).encode())

    def vectors(self, ids: Sequence[str], vectors: Any, parts: Sequence[int] | None = None) -> None:
        """Take in vectors (n, d), as anything that NumPy reads; without ``parts`` all are part 0."""
        for id_, part, vector in zip(ids, parts or [0] * len(ids), np.asarray(vectors, np.float32), strict=True):
            self.add(f"{id_}\n{part}\n".encode() + vector.tobytes())

    def __iadd__(self, other: "Digest") -> Self:
        self.sum, self.count = (self.sum + other.sum) % (1 << 256), self.count + other.count
        return self

    def hexdigest(self) -> str:
        """Of all rows so far."""
        return f"{self.sum:064x}"


class Record:
    """Counts and hashes rows as they go by; those of parts add up to that of the whole."""

    def __init__(self) -> None:
        self._digests = {kind: Digest() for kind in ("items", "rejected", "passages", "images")}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in (*COUNTED, "reason")}

    def passing(self, kind: str, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Take in rows of the catalog's ``items`` or ``rejected``, and pass them on."""
        for table in tables:
            self._digests[kind].table(table)
            for name in _COUNTED_OF[kind]:
                self._counts[name].update("" if v is None else v for v in table[name].to_pylist())
            yield table

    def rows(self, kind: str, tables: Iterable[pa.Table]) -> None:
        """Take in rows of the catalog's ``items`` or ``rejected``."""
        for _ in self.passing(kind, tables):
            pass

    def vectors(self, kind: str, columns: Iterable[Mapping[str, Any]]) -> None:
        """Take in the vectors of ``passages`` or ``images``."""
        for some in columns:
            self._digests[kind].vectors(some["id"], some["vector"], some.get("part"))

    def count(self, kind: str) -> int:
        """How many items, rejected, passages or images there were."""
        return self._digests[kind].count

    def __iadd__(self, other: "Record") -> Self:
        for kind, digest in other._digests.items():
            self._digests[kind] += digest
        for name, counter in other._counts.items():
            self._counts[name] += counter
        return self

    def state(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        digests = {kind: [digest.count, digest.hexdigest()] for kind, digest in self._digests.items()}
        return {"digests": digests, "counts": self._counts}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The record that had this ``state``."""
        record = cls()
        record._digests = {kind: Digest(count, int(total, 16)) for kind, (count, total) in state["digests"].items()}
        record._counts = {name: Counter(counts) for name, counts in state["counts"].items()}
        return record

    def result(self, name: str, home: Iterable[str]) -> dict[str, Any]:
        """The content of store.json."""
        kinds = ("passages", "images")
        return {
            "schema": SCHEMA,
            "store": name,
            "sources": sorted(home),
            **{kind: digest.count for kind, digest in self._digests.items()},
            "by": {column: dict(sorted(self._counts[column].items())) for column in COUNTED},
            "rejected_by_reason": dict(sorted(self._counts["reason"].items())),
            "digest": self._digests["items"].hexdigest(),
            "digest_rejected": self._digests["rejected"].hexdigest(),
            "digest_vectors": {kind: self._digests[kind].hexdigest() for kind in kinds},
        }
