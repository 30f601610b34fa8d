"""Which item a row of a table is about: a join of all rows with all items, by DuckDB, which spills to disk."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck, files
from gendata.brought import REJECTED, TableParams
from gendata.ingest.brought.rows import Row
from gendata.ingest.brought.values import Kind
from gendata.ingest.reader import UnitError, one_line
from gendata.items import REJECT_SCHEMA, encode_uri

_BATCH, _MEMORY = 2048, "1GB"

_ITEMS = (
    "source VARCHAR, shard VARCHAR, place BIGINT, id VARCHAR, uri VARCHAR, modality VARCHAR, "
    "length BIGINT, kept BOOLEAN"
)
_SPAN = 'start BIGINT, "end" BIGINT'
_REJECTS = "tbl INTEGER, n BIGINT, reason VARCHAR, detail VARCHAR"

_BY_URI = """
INSERT INTO found SELECT r.tbl, r.n, r.key, r.start, r."end", r.value, coalesce(i.id, j.id) FROM brought r
LEFT JOIN items i ON i.source = $source AND i.uri = r.key
LEFT JOIN items j ON i.id IS NULL AND j.source = $source AND j.uri = r.uri WHERE r.tbl = $tbl
"""
_BY_ID = """
INSERT INTO found SELECT r.tbl, r.n, r.key, r.start, r."end", r.value, i.id FROM brought r
LEFT JOIN (SELECT DISTINCT id FROM items WHERE $source IN ('', source)) i ON i.id = lower(r.key) WHERE r.tbl = $tbl
"""
_FOUND = """
SELECT f.tbl, f.n, f.key, f.value, f.id, k.source, k.shard, k.modality, k.length,
  if(k.length IS NULL, NULL, coalesce(f.start, 0)) AS start, coalesce(f."end", k.length) AS "end"
