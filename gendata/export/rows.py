"""The rows of an export: content from Lance, verified, with what the catalog says beside the manifest."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck
from gendata.errors import StoreError
from gendata.records.manifest import Manifest
from gendata.select.contents import CHUNK, Contents
from gendata.store import STORES
from gendata.store.head import Store

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("license", pa.string()),
        pa.field("split", pa.string(), nullable=False),
        pa.field("media_type", pa.string()),
        pa.field("text", pa.string()),
        pa.field("text_origin", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("data", pa.binary()),
    ]
)
"""One row per item. ``text`` is the caption of an image; ``meta`` is a JSON object."""

_DETAILS = ("media_type", "text_origin", "meta")
_BLOCK = 8192
"""Rows asked of a catalog at once."""
_FIRST, _BYTES = 64, 32 << 20
"""Rows read first of a source, and the bytes that a batch should have: the next is sized by the one before."""


def read_rows(contents: Contents, stores: Mapping[str, Store]) -> Iterator[pa.Table]:
    """All rows of a manifest in its order, as tables of SCHEMA of about 32 MB at most.

    Raises StoreError where content is not what the manifest says.
    """
    with contextlib.ExitStack() as stack:
        details = _Details(contents.manifest, stores, stack)
        for start, stop in _runs(contents.manifest.rows["source"]):
            size = _FIRST
            while start < stop:
                end = min(start + size, stop)
                table = contents.fetch(np.arange(start, end))
                for name, column in details.rows(start, end).items():
                    table = table.append_column(name, column)
                yield table.select(SCHEMA.names).cast(SCHEMA)
                size = max(1, min(CHUNK, _BYTES * (end - start) // max(table.nbytes, 1)))
                start = end


def _runs(column: pa.ChunkedArray) -> Iterator[tuple[int, int]]:
    """(start, stop) of the runs of equal values: items of one source are alike in size."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    yield from itertools.pairwise(edges)


class _Details:
    """Columns that only the catalogs have, by position in the manifest. Memory: two numbers per row, and a block."""

    def __init__(self, manifest: Manifest, stores: Mapping[str, Store], stack: contextlib.ExitStack) -> None:
        import duckdb

        ids, count = manifest.rows["id"], manifest.rows.num_rows
        self._row, self._store = np.full(count, -1, np.int64), np.zeros(count, np.int8)
        self._connections: list[Any] = []
        wanted = pa.table({"id": ids, "at": np.arange(count)})
        for number, store in enumerate(stores[name] for name in STORES if name in stores):
            try:
                connection = stack.enter_context(duck.database(store.catalog))
                connection.register("wanted", wanted)
                sql = "SELECT w.at, i.rowid AS found FROM wanted w JOIN items i USING (id)"
                found = connection.sql(sql).to_arrow_table()
            except duckdb.Error as error:
                raise StoreError(f"{store.catalog}: does not read: {str(error).splitlines()[0]}") from None
            self._connections.append(connection)
            self._row[found["at"].to_numpy()], self._store[found["at"].to_numpy()] = found["found"].to_numpy(), number
        if (self._row < 0).any():
            first = ids[int(np.argmax(self._row < 0))].as_py()
            raise StoreError(f"item {first[:12]}: not in the catalog: run `gendata doctor`")
        self._block, self._start = pa.table({name: pa.array([], pa.string()) for name in _DETAILS}), 0

    def rows(self, start: int, stop: int) -> dict[str, pa.ChunkedArray]:
        """The columns at these positions; read in order, each block of the catalog is read once."""
        if not self._start <= start <= stop <= self._start + self._block.num_rows:
            self._block, self._start = self._read(start, max(stop, start + _BLOCK)), start
        some = self._block.slice(start - self._start, stop - start)
        return dict(zip(_DETAILS, some.columns, strict=True))

    def _read(self, start: int, stop: int) -> pa.Table:
        parts, order = [], []
        for number, connection in enumerate(self._connections):
            inside = np.flatnonzero(self._store[start:stop] == number)
            if inside.size:
                connection.register("wanted", pa.table({"found": self._row[start:stop][inside]}))
                columns = ", ".join(f'i."{name}"::VARCHAR AS "{name}"' for name in _DETAILS)
                sql = f"SELECT i.rowid AS found, {columns} FROM items i WHERE i.rowid IN (SELECT found FROM wanted)"
                table = connection.sql(sql).to_arrow_table()
                at = pc.index_in(pa.array(self._row[start:stop][inside]), table["found"].combine_chunks())
                parts.append(table.select(_DETAILS).take(at))
                order.append(inside)
        return pa.concat_tables(parts).take(np.argsort(np.concatenate(order))).combine_chunks()
