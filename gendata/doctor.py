"""Check every invariant across shards and stores, and mend what the Parquet artifacts can mend."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gendata import files, params
from gendata.errors import GendataError, ProjectError, StoreError
from gendata.items import content_id
from gendata.store import STORES, StoreParams
from gendata.store.head import Store, read_head
from gendata.store.rows import Artifacts

STORAGE = ("store", "table", "rows", "version", "versions", "fragments", "indexes", "unindexed", "bytes")
"""Columns of ``storage``."""

_BATCH = 1024


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where, what, and what mends it."""

    where: str
    problem: str
    remedy: str
    repaired: bool = False

    def row(self) -> dict[str, Any]:
        """As a row of output."""
        return asdict(self)


def examine(root: Path, sources: list[str], repair: Callable[[str], None] | None = None) -> list[Finding]:
    """All findings in a project; ``repair`` asks for mending and is told what was done."""
    artifacts = root / "artifacts"
    findings = [
        *_leftovers(root),
        *_shards(artifacts, sources),
        *(f for name in STORES for f in _store(artifacts / "store" / name, STORES[name])),
    ]
    return [_mended(f, root, repair) for f in findings] if repair else findings


def _leftovers(root: Path) -> Iterator[Finding]:
    """Half-done output of killed runs: hidden parts that nothing else removes."""
    places = [*(root / ".gendata" / "work").glob("*"), *(root / "artifacts" / "store").glob("*/.catalog.part*")]
    places += (root / "artifacts" / "store").glob("*/lance/*.lance/data/.tmp*")
    for path in sorted(places):
        yield Finding(str(path.relative_to(root)), "left behind by a run that was killed", "remove")


def _shards(artifacts: Path, sources: list[str]) -> Iterator[Finding]:
    """Every ingested row has a decision, every kept one tags, every kept id is kept once."""
    kept: Counter[str] = Counter()
    for source in sources:
        folder = artifacts / "ingest" / source / "items"
        if not folder.is_dir():
            yield Finding(f"artifacts/ingest/{source}", "not ingested yet", "gendata run")
            continue
        try:
            for index, path in enumerate(files.shards(folder)):
                ids = [
                    i
                    for batch in files.kept_batches(
                        path, files.shard_path(artifacts / "dedup" / source, index), ("id",)
                    )
                    for i in batch["id"].to_pylist()
                ]
                kept.update(ids)
                tagged = files.read_table(files.shard_path(artifacts / "tag" / source, index), ("id",))[
                    "id"
                ].to_pylist()
                embedded = files.read_table(files.shard_path(artifacts / "embed" / source, index), ("id",))[
                    "id"
                ].to_pylist()
                if tagged != ids:
                    yield Finding(
                        f"artifacts/tag/{source} shard {index}",
                        "rows differ from the kept items",
                        "gendata run --force",
                    )
                if not set(embedded) <= set(ids):
                    yield Finding(
                        f"artifacts/embed/{source} shard {index}", "vectors of items not kept", "gendata run --force"
                    )
        except StoreError as error:
            yield Finding(f"artifacts of {source}", str(error).replace(f"{artifacts.parent}/", ""), "gendata run")
    if twice := [i for i, n in kept.items() if n > 1]:
        yield Finding(
            "artifacts/dedup", f"{len(twice)} ids are kept twice, first {min(twice)[:16]}", "gendata run dedup --force"
        )


def _store(path: Path, origins: tuple[str, ...]) -> Iterator[Finding]:
    """Counts and ids across store.json, catalog and Lance; blobs, vectors, indexes, origins."""
    where = f"artifacts/store/{path.name}"
    try:
        record = files.read_json(path / "store.json")
        if not record["sources"] and read_head(path) is None:
            return
        store = Store.open(path)
        catalog = _catalog(store)
        wrong = [o for o in set(catalog.values()) if o not in origins]
        if wrong:
            yield Finding(where, f"holds items of origin {', '.join(sorted(wrong))}", "rebuild")
        if len(catalog) != record["items"]:
            yield Finding(where, f"store.json says {record['items']} items, the catalog has {len(catalog)}", "rebuild")
        yield from (Finding(where, problem, "rebuild") for problem in _lance(store, catalog, record, origins))
    except (GendataError, OSError, KeyError) as error:
        yield Finding(where, str(error).replace(str(path), where), "rebuild")


def _catalog(store: Store) -> dict[str, str]:
    """Id to origin of every item in the catalog."""
    import duckdb

    try:
        with duckdb.connect(str(store.catalog), read_only=True) as connection:
            return dict(connection.execute("SELECT id, origin FROM items").fetchall())
    except duckdb.Error as error:
        raise StoreError(f"{store.catalog}: does not open: {str(error).splitlines()[0]}") from None


