"""Build the stores from the Parquet artifacts: new Lance versions, a new catalog, then HEAD."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.items import canonical_json, to_table
from gendata.store import INPUTS, STORES, StoreParams
from gendata.store.head import Head, head_at, stale_catalogs, write_head
from gendata.store.parts import PARTS, Before, Part, joined, parts_of
from gendata.store.place import Folder, Place, place
from gendata.store.record import Record, home_of
from gendata.store.rows import Artifacts, images, passages

_STATED = ("kind", "origin", "license")


def build(
    artifacts: Artifacts,
    sources: Mapping[str, Mapping[str, Any]],
    out: Path,
    params: StoreParams,
    names: tuple[str, ...] = INPUTS,
    *,
    anew: bool = False,
) -> dict[str, Any]:
    """Build or update the stores of these names below ``out`` and write a ``store.json`` in each; the summaries.

    A store that would hold no source, item or reject gets a store.json that says so and no
    databases. ``sources`` are the rows of the catalog's table of sources. ``anew`` trusts nothing that is there.
    """
    parts = parts_of(artifacts)
    return {name: _build_one(name, artifacts, parts, sources, out / name, params, anew) for name in names}


def _build_one(
    name: str,
    artifacts: Artifacts,
    parts: list[Part],
    sources: Mapping[str, Mapping[str, Any]],
    store: Path,
    params: StoreParams,
    anew: bool,
) -> dict[str, Any]:
    from gendata.store import lance

    home, artifacts = home_of(sources, name), artifacts.that_may_hold(STORES[name])
    shards = set(artifacts.shards())
    parts = [part for part in parts if (shards.issuperset(part.shards) if part.shards else part.source in home)]
    with files.lock(store / ".lock"):
        at = place(store, params.uri)
        before = _previous(at)
        known = Before.read(at, None if anew else before)
        written = store / ".catalog.part"
        try:
            record = _write_catalog(written, name, artifacts, parts, {s: sources[s] for s in sorted(home)}, known)
        except StoreError:
            written.unlink(missing_ok=True)
            raise
        if not (home or record["items"] or record["rejected"]):
            written.unlink()
            for path in (at, Folder(store)):
                path.remove("HEAD.json")
            files.write_json(store / "store.json", record)
            return record
        there = before.lance if before and not anew else {}
        versions = lance.write_tables(at, artifacts, STORES[name], params, there, known.touched(artifacts, parts))
        head = Head(catalog=f"catalog-{files.sha256(written)[:16]}-{_next(before)}.duckdb", lance=versions)
        at.publish(written, head.catalog)
        at.settle()
        write_head(store, head, before, at)
        _clean(at, head, before)
        files.write_json(store / "store.json", record)
    return record


def _write_catalog(
    path: Path,
    name: str,
    artifacts: Artifacts,
    parts: Sequence[Part],
    sources: Mapping[str, Mapping[str, Any]],
    known: Before,
) -> dict[str, Any]:
    """A new catalog, with the rows of parts that are ``known`` copied from the one before; the store.json."""
    from gendata.store import catalog

    records = {part.key: known.records.get(part.key) or Record() for part in parts}

    def rows(table: str, read: Callable[[Part], Iterator[pa.Table]]) -> Iterator[pa.Table | range]:
        for part in parts:
            there = known.rows(table, part)
            yield from records[part.key].passing(table, read(part)) if there is None else [there]

    def items(part: Part) -> Iterator[pa.Table]:
        return catalog.item_batches(artifacts.of(part.shards), name)

    def rejected(part: Part) -> Iterator[pa.Table]:
        if part.shards:
            return catalog.dropped_batches(artifacts.of(part.shards), name)
        return catalog.unread_batches(artifacts, part.source)

    def counted() -> Iterator[pa.Table]:
        for part in parts:
            if part.key not in known.records:
                _count_vectors(records[part.key], artifacts.of(part.shards), name)
        yield to_table(({"key": key, "record": canonical_json(r.state())} for key, r in records.items()), PARTS)

    listed = to_table(({"source": s} | {n: row.get(n) for n in _STATED} for s, row in sources.items()), catalog.SOURCES)
    tables = {
        "items": (catalog.items_schema(name), joined(rows("items", items))),
        "rejected": (catalog.REJECTED, joined(rows("rejected", rejected))),
        "sources": (catalog.SOURCES, [listed]),
        "parts": (PARTS, counted()),
    }
    catalog.write_catalog(path, tables, known.catalog)
    whole = Record()
    for record in records.values():
        whole += record
    return whole.result(name, sources)


def _count_vectors(record: Record, artifacts: Artifacts, name: str) -> None:
    record.vectors("passages", passages(artifacts, STORES[name]))
    record.vectors("images", images(artifacts, STORES[name]))


def describe(name: str, artifacts: Artifacts, sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The store.json that the artifacts give for a store, without building it. Raises StoreError."""
    from gendata.store import catalog

    home, artifacts, record = home_of(sources, name), artifacts.that_may_hold(STORES[name]), Record()
    unread = (catalog.unread_batches(artifacts, source) for source in sorted(home))
    record.rows("items", catalog.item_batches(artifacts, name))
    record.rows("rejected", itertools.chain(*unread, catalog.dropped_batches(artifacts, name)))
    _count_vectors(record, artifacts, name)
    return record.result(name, home)


def _previous(at: Place) -> Head | None:
    """The HEAD to be replaced. A broken one names nothing worth keeping: everything here is derived.

    Raises StoreError if the place does not answer.
    """
    at.read("HEAD.json")
    try:
        return head_at(at)
    except StoreError:
        return None


def _next(before: Head | None) -> int:
    """A number that differs from the HEAD before: a catalog is never written over one that is read."""
    return 1 - int(before.catalog.removesuffix(".duckdb").rsplit("-", 1)[1]) if before else 0


def _clean(at: Place, head: Head, before: Head | None) -> None:
    """Drop what neither this HEAD nor the one before names: a reader may have just pinned that one."""
    from gendata.store import lance

    keep = [h for h in (head, before) if h]
    for name in stale_catalogs(at, keep):
        at.remove(name)
    lance.clean(at, [h.lance for h in keep])
