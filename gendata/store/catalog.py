"""The DuckDB side of a store: the metadata of every item, reject and source, in one read-only file."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gendata import duck, files
from gendata.errors import StoreError
from gendata.items import DECISION_SCHEMA, GENERATED_BY, REFERENCE_SCHEMA, TAG_SCHEMA, to_table
from gendata.store import OUTPUTS, STORES
from gendata.store.rows import BLOBS, Artifacts, kept_rows

CONTENT = tuple(n for n in REFERENCE_SCHEMA.names if n not in {*BLOBS, "source_split"})
"""Columns of REFERENCE_SCHEMA that the catalog holds: everything but the blobs."""

_JOINED = (
    *(DECISION_SCHEMA.field(n) for n in ("group", "copies", "conflict_id", "contained_in", "merged")),
    *(f for f in TAG_SCHEMA if f.name != "id"),
)
REJECTED = pa.schema(
    [
        *((n, pa.string()) for n in ("source", "uri", "stage", "reason", "detail", "id", "kept_id")),
        ("score", pa.float64()),
        *((n, pa.string()) for n in ("file_sha256", "origin", "label", "license", "split", "meta")),
    ]
)
"""A unit that was not read has no id, kept_id and score, nor what comes after."""
SOURCES = pa.schema([(n, pa.string()) for n in ("source", "kind", "origin", "license")])


_STATED = {n: n for n in ("file_sha256", "origin", "label", "license", "meta")} | {"split": "source_split"}
"""What a dropped copy said of itself, and in which column of ITEM_SCHEMA."""


def items_schema(store: str) -> pa.Schema:
    """The columns of the table ``items`` in this store's catalog."""
    added = GENERATED_BY if store == OUTPUTS else ()
    return pa.schema([*(REFERENCE_SCHEMA.field(n) for n in CONTENT), *added, *_JOINED])


def write_catalog(
    path: Path, tables: Mapping[str, tuple[pa.Schema, Iterable[pa.Table | range]]], before: Path | None = None
) -> None:
    """A new catalog file with these tables, streamed batch by batch.

    A range stands for these rows of the same table in the catalog ``before``. In the storage format of DuckDB 1.2, so
    that older clients open it too.
    """
    path.unlink(missing_ok=True)
    connection = duck.database(threads=2)
    try:
        connection.execute(f"ATTACH {_literal(path)} AS c (STORAGE_VERSION 'v1.2.0')")
        if before:
            connection.execute(f"ATTACH {_literal(before)} AS b (READ_ONLY)")
        for name, (schema, rows) in tables.items():
            # piece by piece: an error of the iterator then passes as it is, not as DuckDB's
            for number, some in enumerate(itertools.chain([schema.empty_table()], rows)):
                start = f"INSERT INTO c.{name}" if number else f"CREATE TABLE c.{name} AS"
                if isinstance(some, range):
                    columns = ", ".join(f'"{column}"' for column in schema.names)
                    spanned = f"rowid >= {some.start} AND rowid < {some.stop}"
                    connection.execute(f"{start} SELECT {columns} FROM b.{name} WHERE {spanned}")
                    continue
                connection.register("incoming", some.cast(schema))
                connection.execute(f"{start} SELECT {', '.join(map(_column, schema.names))} FROM incoming")
                connection.unregister("incoming")
        if "items" in tables:
            connection.execute("CREATE INDEX item_ids ON c.items (id)")  # a search asks for its few hits by id
        connection.execute("DETACH c")
    except duckdb.IOException as error:
        raise StoreError(f"{path}: {str(error).splitlines()[0]}") from error
    finally:
        connection.close()


def _literal(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _column(name: str) -> str:
    return f'"{name}"::JSON AS "{name}"' if name in {"meta", "merged", "brought"} else f'"{name}"'


def item_batches(artifacts: Artifacts, store: str) -> Iterator[pa.Table]:
    """Rows of the table ``items``."""
    added = tuple(GENERATED_BY.names) if store == OUTPUTS else ()
    yield from kept_rows(artifacts, STORES[store], (*CONTENT, *added))


def unread_batches(artifacts: Artifacts, source: str) -> Iterator[pa.Table]:
    """Rows of the table ``rejected`` of units of a source that could not be read or embedded, or name no item."""
    nothing = dict.fromkeys(("id", "kept_id", "score", *_STATED))
    for path in artifacts.unread(source):
        for batch in files.iter_batches(path):
            yield to_table(({**r, **nothing} for r in batch.to_pylist()), REJECTED)


def dropped_batches(artifacts: Artifacts, store: str) -> Iterator[pa.Table]:
    """Rows of the table ``rejected`` of duplicates that were dropped, by dedup or by similar."""
    for source, index, path in artifacts.shards():
        decided = files.shard_path(artifacts.decisions / source, index)
        gone = artifacts.gone(source, index)
        for batch, part in files.aligned_batches(path, decided, tuple(_STATED.values())):
            rows = [
                _dropped(row, gone.get(row["id"]) if row["kept"] else None, item)
                for row, item in zip(part.to_pylist(), batch.to_pylist(), strict=True)
                if (not row["kept"] or row["id"] in gone) and item["origin"] in STORES[store]
            ]
            if rows:
                yield to_table(rows, REJECTED)


def _dropped(row: Mapping[str, Any], like: Mapping[str, Any] | None, item: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a copy: its decision, and what similar says of it if it went there."""
    why = like or row
    detail = "the same content" if why["kept_id"] == row["id"] else f"like {why['kept_id']}, score {why['score']:.3f}"
    if row["reference"] is not None:
        told = json.loads(row["reference"])
        detail = f"{told['match']} of reference {told['name']}: {told['uri']}, score {why['score']:.3f}"
    own = {n: row[n] for n in ("source", "uri", "id")} | {n: why[n] for n in ("reason", "kept_id", "score")}
    return {**own, "stage": "similar" if like else "dedup", "detail": detail} | {
        n: item[column] for n, column in _STATED.items()
    }
