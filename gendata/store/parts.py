"""The parts that a catalog is made of, and what the build before knows of them: only parts that changed are read.

A part is a shard, or the units of a source that could not be read. Its rows stand together in each table, in the order
of the parts. The catalog keeps them in its table ``parts``, so that they are true of it and of nothing else.
"""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from gendata import duck, files, items
from gendata.errors import StoreError
from gendata.items import canonical_json
from gendata.store import parquet
from gendata.store.head import Head
from gendata.store.place import Place
from gendata.store.record import Record
from gendata.store.rows import Artifacts, Shard

PARTS = pa.schema([("key", pa.string()), ("record", pa.string())])
"""Columns of the catalog's table ``parts``."""


@dataclass(frozen=True)
class Part:
    """One shard, or, without any, the units of a source that could not be read; ``key`` digests all that it holds."""

    source: str
    shards: tuple[Shard, ...]
    key: str


@dataclass(frozen=True)
class Touched:
    """Where a store can differ from the build before: items of parts that are no more, and shards that are new."""

    ids: pa.Array | None
    """None for all that is there."""
    shards: Artifacts


def parts_of(artifacts: Artifacts) -> list[Part]:
    """All parts, in order. Raises StoreError if a file of one is not there, or is no Parquet."""
    code, seen = _code(), Counter[str]()
    parts = [
        Part(source, (), _key(code, source, *map(parquet.digest, artifacts.unread(source))))
        for source in sorted(artifacts.sources)
    ]
    for shard in artifacts.shards():
        source, index, path = shard
        others = (folder / source for folder in (artifacts.decisions, artifacts.tags, artifacts.vectors))
        # an id says what the blob is, and most bytes are blobs
        digests = [parquet.digest(path, but="data"), *(parquet.digest(files.shard_path(f, index)) for f in others)]
        # of similar what went alone: one new item may change what many are like, and no row of a store
        key = _key(code, source, *digests, *map(canonical_json, artifacts.gone(source, index).values()))
        seen[key] += 1
        parts.append(Part(source, (shard,), _key(key, str(seen[key]))))
    return parts


def _key(*facts: str) -> str:
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def _code() -> str:
    """A digest of the code that turns shards into rows, and of what it reads and writes them with."""
    digest = hashlib.sha256(canonical_json([version(name) for name in ("duckdb", "pyarrow")]).encode())
    for path in [*sorted(Path(__file__).parent.glob("*.py")), Path(files.__file__), Path(items.__file__)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


class Before:
    """The build before: its catalog, and the record of each of its parts by key. Without a catalog it knows nothing."""

    def __init__(self, catalog: Path | None = None, records: Mapping[str, Record] | None = None) -> None:
        self.catalog, self.records = catalog, dict(records or {})
        self._rows = {table: self._spans(table) for table in ("items", "rejected")}

    def _spans(self, table: str) -> dict[str, range]:
        ends = itertools.accumulate((record.count(table) for record in self.records.values()), initial=0)
        return {key: range(*span) for key, span in zip(self.records, itertools.pairwise(ends), strict=True)}

    @classmethod
    def read(cls, at: Place, head: Head | None) -> "Before":
        """Of this HEAD, if its catalog is whole and names its parts."""
        import duckdb

        if head is None:
            return cls()
        try:
            catalog = at.fetch(head.catalog)
            if not head.catalog.startswith(f"catalog-{files.sha256(catalog)[:16]}-"):
                return cls()
            with duck.database(catalog) as connection:
                found = connection.execute("SELECT key, record FROM parts ORDER BY rowid").fetchall()
        except (duckdb.Error, StoreError, OSError):
            return cls()
        return cls(catalog, {key: Record.from_state(json.loads(state)) for key, state in found})

    def rows(self, table: str, part: Part) -> range | None:
        """Where the rows of a part are in a table of the catalog; None of one that was not there."""
        return self._rows[table].get(part.key)

    def touched(self, artifacts: Artifacts, parts: Iterable[Part]) -> Touched:
        """What remains to be compared, of a store that is to hold these parts."""
        if self.catalog is None:
            return Touched(None, artifacts)
        keys = {part.key: part for part in parts}
        shards = artifacts.of(shard for key, part in keys.items() if key not in self.records for shard in part.shards)
        spans = [self._rows["items"][key] for key in self.records.keys() - keys.keys()]
        asked = " OR ".join(f"rowid BETWEEN {span.start} AND {span.stop - 1}" for span in spans if span) or "false"
        with duck.database(self.catalog) as connection:
            ids = connection.sql(f"SELECT id FROM items WHERE {asked}").to_arrow_table()["id"].combine_chunks()
        return Touched(ids, shards)


def joined(rows: Iterable[pa.Table | range]) -> Iterator[pa.Table | range]:
    """The same with ranges that follow each other as one."""
    held = range(0)
    for some in rows:
        if held and isinstance(some, range) and some.start == held.stop:
            held = range(held.start, some.stop)
            continue
        if held:
            yield held
        held = some if isinstance(some, range) else range(0)
        if isinstance(some, pa.Table):
            yield some
    if held:
        yield held
