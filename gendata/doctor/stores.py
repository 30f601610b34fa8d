"""The stores against the shards that they are built from, and their parts against each other."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gendata import files, params
from gendata.doctor.finding import REBUILD, Finding
from gendata.doctor.indexes import check_indexes, unindexed
from gendata.errors import GendataError, ProjectError, StoreError
from gendata.items import content_id
from gendata.store import INPUTS, OUTPUTS, STORES, StoreParams
from gendata.store.build import build, describe
from gendata.store.head import Store
from gendata.store.record import Digest, Record
from gendata.store.rows import Artifacts

STORAGE = ("store", "table", "rows", "version", "versions", "fragments", "indexes", "indexed", "unindexed", "bytes")
"""Columns of ``storage``."""

_BATCH = 1024

Sources = Mapping[str, Mapping[str, Any]]


def shards_of(root: Path) -> Artifacts:
    """The folders of a project's data stages, as dvc.yaml lays them out."""
    ingested, decisions, tags, vectors = (root / "artifacts" / stage for stage in ("ingest", "dedup", "tag", "embed"))
    return Artifacts(ingested, decisions, tags, vectors, tuple(params.read(root / "params.yaml")["sources"]))


def outputs_of(root: Path) -> tuple[Artifacts, Sources]:
    """The same of stage collect, and the sources of the outputs. Raises StoreError if it has not run."""
    collected = root / "artifacts" / "collect"
    sources = files.read_json(collected / "items" / "sources.json")
    items, decisions, tags, vectors = (collected / part for part in ("items", "dedup", "tag", "embed"))
    return Artifacts(items, decisions, tags, vectors, tuple(sources)), sources


def _inputs_of(root: Path, store: str) -> tuple[Artifacts, Sources]:
    return outputs_of(root) if store == OUTPUTS else (shards_of(root), params.read(root / "params.yaml")["sources"])


def built(root: Path) -> Iterator[str]:
    """The stores that should be there: those of outputs where there are any."""
    artifacts = root / "artifacts"
    yield from INPUTS
    if (artifacts / "collect").is_dir() or (artifacts / "store" / OUTPUTS / "store.json").is_file():
        yield OUTPUTS


def check_stores(root: Path) -> Iterator[Finding]:
    """Each store against the shards, and its parts against each other."""
    for name in built(root):
        where, path = f"artifacts/store/{name}", root / "artifacts" / "store" / name
        try:
            record = files.read_json(path / "store.json")
            expected = describe(name, *_inputs_of(root, name))
        except (StoreError, KeyError) as error:
            yield Finding(where, str(error).replace(f"{root}/", ""), "gendata run")
            yield from _unopened(path, where, root)
            continue
        if record != expected:
            yield Finding(where, "store.json is not what the shards give", REBUILD)
        if record["sources"] or record["items"] or record["rejected"]:
            try:
                yield from (Finding(where, problem, REBUILD) for problem in _store(Store.open(path), record))
            except (GendataError, OSError) as error:
                yield Finding(where, str(error).replace(f"{root}/", ""), REBUILD)


def _unopened(path: Path, where: str, root: Path) -> Iterator[Finding]:
    if (path / "HEAD.json").is_file():
        try:
            Store.open(path).check()
        except (GendataError, OSError) as error:
            yield Finding(where, str(error).replace(f"{root}/", ""), REBUILD)


def rebuild(root: Path, names: Collection[str] | None = None) -> None:
    """Build the stores of these names, or all, anew from the Parquet artifacts. Raises StoreError."""
    chosen = params.load(root / "params.yaml", "store", StoreParams)
    for name in built(root):
        if names is None or name in names:
            build(*_inputs_of(root, name), root / "artifacts" / "store", chosen, (name,), anew=True)


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
        with files.database(store.catalog) as connection:
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
    yield from check_indexes(store)


def _vectors(store: Store, name: str, record: Mapping[str, Any]) -> Iterator[str]:
    digest, sound = Digest(), True
    columns = ["id", "part", "vector"] if name == "passages" else ["id", "vector"]
    for batch in _batches(store.table(name), columns):
        vectors = np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1)
        parts = batch["part"].to_pylist() if name == "passages" else None
        digest.vectors(batch["id"].to_pylist(), vectors, parts)
        sound &= bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3))  # false for NaN as well
    if not sound:
        yield f"{name} holds vectors that are not finite or not normalised"
    if (digest.count, digest.hexdigest()) != (record[name], record["digest_vectors"][name]):
        yield f"{name} are not what store.json describes ({record[name]} there, {digest.count} in Lance)"


def _batches(table: Any, columns: list[str]) -> Iterator[Any]:
    try:
        if table is not None:
            yield from table.to_batches(columns=columns, batch_size=_BATCH)
    except (ValueError, RuntimeError) as error:
        raise StoreError(f"{table.uri}: does not read: {str(error).splitlines()[0]}") from error


def storage(stores: Mapping[str, Store]) -> list[dict[str, Any]]:
    """Rows, version, fragments, indexes, when the oldest was brought up to date, and bytes of every table."""
    rows = []
    for name, store in stores.items():
        rows.append({"store": name, "table": "catalog", "bytes": store.catalog.stat().st_size})
        for kind in store.head.lance:
            table = store.table(kind)
            if table is None:
                raise ProjectError(f"{name}: table {kind} is gone; run `gendata doctor --repair`")
            indexes = table.describe_indices()
            rows.append(
                {
                    "store": name,
                    "table": kind,
                    "rows": table.count_rows(),
                    "version": store.head.lance[kind],
                    "versions": len(table.versions()),
                    "fragments": table.stats.dataset_stats()["num_fragments"],
                    "indexes": ", ".join(sorted(f"{i.index_type}({', '.join(i.field_names)})" for i in indexes)),
                    "indexed": _oldest(table, [i.name for i in indexes]),
                    "unindexed": sum(unindexed(table, i.name) for i in indexes),
                    "bytes": sum(store.place.sizes(f"lance/{kind}.lance").values()),
                }
            )
    return rows


def _oldest(table: Any, indexes: list[str]) -> str | None:
    """When the index that was not touched for the longest time was written, in UTC."""
    stamps = [table.stats.index_stats(name)["updated_at_timestamp_ms"] for name in indexes]
    return datetime.fromtimestamp(min(stamps) / 1000, UTC).isoformat(timespec="seconds") if stamps else None
