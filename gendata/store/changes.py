"""What differs between a Lance table and the rows that it should hold, item by item."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pyarrow as pa

from gendata import files

if TYPE_CHECKING:
    import duckdb


class Changes:
    """Items whose rows have to go (``out``) and items whose rows have to come (``into``), as ids in order.

    A changed item is in both. Rows are compared by hashes of 64 bits over all columns but blobs, of which the id is
    the hash; the hashes of an item are summed, so that the order of its rows does not count.
    """

    def __init__(self, old: Iterable[pa.RecordBatch]) -> None:
        """From the rows that are there. What reading them raises passes as it is."""
        self._database = files.database()
        _hashed(self._database, "old", old)
        self.out = self.into = pa.array([], pa.string())
        self.rows = self.items = 0
        """How many there should be."""

    def to(self, new: Iterable[pa.RecordBatch]) -> None:
        """Compare with the rows that should be there."""
        self.rows = _hashed(self._database, "new", new)
        (self.items,) = self._database.sql("SELECT count(DISTINCT id) FROM new").fetchall()[0]
        summed = "(SELECT id, sum(hash) AS hash, count(*) AS rows FROM {} GROUP BY id) AS {}"
        differ = f"FROM {summed.format('old', 'a')} {{}} JOIN {summed.format('new', 'b')} USING (id) "
        differ += "WHERE (a.hash, a.rows) IS DISTINCT FROM (b.hash, b.rows) ORDER BY id"
        self.out, self.into = (
            self._database.sql(f"SELECT id {differ.format(side)}").to_arrow_table()["id"].combine_chunks()
            for side in ("LEFT", "RIGHT")
        )
        self._database.close()

    def __len__(self) -> int:
        """How many items differ."""
        return len(set(self.out.to_pylist()) | set(self.into.to_pylist()))


def _hashed(database: "duckdb.DuckDBPyConnection", table: str, batches: Iterable[pa.RecordBatch]) -> int:
    """Fill a table with the id and the hash of each row; how many they are."""
    database.execute(f"CREATE TABLE {table} (id VARCHAR, hash UBIGINT)")
    count = 0
    for batch in batches:
        names = [name for name in batch.schema.names if name not in {"id", "data"}]
        columns = [_bytes(batch[name]) if name == "vector" else batch[name] for name in names]
        database.register("batch", pa.table([batch["id"], *columns], ["id", *names]))
        listed = ", ".join(f'"{name}"' for name in names)
        database.execute(f"INSERT INTO {table} SELECT id, hash({listed}) FROM batch")
        database.unregister("batch")
        count += batch.num_rows
    return count


def _bytes(vectors: pa.FixedSizeListArray) -> pa.Array:
    """The bytes of each vector, which DuckDB hashes at once."""
    flat = vectors.flatten()
    width = vectors.type.list_size * flat.type.bit_width // 8
    values = flat.buffers()[1].slice(flat.offset * flat.type.bit_width // 8)
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(vectors), [None, values])
