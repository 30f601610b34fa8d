"""The stores against the shards that they are built from, and their parts against each other."""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata import duck, files, params
from gendata.doctor.finding import REBUILD, Finding
from gendata.doctor.indexes import check_indexes, unindexed
from gendata.errors import GendataError, ProjectError, StoreError
from gendata.items import content_id
from gendata.store import INPUTS, OUTPUTS, STORES, StoreParams
from gendata.store.build import build, describe
from gendata.store.changes import Changes, prints
from gendata.store.head import Store
from gendata.store.record import Record
from gendata.store.rows import BLOBS, TABLES, Artifacts, table_rows

if TYPE_CHECKING:
    from gendata.store.table import Table

STORAGE = ("store", "table", "rows", "version", "versions", "fragments", "indexes", "indexed", "unindexed", "bytes")
"""Columns of ``storage``."""

_BATCH, _BLOBS = 1024, 64
"""Rows that are read at a time; of those with blobs."""

Sources = Mapping[str, Mapping[str, Any]]


def shards_of(root: Path) -> Artifacts:
    """The folders of a project's data stages, as dvc.yaml lays them out."""
    ingested, decisions, tags, vectors, similar = (
        root / "artifacts" / stage for stage in ("ingest", "dedup", "tag", "embed", "similar")
    )
    sources = tuple(params.read(root / "params.yaml")["sources"])
    return Artifacts(ingested, decisions, tags, vectors, sources, similar)


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
            artifacts, sources = _inputs_of(root, name)
            expected = describe(name, artifacts, sources)
        except (StoreError, KeyError) as error:
            yield Finding(where, str(error).replace(f"{root}/", ""), "gendata run")
            yield from _unopened(path, where, root)
            continue
        try:
            if files.read_json(path / "store.json") != expected:
                yield Finding(where, "store.json is not what the shards give", REBUILD)
            if expected["sources"] or expected["items"] or expected["rejected"]:
                yield from (Finding(where, p, REBUILD) for p in _store(Store.open(path), expected, artifacts))
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


def _store(store: Store, expected: Mapping[str, Any], artifacts: Artifacts) -> Iterator[str]:
    """Catalog and Lance against the shards; blobs, vectors, indexes, origins."""
    origins = STORES[store.path.name]
    found = _catalog(store)
    if any(found[name] != expected[name] for name in ("digest", "digest_rejected")):
        yield "the catalog is not what the shards give"
    if wrong := found["by"]["origin"].keys() - set(origins):
        yield f"the catalog holds items of origin {', '.join(sorted(wrong))}"
    for name in TABLES:
        yield from _table(store, name, artifacts, origins)
    yield from check_indexes(store)


def _catalog(store: Store) -> dict[str, Any]:
    """The record of what the catalog holds; see ``gendata.store.record``."""
    import duckdb

    counted = Record()
    try:
        with duck.database(store.catalog) as connection:
            for kind in ("items", "rejected"):
                counted.rows(kind, _stream(connection, kind))
    except (duckdb.Error, KeyError) as error:
        raise StoreError(f"{store.catalog}: does not read: {str(error).splitlines()[0]}") from None
    return counted.result("", ())


def _stream(connection: Any, table: str) -> Iterator[pa.Table]:
    for batch in connection.sql(f"SELECT * FROM {table}").to_arrow_reader(_BATCH):
        yield pa.Table.from_batches([batch])


def _table(store: Store, name: str, artifacts: Artifacts, origins: tuple[str, ...]) -> Iterator[str]:
    """Every row of a Lance table against the shards, its blobs against their ids, its vectors against their length."""
    table = store.table(name)
    expected = prints(table_rows(name, artifacts, origins, blobs=False))
    if table is None:
        if len(expected):
            yield f"there is no table {name}, and the shards have {len(expected)} items for it"
        return
    batches = table.to_batches(columns=[n for n in table.schema.names if n not in BLOBS], batch_size=_BATCH)
    if count := len(changes := Changes.between(prints(batches), expected)):
        first = pa.concat_arrays([changes.out, changes.into])[0].as_py()
        yield f"{name} differs from the shards in {count} items, first {first[:16]}"
    if wrong := set(pc.unique(table.to_table(columns=["origin"])["origin"]).to_pylist()) - set(origins):
        yield f"{name} holds rows of origin {', '.join(sorted(wrong))}"
    yield from _contents(table) if name == "items" else _vectors(table, name)


def _contents(table: "Table") -> Iterator[str]:
    columns = [name for name in ("id", "text", "data", "size") if name in table.schema.names]
    rows = (row for batch in table.to_batches(columns=columns, batch_size=_BLOBS) for row in batch.to_pylist())
    here = (row for row in rows if row.get("size") is None)  # of others there is ``check_originals``
    contents = ((row["id"], (row["text"] or "") if row["data"] is None else row["data"]) for row in here)
    broken = [item_id for item_id, content in contents if item_id != content_id(content)]
    if broken:
        yield f"{len(broken)} contents do not have the id they stand under, first {min(broken)[:16]}"


def _vectors(table: "Table", name: str) -> Iterator[str]:
    for batch in table.to_batches(columns=["vector"], batch_size=_BATCH):
        vectors = np.asarray(batch["vector"].flatten()).reshape(batch.num_rows, -1)
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):  # false for NaN as well
            yield f"{name} holds vectors that are not finite or not normalised"
            return


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
                    "indexes": ", ".join(sorted(name for i in indexes for name in i.field_names)),
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
