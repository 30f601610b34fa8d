"""What differs between a Lance table and the rows that it should hold, item by item."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck
from gendata.store.rows import BLOBS


@dataclass(frozen=True)
class Changes:
    """Items whose rows have to go, and items whose rows have to come, as ids in order; a changed item is in both."""

    out: pa.Array
    into: pa.Array
    rows_out: int
    """How many rows go."""
    rows_into: int

    @classmethod
    def between(cls, old: pa.Table, new: pa.Table) -> "Changes":
        """From the ``prints`` of the rows that are there to those of the rows that should be."""
        with duck.cursor() as database:
            database.register("old", old)
            database.register("new", new)
            differ = "JOIN new USING (id) WHERE (old.hash, old.rows) IS DISTINCT FROM (new.hash, new.rows) ORDER BY id"
            sides = {"old": "LEFT", "new": "RIGHT"}
            out, into = (
                database.sql(f"SELECT id, {t}.rows FROM old {side} {differ}").to_arrow_table()
                for t, side in sides.items()
            )
        ids = (table["id"].combine_chunks() for table in (out, into))
        return cls(*ids, *(pc.sum(table["rows"]).as_py() or 0 for table in (out, into)))

    def __len__(self) -> int:
        """How many items differ."""
        return len(set(self.out.to_pylist()) | set(self.into.to_pylist()))


def prints(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Of every item in these rows: ``id``, how many ``rows`` it has and the sum of their hashes, whatever the order.

    Hashes are DuckDB's of 64 bits, over all columns but blobs: the id is their hash. What reading a batch raises
    passes as it is.
    """
    with duck.cursor() as database:
        database.execute("CREATE TEMP TABLE hashes (id VARCHAR, hash UBIGINT)")
        for batch in batches:
            names = [name for name in batch.schema.names if name not in {"id", *BLOBS}]
            columns = [_bytes(batch[name]) if name == "vector" else batch[name] for name in names]
            database.register("batch", pa.table([batch["id"], *columns], ["id", *names]))
            listed = ", ".join(f'"{name}"' for name in names)
            database.execute(f"INSERT INTO hashes SELECT id, hash({listed}) FROM batch")
            database.unregister("batch")
        summed = "SELECT id, count(*) AS rows, sum(hash)::VARCHAR AS hash FROM hashes GROUP BY id"
        return database.sql(summed).to_arrow_table()


def _bytes(vectors: pa.FixedSizeListArray) -> pa.Array:
    """The bytes of each vector, which DuckDB hashes at once."""
    flat = vectors.flatten()
    width = vectors.type.list_size * flat.type.bit_width // 8
    values = flat.buffers()[1].slice(flat.offset * flat.type.bit_width // 8)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(vectors), [None, values])