FROM found f LEFT JOIN (FROM items WHERE kept) k ON k.id = f.id
ORDER BY k.source NULLS FIRST, k.shard, k.place, start, "end", f.tbl, f.n
"""
"""By item and passage; without ends it is the whole text, and ``length`` is known where rows are about passages."""


class Matching:
    """Takes in items, then the rows of tables, and writes what they bring by source and shard."""

    def __init__(
        self, tables: Sequence[tuple[str, TableParams]], kind: Kind, sources: Sequence[str], folder: Path
    ) -> None:
        self._tables, self._kind, self._sources, self._folder = tables, kind, sources, folder
        place = [("tbl", pa.int32()), ("n", pa.int64()), ("key", pa.string()), ("uri", pa.string())]
        self._schema = pa.schema([*place, ("start", pa.int64()), ("end", pa.int64()), ("value", kind.type)])
        self._db = duck.database(threads=2)
        self._db.execute(f"SET memory_limit = '{_MEMORY}'")
        self._db.execute(f"SET temp_directory = '{folder}/spilled'")  # made by tempfile: no quote is in its name
        value = "FLOAT[]" if pa.types.is_list(kind.type) else "VARCHAR"
        self._db.execute(f"CREATE TABLE items ({_ITEMS}); CREATE TABLE rejects ({_REJECTS})")
        self._db.execute(
            f"CREATE TABLE brought (tbl INTEGER, n BIGINT, key VARCHAR, uri VARCHAR, {_SPAN}, value {value})"
        )
        self._db.execute(f"CREATE TABLE found (tbl INTEGER, n BIGINT, key VARCHAR, {_SPAN}, value {value}, id VARCHAR)")

    def close(self) -> None:
        """Free the memory."""
        self._db.close()

    def add_items(self, ingested: Path, decisions: Path) -> None:
        """Take in what ingest read and dedup decided. Raises StoreError where these do not match."""
        count, columns = 0, ("id", "uri", "modality", *(["text"] if self._kind.passages else []))
        for source in self._sources:
            for items, decided in files.decided_shards(ingested, decisions, source):
                for batch, part in files.aligned_batches(items, decided, columns):
                    places = pa.array(range(count, count := count + batch.num_rows), pa.int64())
                    lengths = pc.utf8_length(batch["text"]) if self._kind.passages else pa.nulls(len(batch), pa.int64())
                    rows = pa.Table.from_batches([batch.select(["id", "uri", "modality"])])
                    rows = rows.append_column("place", places).append_column("length", lengths)
                    rows = rows.append_column("kept", part["kept"].combine_chunks())
                    chosen = "$source, $shard, place, id, uri, modality, length, kept"
                    self._insert("items", rows, chosen, {"source": source, "shard": decided.name})

    def add_rows(self, number: int, rows: Iterator[tuple[int, Row | UnitError]]) -> None:
        """Take in the rows of the table of this number, and find their items."""
        while some := list(itertools.islice(rows, _BATCH)):
            good = [(number, at, row.key, row.uri, *row.span, row.value) for at, row in some if isinstance(row, Row)]
            if good:
                cells = zip(zip(*good, strict=True), self._schema, strict=True)
                self._insert("brought", pa.table([pa.array(c, field.type) for c, field in cells], self._schema))
            self._reject([(number, position, row) for position, row in some if isinstance(row, UnitError)])
        table = self._tables[number][1]
        self._db.execute(_BY_URI if table.by == "uri" else _BY_ID, {"source": table.source, "tbl": number})

    def _insert(self, table: str, rows: pa.Table, columns: str = "*", values: Mapping[str, Any] | None = None) -> None:
        self._db.register("incoming", rows)
        self._db.execute(f"INSERT INTO {table} SELECT {columns} FROM incoming", values or {})
        self._db.unregister("incoming")

    def _reject(self, rejects: Sequence[tuple[int, int, UnitError]]) -> None:
        if rejects:
            rows = [(n, at, e.reason, one_line(f"{self._tables[n][0]}: {e.detail}")) for n, at, e in rejects]
            self._insert("rejects", pa.table([list(column) for column in zip(*rows, strict=True)], list("abcd")))

    def write(self) -> dict[str, Any]:
        """Write what is brought, and the rejects; by table its rows, those that are used, and the rest by reason."""
        used = Counter[int]()
        for (source, shard), rows in itertools.groupby(self._rows(_FOUND), itemgetter("source", "shard")):
            if source is None:
                while some := list(itertools.islice(rows, _BATCH)):
                    self._reject([(row["tbl"], row["n"], self._homeless(row)) for row in some])
            else:
                files.write_table(self._folder / source / shard, self._items(rows, used), self._kind.schema)
        for source in self._sources:
            files.write_table(self._folder / source / REJECTED, self._rejected(source), REJECT_SCHEMA)
        section = self._kind.section
        return {f"{section}.{name}": self._summary(n, used[n]) for n, (name, _) in enumerate(self._tables)}

    def _rows(self, sql: str) -> Iterator[dict[str, Any]]:
        for batch in self._db.cursor().sql(sql).to_arrow_reader(_BATCH):
            for row in zip(*map(_values, batch.columns), strict=True):
                yield dict(zip(batch.schema.names, row, strict=True))

    def _homeless(self, row: Mapping[str, Any]) -> UnitError:
        table = self._tables[row["tbl"]][1]
        if row["id"] is None:
            return UnitError(
                "unmatched-key", f"no item{' of ' + table.source if table.source else ''} has {table.by} {row['key']!r}"
            )
        return UnitError("dropped-item", f"dedup dropped {row['key']!r}, and it is not equal to what stays")

    def _items(self, rows: Iterable[dict[str, Any]], used: Counter[int]) -> Iterator[dict[str, Any]]:
        """What is brought for the items of a shard; ``used`` counts rows by table."""
        for item_id, about in itertools.groupby(rows, itemgetter("id")):
            yield from self._kind.rows(item_id, self._used(about, used))

    def _used(self, about: Iterable[dict[str, Any]], used: Counter[int]) -> Iterator[dict[str, Any]]:
        """The rows about an item that are good for it, and bring what none before does."""
        first: dict[Any, Mapping[str, Any]] = {}
        for row in about:
            names = self._kind.names(row, self._tables[row["tbl"]][1])
            try:
                self._kind.check(row)
                if (before := next((first[name] for name in sorted(names) if name in first), None)) is not None:
                    said = f"row {before['n']} of table {self._tables[before['tbl']][0]}"
                    raise UnitError(
                        "duplicate-key",
                        f"{row['key']!r}: {said} is about the same {'passage' if self._kind.passages else 'item'}",
                    )
            except UnitError as error:
                self._reject([(row["tbl"], row["n"], error)])
            else:
                first |= dict.fromkeys(names, row)
                used[row["tbl"]] += 1
                yield row

    def _rejected(self, source: str) -> Iterator[dict[str, str]]:
        """Of the tables about a source; of those about all sources with the first one."""
        at_home = [n for n, (_, table) in enumerate(self._tables) if (table.source or self._sources[0]) == source]
        for row in self._rows(f"SELECT * FROM rejects WHERE list_contains({at_home}::INTEGER[], tbl) ORDER BY tbl, n"):
            name = encode_uri(PurePath(self._tables[row["tbl"]][1].path).name)
            uri = f"{name}#{row['n']}" if row["n"] else name
            reject = {"source": source, "uri": uri, "stage": self._kind.stage}
            yield reject | {"reason": row["reason"], "detail": row["detail"]}

    def _summary(self, number: int, used: int) -> dict[str, Any]:
        counted = self._rows(f"SELECT reason, count(*) AS n FROM rejects WHERE tbl = {number} GROUP BY 1 ORDER BY 1")
        rejected = {row["reason"]: row["n"] for row in counted}
        return {"rows": used + sum(rejected.values()), "used": used, "rejected": rejected}


def _values(column: pa.Array) -> list[Any]:
    """Those of Python, but vectors as arrays: lists of floats take twice as long in all."""
    return list(column.to_numpy(zero_copy_only=False)) if pa.types.is_list(column.type) else list(column.to_pylist())
