"""Build the stores from the Parquet artifacts: new Lance versions, a new catalog, then HEAD."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import StoreError
from gendata.items import to_table
from gendata.store import INPUTS, STORES, StoreParams
from gendata.store.head import Head, head_at, write_head
from gendata.store.place import Folder, Place, past_grace, place
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
    return {name: _build_one(name, artifacts, sources, out / name, params, anew) for name in names}


def _build_one(
    name: str,
    artifacts: Artifacts,
    sources: Mapping[str, Mapping[str, Any]],
    store: Path,
    params: StoreParams,
    anew: bool,
) -> dict[str, Any]:
    from gendata.store import catalog, lance

    origins = STORES[name]
    home = home_of(sources, name)
    counted = Record()
    listed = to_table(({"source": s} | {n: sources[s].get(n) for n in _STATED} for s in sorted(home)), catalog.SOURCES)
    with files.lock(store / ".lock"):
        at = place(store, params.uri)
        before = _previous(at)
        part = store / ".catalog.part"
        tables = {
            "items": (catalog.items_schema(name), counted.items(catalog.item_batches(artifacts, name))),
            "rejected": (catalog.REJECTED, counted.rejected(catalog.rejected_batches(artifacts, origins, home))),
            "sources": (catalog.SOURCES, iter([listed])),
        }
        catalog.write_catalog(part, tables)
        record = _finish(counted, name, artifacts, home)
        if not (home or record["items"] or record["rejected"]):
            part.unlink()
            for path in (at, Folder(store)):
                path.remove("HEAD.json")
            files.write_json(store / "store.json", record)
            return record
        versions = lance.write_tables(at, artifacts, origins, params, before.lance if before and not anew else {})
        head = Head(catalog=f"catalog-{files.sha256(part)[:16]}-{_next(before)}.duckdb", lance=versions)
        at.publish(part, head.catalog)
        at.settle()
        write_head(store, head, before, at)
        _clean(at, head, before)
        files.write_json(store / "store.json", record)
    return record


def describe(name: str, artifacts: Artifacts, sources: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The store.json that the artifacts give for a store, without building it. Raises StoreError."""
    from gendata.store import catalog

    home, counted = home_of(sources, name), Record()
    for _ in counted.items(catalog.item_batches(artifacts, name)):
        pass
    for _ in counted.rejected(catalog.rejected_batches(artifacts, STORES[name], home)):
        pass
    return _finish(counted, name, artifacts, home)


def _finish(counted: Record, name: str, artifacts: Artifacts, home: set[str]) -> dict[str, Any]:
    counted.vectors("passages", passages(artifacts, STORES[name]))
    counted.vectors("images", images(artifacts, STORES[name]))
    return counted.result(name, home)


def _previous(at: Place) -> Head | None:
    """The HEAD to be replaced. A broken one names nothing worth keeping: everything here is derived."""
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
    for name in at.sizes(""):
        if name.startswith("catalog-") and name not in {h.catalog for h in keep} and past_grace(at.written(name)):
            at.remove(name)
    lance.clean(at, [h.lance for h in keep])
