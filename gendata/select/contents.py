"""The content of a manifest's rows, from the stores: by position, verified, in Arrow batches.

Whoever trains, samples, evaluates or exports reads through this class, so that nothing gets in that the
manifest does not name: origins are compared with those in Lance, bytes with the ids.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.errors import StoreError
from gendata.originals import COLUMNS, Originals
from gendata.records.manifest import Manifest
from gendata.select.guard import check_origins
from gendata.store import STORES
from gendata.store.head import Store

CHUNK = 1024
"""Rows that ``batches`` reads at once."""


class Contents:
    """Texts and blobs of a manifest's rows, from the stores given. Raises StoreError or OriginError when it is made.

    A row that lies in a store which does not take its origin is refused, whatever the row says of itself.

    Memory is in proportion to the number of rows (a few bytes each), not to their content.
    """

    def __init__(self, manifest: Manifest, stores: Mapping[str, Store], *, verify: bool = True) -> None:
        self.manifest, self._verify, self._originals = manifest, verify, Originals.of(stores)
        self._rows = manifest.rows.combine_chunks()  # Arrow takes from one chunk many times faster than from several
        short = manifest.id[:12]
        check_origins(manifest.rows, manifest.selection.get("allow_origins", ()), f"manifest {short}")
        found = [(store, *_places(store, stores[store])) for store in STORES if store in stores]
        self._tables: list[Any] = [stores[store].table("items") for store, *_ in found]
        ids = pa.chunked_array([i for _, i, _ in found] or [pa.array([], pa.string())])
        at = pc.index_in(manifest.rows["id"], ids.combine_chunks())
        if at.null_count:
            first = manifest.rows["id"].filter(pc.is_null(at))[0].as_py()
            raise StoreError(
                f"manifest {short}: {at.null_count} of its {len(at)} rows are no longer in the store, "
                f"first {first[:12]}: select again with `gendata run`"
            )
        self._check_origins(pa.chunked_array([o for *_, o in found] or [pa.array([], pa.string())]), at)
        self._at: NDArray[np.int64] = at.to_numpy().astype(np.int64)
        self._starts = np.cumsum([0, *(len(i) for _, i, _ in found)])

    def _check_origins(self, origins: pa.ChunkedArray, at: pa.ChunkedArray) -> None:
        stored = origins.combine_chunks().take(at.combine_chunks())
        wrong = pc.not_equal(stored, self.manifest.rows["origin"].combine_chunks())
        if count := pc.sum(wrong).as_py():
            first = self.manifest.rows.filter(wrong).slice(0, 1).to_pylist()[0]
            raise StoreError(
                f"manifest {self.manifest.id[:12]}: {count} rows have another origin in the store, first "
                f"{first['id'][:12]} ({first['origin']} in the manifest): run `gendata doctor`"
            )

    def __len__(self) -> int:
        return len(self._at)

    def fetch(self, positions: Sequence[int] | NDArray[np.int64]) -> pa.Table:
        """Rows of the manifest at these positions, in this order, with the columns text and data.

        Raises StoreError where the content is not what the manifest says.
        """
        wanted = np.asarray(positions, np.int64)
        rows = self._rows.take(wanted)
        at = self._at[wanted]
        parts, order = [], []
        for number, table in enumerate(self._tables):
            inside = np.flatnonzero((at >= self._starts[number]) & (at < self._starts[number + 1]))
            if inside.size:
                offsets = at[inside] - self._starts[number]
                sort = np.argsort(offsets, kind="stable")  # Lance reads ascending rows fastest
                there = [n for n in ("text", *COLUMNS) if n in table.schema.names]  # fewer in a store of long ago
                parts.append(table.take(offsets[sort].tolist(), columns=there))
                order.append(inside[sort])
        found = pa.concat_tables(parts, promote_options="default")
        content = self._originals.fill(found.take(np.argsort(np.concatenate(order), kind="stable")))
        if self._verify:
            _verify(rows, content)
        return rows.append_column("text", content["text"]).append_column("data", content["data"])

    def batches(self, positions: Sequence[int] | NDArray[np.int64] | None = None) -> Iterator[pa.Table]:
        """All rows, or those at some positions, in order, CHUNK at a time."""
        wanted = np.arange(len(self)) if positions is None else np.asarray(positions, np.int64)
        for start in range(0, len(wanted), CHUNK):
            yield self.fetch(wanted[start : start + CHUNK])


_EMPTY = hashlib.sha256(b"").hexdigest()


def _places(name: str, store: Store) -> tuple[pa.Array, pa.Array]:
    """Id and origin of every row of the store's items, by position."""
    table = store.table("items")
    if table is None:
        return pa.array([], pa.string()), pa.array([], pa.string())
    rows = table.to_table(columns=["id", "origin"])
    if wrong := set(pc.unique(rows["origin"]).to_pylist()) - set(STORES[name]):
        found = ", ".join(sorted(wrong))
        raise StoreError(f"the store {name} holds rows of another origin in Lance ({found}): run `gendata doctor`")
    return rows["id"].combine_chunks(), rows["origin"].combine_chunks()


def _verify(rows: pa.Table, content: pa.Table) -> None:
    columns = (rows["id"], rows["text_sha256"], content["id"], content["text"], content["data"])
    for item_id, stated, there, text, data in zip(*(c.to_pylist() for c in columns), strict=True):
        digest = None if text is None else hashlib.sha256(text.encode()).hexdigest()
        own = hashlib.sha256(data).hexdigest() if data is not None else digest or _EMPTY
        if there != item_id or own != item_id:
            raise StoreError(
                f"item {item_id[:12]}: its content in the store is not what its id says: run `gendata doctor`"
            )
        if digest != stated:
            raise StoreError(
                f"item {item_id[:12]}: its text changed since the manifest: select again with `gendata run`"
            )
