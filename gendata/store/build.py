"""Build the stores from the Parquet artifacts: new Lance versions, a new catalog, then HEAD."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.items import canonical_json, to_table
from gendata.store import STORES, StoreParams, store_of
from gendata.store.head import SCHEMA, Head, read_head, write_head
from gendata.store.rows import Artifacts, images, passages

_STATED = ("kind", "origin", "license")


def build(
    artifacts: Artifacts, sources: Mapping[str, Mapping[str, Any]], out: Path, params: StoreParams
) -> dict[str, Any]:
    """Build ``out/real`` and ``out/other`` and write a ``store.json`` in each; the summaries by store.

    A store that would hold no source, item or reject gets a store.json that says so and no
    databases. ``sources`` are the rows of the catalog's table of sources.
    """
    return {name: _build_one(name, artifacts, sources, out / name, params) for name in STORES}


def _build_one(
    name: str, artifacts: Artifacts, sources: Mapping[str, Mapping[str, Any]], store: Path, params: StoreParams
) -> dict[str, Any]:
    from gendata.store import catalog, lance

    origins = STORES[name]
    home = {s for s in artifacts.sources if store_of(sources[s].get("origin") or "unknown") == name}
    summary = _Summary()
    listed = to_table(({"source": s} | {n: sources[s].get(n) for n in _STATED} for s in sorted(home)), catalog.SOURCES)
    with files.lock(store / ".lock"):
        before = _previous(store)
        part = store / ".catalog.part"
        tables = {
            "items": (catalog.ITEMS, summary.items(catalog.item_batches(artifacts, origins))),
            "rejected": (catalog.REJECTED, summary.rejected(catalog.rejected_batches(artifacts, origins, home))),
            "sources": (catalog.SOURCES, iter([listed])),
        }
        catalog.write_catalog(part, tables)
        record = summary.record(name, artifacts, origins, home)
        if not (home or record["items"] or record["rejected"]):
            part.unlink()
            (store / "HEAD.json").unlink(missing_ok=True)
            files.write_json(store / "store.json", record)
            return record
        versions = lance.write_tables(store, artifacts, origins, params)
        final = store / f"catalog-{record['digest'][:16]}-{_next(before)}.duckdb"
        part.rename(final)
        for path in (final, *(p for p in (store / "lance").rglob("*") if p.is_file())):
            files.fsync(path)
        files.fsync(store)
        head = Head(catalog=final.name, lance=versions)
        write_head(store, head)
        _clean(store, head, before)
        files.write_json(store / "store.json", record)
    return record


def _previous(store: Path) -> Head | None:
    """The HEAD to be replaced. A broken one names nothing worth keeping: everything here is derived."""
    try:
        return read_head(store)
    except StoreError:
        return None


def _next(before: Head | None) -> int:
    """A number that differs from the HEAD before: a catalog is never written over one that is read."""
    return 1 - int(before.catalog.removesuffix(".duckdb").rsplit("-", 1)[1]) if before else 0


def _clean(store: Path, head: Head, before: Head | None) -> None:
    """Drop what neither this HEAD nor the one before names: a reader may have just pinned that one."""
    from gendata.store import lance

    keep = [h for h in (head, before) if h]
    for path in store.glob("catalog-*.duckdb"):
        if path.name not in {h.catalog for h in keep}:
            path.unlink()
    lance.clean(store, [h.lance for h in keep])


class _Summary:
    """Counts and digests of what goes by: the content of store.json, which has no versions or paths."""

    def __init__(self) -> None:
        self._digest, self._rejects = hashlib.sha256(), hashlib.sha256()
        self._counts: dict[str, Counter[str]] = {
            n: Counter() for n in ("modality", "origin", "source", "split", "lang")
        }
        self._reasons: Counter[str] = Counter()

    def items(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            for row in table.to_pylist():
                self._digest.update(canonical_json(row).encode("utf-8") + b"\n")
            for name, counter in self._counts.items():
                counter.update("" if v is None else v for v in table[name].to_pylist())
            yield table

    def rejected(self, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            for row in table.to_pylist():
                self._rejects.update(canonical_json(row).encode("utf-8") + b"\n")
            self._reasons.update(table["reason"].to_pylist())
            yield table

    def record(self, name: str, artifacts: Artifacts, origins: tuple[str, ...], home: set[str]) -> dict[str, Any]:
        digest, counts = hashlib.sha256(), {}
        for kind, stream in (("passages", passages(artifacts, origins)), ("images", images(artifacts, origins))):
            counts[kind] = 0
            for columns in stream:
                counts[kind] += len(columns["id"])
                digest.update("\n".join(columns["id"]).encode())
                digest.update(np.asarray(columns["vector"], np.float32).tobytes())
        return {
            "schema": SCHEMA,
            "store": name,
            "sources": sorted(home),
            "items": sum(self._counts["modality"].values()),
            "rejected": sum(self._reasons.values()),
            **counts,
            "by": {name: dict(sorted(c.items())) for name, c in self._counts.items()},
            "rejected_by_reason": dict(sorted(self._reasons.items())),
            "digest": self._digest.hexdigest(),
            "digest_rejected": self._rejects.hexdigest(),
            "digest_vectors": digest.hexdigest(),
        }
