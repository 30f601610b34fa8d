"""store.json: what a store holds, as counts and digests; no versions, no paths.

The same record follows from the shards, from a catalog and from Lance tables, row by row, so that
each can be checked against the others.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gendata.items import canonical_json
from gendata.store import OUTPUTS, store_of
from gendata.store.head import SCHEMA

COUNTED = ("modality", "origin", "source", "split", "lang")


def home_of(sources: Mapping[str, Mapping[str, Any]], store: str) -> set[str]:
    """The sources that a store answers for: rejects have no origin and go where their source goes."""
    if store == OUTPUTS:
        return set(sources)
    return {name for name, source in sources.items() if store_of(source.get("origin") or "unknown") == store}


class Record:
    """Counts and hashes rows as they go by."""

    def __init__(self) -> None:
        self._items, self._rejects = hashlib.sha256(), hashlib.sha256()
        self._vectors = {"passages": VectorDigest(), "images": VectorDigest()}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in COUNTED}
        self._reasons: Counter[str] = Counter()

    def items(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Pass rows of the catalog's ``items`` on."""
        for table in tables:
            _update(self._items, table)
            for name, counter in self._counts.items():
                counter.update("" if v is None else v for v in table[name].to_pylist())
            yield table

    def rejected(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """Pass rows of the catalog's ``rejected`` on."""
        for table in tables:
            _update(self._rejects, table)
            self._reasons.update(table["reason"].to_pylist())
            yield table

    def vectors(self, kind: str, columns: Iterable[Mapping[str, Any]]) -> None:
        """Take in the vectors of ``passages`` or ``images``."""
        for some in columns:
            self._vectors[kind].update(some["id"], some["vector"], some.get("part"))

    def result(self, name: str, home: Iterable[str]) -> dict[str, Any]:
        """The content of store.json."""
        return {
            "schema": SCHEMA,
            "store": name,
            "sources": sorted(home),
            "items": sum(self._counts["modality"].values()),
            "rejected": sum(self._reasons.values()),
            **{kind: vectors.count for kind, vectors in self._vectors.items()},
            "by": {column: dict(sorted(c.items())) for column, c in self._counts.items()},
            "rejected_by_reason": dict(sorted(self._reasons.items())),
            "digest": self._items.hexdigest(),
            "digest_rejected": self._rejects.hexdigest(),
            "digest_vectors": {kind: vectors.hexdigest() for kind, vectors in self._vectors.items()},
        }


class VectorDigest:
    """The sum, modulo 2**256, of sha256 over (id, part, vector) of each row: whatever their order.

    A multiset hash (MSet-Add-Hash of Clarke et al., 2003), against mishaps and not against forgers.
    """

    def __init__(self) -> None:
        self.count = self._sum = 0

    def update(self, ids: Sequence[str], vectors: Any, parts: Sequence[int] | None = None) -> None:
        """Take in rows: ``vectors`` (n, d) as anything that NumPy reads; without ``parts`` all are part 0."""
        rows = zip(ids, parts or [0] * len(ids), np.asarray(vectors, np.float32), strict=True)
        for id_, part, vector in rows:
            row = hashlib.sha256(f"{id_}\n{part}\n".encode() + vector.tobytes())
            self._sum = (self._sum + int.from_bytes(row.digest())) % (1 << 256)
            self.count += 1

    def hexdigest(self) -> str:
        """Of all rows so far."""
        return f"{self._sum:064x}"


def _update(digest: Any, table: pa.Table) -> None:
    for row in table.to_pylist():
        digest.update(canonical_json(row).encode("utf-8") + b"\n")