def _lance(
    store: Store, catalog: Mapping[str, str], record: Mapping[str, Any], origins: tuple[str, ...]
) -> Iterator[str]:
    items = store.table("items")
    found: dict[str, str] = {}
    for row in _rows(items, ["id", "modality", "origin", "text", "data"]):
        found[row["id"]] = row["origin"]
        if content_id(row["data"] if row["data"] is not None else row["text"] or "") != row["id"]:
            yield f"the content of {row['id'][:16]} does not have that id"
    if found != dict(catalog):
        differing = len(found.items() ^ catalog.items())
        yield f"catalog and Lance differ in {differing} items ({len(catalog)} and {len(found)} rows)"
    if any(origin not in origins for origin in found.values()):
        yield "Lance holds items of another origin"
    for name in ("passages", "images"):
        yield from _vectors(store, name, set(catalog), record[name])
    for name in store.head.lance:
        table: Any = store.table(name)
        for index in table.list_indices():
            if index.num_unindexed_rows:
                yield f"index {index.name} of {name} misses {index.num_unindexed_rows} rows"


def _vectors(store: Store, name: str, ids: set[str], expected: int) -> Iterator[str]:
    count = 0
    for batch in _batches(store.table(name), ["id", "vector"]):
        count += batch.num_rows
        if unknown := set(batch["id"].to_pylist()) - ids:
            yield f"{name} holds {len(unknown)} ids that the catalog does not have"
        vectors = np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1)
        if not np.isfinite(vectors).all():
            yield f"{name} holds vectors that are not finite"
        elif np.abs(np.linalg.norm(vectors, axis=1) - 1).max() > 1e-3:
            yield f"{name} holds vectors that are not normalised"
    if count != expected:
        yield f"store.json says {expected} {name}, Lance has {count}"


def _batches(table: Any, columns: list[str]) -> Iterator[Any]:
    if table is not None:
        yield from table.to_lance().to_batches(columns=columns, batch_size=_BATCH)


def _rows(table: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    for batch in _batches(table, columns):
        yield from batch.to_pylist()


def _mended(finding: Finding, root: Path, say: Callable[[str], None]) -> Finding:
    if finding.remedy == "remove":
        path = root / finding.where
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        say(f"removed {finding.where}")
        return replace(finding, repaired=True)
    if finding.remedy == "rebuild":
        try:
            rebuild(root)
        except StoreError as error:
            say(f"{finding.where} cannot be rebuilt: {error}")
            return finding
        still = [f for name in STORES for f in _store(root / "artifacts" / "store" / name, STORES[name])]
        if not still:
            say(f"rebuilt {finding.where} from the Parquet artifacts")
        return replace(finding, repaired=not still)
    say(f"{finding.where}: not repaired here; use `{finding.remedy}`")
    return finding


def rebuild(root: Path) -> None:
    """Build all stores anew from the Parquet artifacts, from nothing."""
    from gendata.store.build import build

    sections = params.read(root / "params.yaml")
    artifacts = root / "artifacts"
    for name in STORES:
        shutil.rmtree(artifacts / "store" / name / "lance", ignore_errors=True)
    chosen = params.load(root / "params.yaml", "store", StoreParams)
    ingested, decisions, tags, vectors = (artifacts / stage for stage in ("ingest", "dedup", "tag", "embed"))
    shards = Artifacts(ingested, decisions, tags, vectors, tuple(sections["sources"]))
    build(shards, sections["sources"], artifacts / "store", chosen)


def storage(stores: Mapping[str, Store]) -> list[dict[str, Any]]:
    """Rows, version, fragments, indexes and bytes of every table of every store."""
    rows = []
    for name, store in stores.items():
        rows.append({"store": name, "table": "catalog", "bytes": store.catalog.stat().st_size})
        for kind in store.head.lance:
            table = store.table(kind)
            if table is None:
                raise ProjectError(f"{name}: table {kind} is gone; run `gendata doctor --repair`")
            stats, indexes = table.stats(), table.list_indices()
            rows.append(
                {
                    "store": name,
                    "table": kind,
                    "rows": table.count_rows(),
                    "version": store.head.lance[kind],
                    "versions": len(table.list_versions()),
                    "fragments": stats["fragment_stats"]["num_fragments"],
                    "indexes": ", ".join(sorted(f"{i.index_type}({', '.join(i.columns)})" for i in indexes)),
                    "unindexed": sum(i.num_unindexed_rows for i in indexes),
                    "bytes": stats["total_bytes"],
                }
            )
    return rows
