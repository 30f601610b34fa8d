"""The DuckDB side of a store: the metadata of every item, reject and source, in one read-only file."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.items import DECISION_SCHEMA, GENERATED_BY, ITEM_SCHEMA, TAG_SCHEMA, to_table
from gendata.store import OUTPUTS, STORES
from gendata.store.rows import Artifacts, kept_rows

CONTENT = tuple(n for n in ITEM_SCHEMA.names if n not in {"data", "source_split"})
"""Columns of ITEM_SCHEMA that the catalog holds: everything but the blobs."""

_JOINED = (
    *(DECISION_SCHEMA.field(n) for n in ("group", "copies", "conflict_id")),
    *(f for f in TAG_SCHEMA if f.name != "id"),
)
REJECTED = pa.schema(
    [
        *((n, pa.string()) for n in ("source", "uri", "stage", "reason", "detail", "id", "kept_id")),
        ("score", pa.float64()),
        ("file_sha256", pa.string()),
    ]
)
"""A unit that was not read has no id, kept_id, score and file_sha256."""
SOURCES = pa.schema([(n, pa.string()) for n in ("source", "kind", "origin", "license")])


def items_schema(store: str) -> pa.Schema:
    """The columns of the table ``items`` in this store's catalog."""
    added = GENERATED_BY if store == OUTPUTS else ()
    return pa.schema([*(ITEM_SCHEMA.field(n) for n in CONTENT), *added, *_JOINED])


def write_catalog(path: Path, tables: Mapping[str, tuple[pa.Schema, Iterator[pa.Table]]]) -> None:
    """A new catalog file with these tables, streamed batch by batch.

    In the storage format of DuckDB 1.2, so that older clients open it too.
    """
    path.unlink(missing_ok=True)
    connection = files.database(threads=2)
    try:
        connection.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS c (STORAGE_VERSION 'v1.2.0')")
        for name, (schema, batches) in tables.items():
            columns = ", ".join(_column(f.name) for f in schema)
            # batch by batch: an error of the iterator then passes as it is, not as DuckDB's
            for number, batch in enumerate(itertools.chain([schema.empty_table()], batches)):
                connection.register("incoming", batch.cast(schema))
                start = f"INSERT INTO c.{name}" if number else f"CREATE TABLE c.{name} AS"
                connection.execute(f"{start} SELECT {columns} FROM incoming")
                connection.unregister("incoming")
        if "items" in tables:
            connection.execute("CREATE INDEX item_ids ON c.items (id)")  # a search asks for its few hits by id
        connection.execute("DETACH c")
    except duckdb.IOException as error:
        raise StoreError(f"{path}: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


def _column(name: str) -> str:
    return 'meta::JSON AS "meta"' if name == "meta" else f'"{name}"'


def item_batches(artifacts: Artifacts, store: str) -> Iterator[pa.Table]:
    """Rows of the table ``items``."""
    added = tuple(GENERATED_BY.names) if store == OUTPUTS else ()
    yield from kept_rows(artifacts, STORES[store], (*CONTENT, *added))


def rejected_batches(artifacts: Artifacts, origins: tuple[str, ...], home: set[str]) -> Iterator[pa.Table]:
    """Rows of the table ``rejected``: units that failed, and dropped duplicates of these origins.

    A unit that could not be read has no origin of its own: it goes where its source does (``home``).
    """
    nothing = dict.fromkeys(("id", "kept_id", "score", "file_sha256"))
    for source in sorted(home):
        for stage in (artifacts.ingested, artifacts.vectors):
            for batch in files.iter_batches(stage / source / "rejected.parquet"):
                yield to_table(({**r, **nothing} for r in batch.to_pylist()), REJECTED)
    for source, index, path in artifacts.shards():
        decided = files.shard_path(artifacts.decisions / source, index)
        for batch, part in files.aligned_batches(path, decided, ("origin", "file_sha256")):
            rows = [
                _dropped(row, item["file_sha256"])
                for row, item in zip(part.to_pylist(), batch.to_pylist(), strict=True)
                if not row["kept"] and item["origin"] in origins
            ]
            if rows:
                yield to_table(rows, REJECTED)


def _dropped(row: Mapping[str, Any], file_sha256: str | None) -> dict[str, Any]:
    same = row["kept_id"] == row["id"]
    detail = "the same content" if same else f"like {row['kept_id']}, score {row['score']:.3f}"
    own = {n: row[n] for n in ("source", "uri", "reason", "id", "kept_id", "score")}
    return {**own, "stage": "dedup", "detail": detail, "file_sha256": file_sha256}
