"""Check every invariant across shards and stores, and mend what the Parquet artifacts can mend."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendata import files, params
from gendata.errors import GendataError, ProjectError, StoreError
from gendata.items import content_id
from gendata.store import STORES, StoreParams
from gendata.store.build import build, describe
from gendata.store.head import Store
from gendata.store.record import Record, VectorDigest
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
    findings = [*_leftovers(root), *_shards(root / "artifacts", sources), *_stores(root)]
    if repair is None:
        return findings
    swept = [_swept(f, root, repair) if f.remedy == "remove" else f for f in findings]
    return _rebuilt(swept, root, repair)


def _leftovers(root: Path) -> Iterator[Finding]:
    """Half-done output of killed runs, that nothing else removes; what a live run holds is left alone."""
    work = root / ".gendata" / "work"
    for path in sorted(work.glob("*")):
        if not files.is_locked(root / ".gendata" / "locks" / path.name.removesuffix("-sketches")):
            yield Finding(str(path.relative_to(root)), "left behind by a run that was killed", "remove")
    for store in sorted((root / "artifacts" / "store").glob("*/")):
        if not files.is_locked(store / ".lock"):
            for path in sorted([*store.glob(".catalog.part*"), *store.glob("lance/*.lance/data/.tmp*")]):
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


def _stores(root: Path) -> Iterator[Finding]:
    """Each store against the shards, and its parts against each other."""
    sources = params.read(root / "params.yaml")["sources"]
    for name in STORES:
        where, path = f"artifacts/store/{name}", root / "artifacts" / "store" / name
        try:
            record = files.read_json(path / "store.json")
            expected = describe(name, shards_of(root), sources)
        except (StoreError, KeyError) as error:
            yield Finding(where, str(error).replace(f"{root}/", ""), "gendata run")
            continue
        if record != expected:
            yield Finding(where, "store.json is not what the shards give", "rebuild")
        if record["sources"] or record["items"] or record["rejected"]:
            try:
                yield from (Finding(where, problem, "rebuild") for problem in _store(Store.open(path), record))
            except (GendataError, OSError) as error:
                yield Finding(where, str(error).replace(f"{root}/", ""), "rebuild")


def _store(store: Store, record: Mapping[str, Any]) -> Iterator[str]:
    """Catalog and Lance against store.json and each other; blobs, vectors, indexes, origins."""
    catalog, digest = _catalog(store)
    if digest != (record["digest"], record["digest_rejected"]):
        yield "the catalog is not what store.json describes"
    origins = STORES[store.path.name]
    if wrong := {o for o in catalog.values() if o not in origins}:
        yield f"holds items of origin {', '.join(sorted(wrong))}"
    yield from _lance(store, catalog, record, origins)


def _catalog(store: Store) -> tuple[dict[str, str], tuple[str, str]]:
    """Id to origin of every item in the catalog, and the digests of its items and rejects."""
    import duckdb

    found: dict[str, str] = {}
    counted = Record()
    try:
        with duckdb.connect(str(store.catalog), read_only=True) as connection:
            for table in counted.items(_stream(connection, "items")):
                found.update(zip(table["id"].to_pylist(), table["origin"].to_pylist(), strict=True))
            for _ in counted.rejected(_stream(connection, "rejected")):
                pass
    except (duckdb.Error, KeyError) as error:
        raise StoreError(f"{store.catalog}: does not read: {str(error).splitlines()[0]}") from None
    result = counted.result("", ())
    return found, (result["digest"], result["digest_rejected"])


def _stream(connection: Any, table: str) -> Iterator[pa.Table]:
    for batch in connection.sql(f"SELECT * FROM {table}").to_arrow_reader(_BATCH):
        yield pa.Table.from_batches([batch])


def _lance(
    store: Store, catalog: Mapping[str, str], record: Mapping[str, Any], origins: tuple[str, ...]
) -> Iterator[str]:
    found: dict[str, str] = {}
    broken = []
    for batch in _batches(store.table("items"), ["id", "origin", "text", "data"]):
        for row in batch.to_pylist():
            found[row["id"]] = row["origin"]
            if content_id(row["data"] if row["data"] is not None else row["text"] or "") != row["id"]:
                broken.append(row["id"])
    if broken:
        yield f"{len(broken)} contents do not have the id they stand under, first {min(broken)[:16]}"
    if found != dict(catalog):
        yield f"catalog and Lance differ in {len(found.items() ^ catalog.items())} items"
    if any(origin not in origins for origin in found.values()):
        yield "Lance holds items of another origin"
    for name in ("passages", "images"):
        yield from _vectors(store, name, record)
    yield from _indexes(store)


def _indexes(store: Store) -> Iterator[str]:
    for name in store.head.lance:
        table: Any = store.table(name)
        for index in table.list_indices():
            if index.num_unindexed_rows:
                yield f"index {index.name} of {name} misses {index.num_unindexed_rows} rows"


def _vectors(store: Store, name: str, record: Mapping[str, Any]) -> Iterator[str]:
    digest, sound = VectorDigest(), True
    for batch in _batches(store.table(name), ["id", "vector"]):
        vectors = np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1)
        digest.update(batch["id"].to_pylist(), vectors)
        sound &= bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3))  # false for NaN as well
    if not sound:
        yield f"{name} holds vectors that are not finite or not normalised"
    if (digest.count, digest.hexdigest()) != (record[name], record["digest_vectors"][name]):
        yield f"{name} are not what store.json describes ({record[name]} there, {digest.count} in Lance)"


def _batches(table: Any, columns: list[str]) -> Iterator[Any]:
    if table is not None:
        yield from table.to_lance().to_batches(columns=columns, batch_size=_BATCH)


def _swept(finding: Finding, root: Path, say: Callable[[str], None]) -> Finding:
    path = root / finding.where
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    say(f"removed {finding.where}")
    return replace(finding, repaired=True)


def _rebuilt(findings: list[Finding], root: Path, say: Callable[[str], None]) -> list[Finding]:
    """Build the stores anew, once, if a finding asks for it; the shards are checked before anything is touched."""
    if any(f.remedy == "rebuild" for f in findings):
        try:
            rebuild(root)
        except StoreError as error:
            say(f"the stores cannot be rebuilt: {str(error).replace(f'{root}/', '')}")
        else:
            say("rebuilt the stores from the Parquet artifacts")
            still = {f.where for f in _stores(root)}
            findings = [replace(f, repaired=f.where not in still) if f.remedy == "rebuild" else f for f in findings]
    for finding in findings:
        if not finding.repaired:
            say(f"{finding.where}: not repaired here; use `{finding.remedy}`")
    return findings


def rebuild(root: Path) -> None:
    """Build all stores anew from the Parquet artifacts."""
    chosen = params.load(root / "params.yaml", "store", StoreParams)
    build(shards_of(root), params.read(root / "params.yaml")["sources"], root / "artifacts" / "store", chosen)


def shards_of(root: Path) -> Artifacts:
    """The folders of a project's stages, as dvc.yaml lays them out."""
    ingested, decisions, tags, vectors = (root / "artifacts" / stage for stage in ("ingest", "dedup", "tag", "embed"))
    return Artifacts(ingested, decisions, tags, vectors, tuple(params.read(root / "params.yaml")["sources"]))


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
