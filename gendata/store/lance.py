"""The Lance side of a store: text, blobs and vectors, with full-text, scalar and vector indexes."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import Any

import lance
import lancedb
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.index import FTS, Bitmap, BTree, IvfSq

from gendata.store import StoreParams
from gendata.store.changes import Changes, prints
from gendata.store.parts import Touched
from gendata.store.place import Place, past_grace, storage_options
from gendata.store.rows import BLOBS, ITEMS, TABLES, Artifacts, table_rows
from gendata.store.table import cut_short

VECTOR_INDEX = "IVF_SQ"
"""Of a million rows it finds all neighbours and is built in seconds, where HNSW takes minutes and finds fewer: see
benchmarks/vectors.py. How many parts are searched is left to Lance: fewer lose neighbours of real texts."""

_LAST_NAME = (1 << 64) - 1
_IDS, _SCANNED, _FRAGMENTS = 1000, 0.1, 50
"""Ids in one condition, the share of rows from which all are read, and the fragments from which all are written."""


def write_tables(
    at: Place,
    artifacts: Artifacts,
    origins: tuple[str, ...],
    params: StoreParams,
    before: Mapping[str, int],
    touched: Touched,
) -> dict[str, int]:
    """Bring every table up to date with its indexes; the version of each. Nothing is visible before HEAD moves.

    Where little changed since the versions in ``before``, only changed rows are written, and nothing but what is
    ``touched`` is compared; else a table is written anew. A table without rows is not there: its name is absent from
    the result.
    """
    database = lancedb.connect(f"{at.uri}/lance", storage_options=storage_options(at.uri))
    versions = {}
    for name in TABLES:
        if name in before:
            _roll_back(at, name, before[name])
        version = _updated(database, at, name, touched, origins, params, before.get(name))
        if version is None:
            version = _written(database, at, name, artifacts, origins, params)
        if version:
            versions[name] = version
    return versions


def _roll_back(at: Place, name: str, version: int) -> None:
    """Forget versions after the one that HEAD names: a killed run made them, whole or not, and nobody ever saw them.

    Their names count down from the largest number, so that the newest comes first in a listing.
    """
    for path in at.sizes(f"lance/{name}.lance/_versions"):
        number = path.rpartition("/")[2].removesuffix(".manifest")
        if number.isdecimal() and _LAST_NAME - int(number) > version:
            at.remove(path)


def _updated(
    database: Any,
    at: Place,
    name: str,
    touched: Touched,
    origins: tuple[str, ...],
    params: StoreParams,
    version: int | None,
) -> int | None:
    """The version that holds the rows of the artifacts, made from this one; None where it must be written anew."""
    if version is None:
        return None
    try:
        table = database.open_table(name)
        dataset = table.to_lance()
        if int(table.version) != version or cut_short(at, name, dataset):
            return None
        if name == "items" and dataset.schema.names != ITEMS.names:  # of a version before a column
            return None
        old = prints(_there(dataset, touched.ids))
    except (ValueError, RuntimeError, OSError):
        return None  # lost writes: the artifacts have all of it
    changes = Changes.between(old, prints(table_rows(name, touched.shards, origins, blobs=False)))
    rows = dataset.count_rows() - changes.rows_out + changes.rows_into
    changed = max(changes.rows_out, changes.rows_into)
    if not rows or not _extendable(dataset, name, changed / rows, rows, params):
        return None
    if not changed:
        return version
    for listed in _listed(changes.out):
        table.delete(listed)
    if len(changes.into):
        table.add(_reader(table_rows(name, touched.shards, origins, only=changes.into)))
    _index(table, name, params)
    table.to_lance().optimize.optimize_indices()
    table.checkout_latest()
    return int(table.version)


def _there(dataset: Any, ids: pa.Array | None) -> Iterator[pa.RecordBatch]:
    """The rows of these items, or all, without blobs."""
    columns = [n for n in dataset.schema.names if n not in BLOBS]
    if ids is None:
        yield from dataset.to_batches(columns=columns)
    elif len(ids) > dataset.count_rows() * _SCANNED:
        yield from (batch.filter(pc.is_in(batch["id"], ids)) for batch in dataset.to_batches(columns=columns))
    else:
        for listed in _listed(ids):
            yield from dataset.to_batches(columns=columns, filter=listed)


def _listed(ids: pa.Array) -> Iterator[str]:
    """Conditions that hold for these ids, together."""
    for start in range(0, len(ids), _IDS):
        quoted = (f"'{id_}'" for id_ in ids[start : start + _IDS].to_pylist())
        yield f"id IN ({', '.join(quoted)})"


def _extendable(dataset: Any, name: str, share: float, rows: int, params: StoreParams) -> bool:
    """Whether an update pays: a small share of changes, few fragments, and indexes of the kind that is asked for."""
    indexes = {i.field_names[0]: i for i in dataset.describe_indices()}
    if name != "images" and _language(dataset, indexes.get("text")) != params.language:
        return False
    vector = indexes.get("vector")
    if vector and (rows < params.vector_index_rows or vector.index_type != VECTOR_INDEX):
        return False
    return share <= params.update_share and len(dataset.get_fragments()) < _FRAGMENTS


def _language(dataset: Any, index: Any) -> str | None:
    """Of a full-text index, from its statistics."""
    parts = dataset.stats.index_stats(index.name)["indices"] if index else []
    return str(parts[0]["params"]["language"]) if parts else None


def _written(
    database: Any, at: Place, name: str, artifacts: Artifacts, origins: tuple[str, ...], params: StoreParams
) -> int | None:
    """The version of the table written anew; None without rows."""
    reader = _reader(table_rows(name, artifacts, origins))
    if reader is None:
        return None
    there = _usable(database, at, name)
    table = database.create_table(name, reader, mode="overwrite" if there else "create")
    _index(table, name, params)
    return int(table.version)


def _usable(database: Any, at: Place, name: str) -> bool:
    """Whether a table is there. One that does not open, as after a lost write, is removed: nobody can read it."""
    if not at.sizes(f"lance/{name}.lance"):
        return False
    try:
        table = database.open_table(name)
        table.count_rows()
        table.list_versions()
    except (ValueError, RuntimeError, OSError):
        at.remove(f"lance/{name}.lance")
        return False
    return True


def _reader(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader | None:
    """None without rows."""
    first = next(batches, None)
    return first and pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))


def create_scalar_indexes(table: Any) -> None:
    """The indexes of what every table has, where they are not there: id, source and origin."""
    _create(table, {"id": BTree(), "source": Bitmap(), "origin": Bitmap()})


def _index(table: Any, name: str, params: StoreParams) -> None:
    """Make the indexes that the table should have and has not."""
    create_scalar_indexes(table)
    wanted: dict[str, Any] = {}
    if name != "images":
        wanted["text"] = FTS(language=params.language, with_position=False)
    if name != "items" and table.count_rows() >= params.vector_index_rows:
        wanted["vector"] = IvfSq(distance_type="cosine")
    _create(table, wanted)


def _create(table: Any, wanted: Mapping[str, Any]) -> None:
    there = {index.columns[0] for index in table.list_indices()}
    for column, config in wanted.items():
        if column not in there:
            table.create_index(column, config=config)


def clean(at: Place, keep: list[dict[str, int]]) -> None:
    """Remove versions past the grace period, but never those that the HEADs in ``keep`` name.

    A table whose old versions do not open is left as it is: doctor finds that.
    """
    for name in TABLES:
        named = {head[name] for head in keep if name in head}
        path = f"lance/{name}.lance"
        if not named:
            at.remove(path)
            continue
        with suppress(ValueError, RuntimeError, OSError):
            dataset = lance.dataset(f"{at.uri}/{path}", storage_options=storage_options(at.uri))
            versions: list[Any] = dataset.versions()
            gone = [
                v["version"] for v in versions if past_grace(v["timestamp"].timestamp()) and v["version"] not in named
            ]
            # unverified: under the store's lock nobody else writes, so files without a version are of killed runs
            if gone:
                dataset.cleanup_old_versions(versions=gone, delete_unverified=True)
