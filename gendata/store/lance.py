"""The Lance side of a store: text, blobs and vectors, with full-text, scalar and vector indexes."""

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata.store import StoreParams
from gendata.store.rows import Artifacts, images, kept_rows, passages

os.environ.setdefault("LANCE_LOG", "error")  # before the import: Rust reads it once
import lance
import lancedb
from lancedb.index import FTS, Bitmap, BTree, IvfHnswSq

TABLES = ("items", "passages", "images")

_KEYS = [pa.field(name, pa.string(), nullable=False) for name in ("id", "modality", "origin", "source")]
_ITEMS = pa.schema([*_KEYS, pa.field("text", pa.large_string()), pa.field("data", pa.large_binary())])

GRACE = timedelta(hours=1)
"""How long versions stay that neither HEAD nor the HEAD before it names."""


def write_tables(store: Path, artifacts: Artifacts, origins: tuple[str, ...], params: StoreParams) -> dict[str, int]:
    """Write every table anew with its indexes; the version of each. Nothing is visible before HEAD moves.

    A table without rows is not written: its name is absent from the result.
    """
    database = lancedb.connect(store / "lance")
    versions = {}
    for name in TABLES:
        batches = _batches(name, artifacts, origins)
        first = next(batches, None)
        if first is None:
            continue
        reader = pa.RecordBatchReader.from_batches(first.schema, _chain(first, batches))
        _clear_broken(database, store / "lance" / f"{name}.lance")
        there = (store / "lance" / f"{name}.lance").exists()
        table = database.create_table(name, reader, mode="overwrite" if there else "create")
        _index(table, name, params)
        versions[name] = int(table.version)
    return versions


def _clear_broken(database: Any, path: Path) -> None:
    """Remove a table that does not open, as after a lost write: nobody can read it either."""
    if path.exists():
        try:
            database.open_table(path.stem).count_rows()
        except (ValueError, RuntimeError, OSError):
            shutil.rmtree(path)


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest


def _batches(name: str, artifacts: Artifacts, origins: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    if name == "items":
        for table in kept_rows(artifacts, origins, tuple(_ITEMS.names)):
            yield from table.select(_ITEMS.names).cast(_ITEMS).to_batches()
        return
    for columns in passages(artifacts, origins) if name == "passages" else images(artifacts, origins):
        schema = vector_schema(name, len(columns["vector"][0]))
        yield pa.record_batch([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def vector_schema(name: str, dim: int) -> pa.Schema:
    """The columns of the table ``passages`` or ``images``, with vectors of this length."""
    vector = pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)
    if name == "images":
        return pa.schema([*(f for f in _KEYS if f.name != "modality"), vector])
    place = [pa.field("part", pa.int32(), nullable=False), pa.field("start", pa.int64()), pa.field("end", pa.int64())]
    return pa.schema([*_KEYS, *place, pa.field("text", pa.large_string()), vector])


def create_scalar_indexes(table: Any) -> None:
    """The indexes of what every table has: id, source and origin."""
    table.create_index("id", config=BTree())
    for column in ("source", "origin"):
        table.create_index(column, config=Bitmap())


def _index(table: Any, name: str, params: StoreParams) -> None:
    create_scalar_indexes(table)
    if name == "passages":
        table.create_index("text", config=FTS(language=params.language, with_position=False))
    if name != "items" and table.count_rows() >= params.vector_index_rows:
        table.create_index("vector", config=IvfHnswSq(distance_type="cosine"))


def clean(store: Path, keep: list[dict[str, int]]) -> None:
    """Remove versions past the grace period, but never those that the HEADs in ``keep`` name."""
    for path in sorted((store / "lance").glob("*.lance")):
        named = [head[path.stem] for head in keep if path.stem in head]
        if not named:
            shutil.rmtree(path)
            continue
        dataset = lance.dataset(path)
        existing = {v["version"] for v in dataset.versions()}
        tags = {f"head-{version}" for version in named}
        for old in set(dataset.tags.list()) - tags:
            dataset.tags.delete(old)
        for version in named:
            if version in existing and f"head-{version}" not in dataset.tags.list():
                dataset.tags.create(f"head-{version}", version)
        dataset.cleanup_old_versions(older_than=GRACE, error_if_tagged_old_versions=False)
