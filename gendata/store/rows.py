"""The join of what the stages wrote: content, decisions, tags and vectors, compared row by row."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata import files
from gendata.errors import StoreError
from gendata.items import DECISION_SCHEMA, REFERENCE_SCHEMA, TAG_SCHEMA
from gendata.store import parquet
from gendata.store.merged import filled

TABLES = ("items", "passages", "images")
"""Those of Lance."""

_KEYS = [pa.field(name, pa.string(), nullable=False) for name in ("id", "modality", "origin", "source")]
ITEMS = pa.schema([*_KEYS, *(REFERENCE_SCHEMA.field(n) for n in ("uri", "text", "data", "size", "thumbnail"))])
"""The columns of the table ``items``."""

BLOBS = ("data", "thumbnail")
"""Columns that are compared with nothing: the id stands for them."""

_DECIDED = ("group", "copies", "conflict_id", "contained_in", "merged")
_TAGGED = tuple(n for n in TAG_SCHEMA.names if n != "id")


Shard = tuple[str, int, Path]
"""Source, index, and the shard of ingest."""


@dataclass(frozen=True)
class Artifacts:
    """Where the stages wrote, and the sources that count (a removed one may still lie there)."""

    ingested: Path
    decisions: Path
    tags: Path
    vectors: Path
    sources: tuple[str, ...]
    similar: Path | None = None
    """Of stage similar; None for outputs, among which it does not look."""
    chosen: tuple[Shard, ...] | None = None
    """The shards that count; None for all of the sources."""

    def shards(self) -> Iterator[Shard]:
        """The shards in store order: by source name, then index."""
        if self.chosen is not None:
            yield from self.chosen
            return
        for source in sorted(self.sources):
            for index, (path, _) in enumerate(files.decided_shards(self.ingested, self.decisions, source)):
                yield source, index, path

    def unread(self, source: str) -> list[Path]:
        """The files of rejects of a source, and of tables about it; tag writes one only where there are tables."""
        always = [stage / source / "rejected.parquet" for stage in (self.ingested, self.vectors)]
        return always + [path for path in [self.tags / source / "rejected.parquet"] if path.is_file()]

    def of(self, shards: Iterable[Shard]) -> "Artifacts":
        """These shards alone."""
        return replace(self, chosen=tuple(shards))

    def likes(self, source: str, index: int) -> pa.Table | None:
        """What similar says of the items of a shard that dedup kept, a row for each; None without that stage."""
        return None if self.similar is None else files.read_table(files.shard_path(self.similar / source, index))

    def gone(self, source: str, index: int) -> dict[str, dict[str, Any]]:
        """The rows of similar about the items of a shard that it removed, by id."""
        likes = self.likes(source, index)
        return {} if likes is None else {row["id"]: row for row in likes.filter(pc.invert(likes["kept"])).to_pylist()}

    def that_may_hold(self, origins: tuple[str, ...]) -> "Artifacts":
        """The shards alone that may hold items of these origins, as their footers say."""
        return self.of(shard for shard in self.shards() if _may_hold(shard[2], origins))


def _may_hold(path: Path, origins: tuple[str, ...]) -> bool:
    found = parquet.extremes(path, "origin")
    return found is None or any(found[0] <= origin <= found[1] for origin in origins)


def kept_rows(
    artifacts: Artifacts, origins: tuple[str, ...], columns: tuple[str, ...], only: pa.Array | None = None
) -> Iterator[pa.Table]:
    """Items of these origins that dedup and similar kept, with their decision and tags, a row group at a time.

    ``columns`` of REFERENCE_SCHEMA come first, with what was merged from copies filled in, then group, copies,
    conflict_id, merged and the tags. With ``only``, the items of these ids; shards without one of them are not read.
    """
    for source, index, path in artifacts.shards():
        tags = files.read_table(files.shard_path(artifacts.tags / source, index))
        likes = artifacts.likes(source, index)
        if only is not None and not pc.any(pc.is_in(tags["id"], value_set=only)).as_py():
            continue
        at = 0
        decided = files.shard_path(artifacts.decisions / source, index)
        for batch, part in files.aligned_batches(path, decided, ("origin", *columns)):
            kept, part = batch.filter(part["kept"].combine_chunks()), part.filter(part["kept"])
            tagged = tags.slice(at, kept.num_rows)
            at += kept.num_rows
            if not tagged["id"].combine_chunks().equals(kept["id"]):
                raise StoreError(f"tags of {source} shard {index} are from another run; run `gendata run` again")
            table = filled(_of_copies(pa.Table.from_batches([kept])).select(list(columns)), part["merged"])
            for name in _DECIDED:
                table = table.append_column(DECISION_SCHEMA.field(name), part[name])
            for name in _TAGGED:
                field = TAG_SCHEMA.field(name)
                there = name in tagged.column_names  # of a version before the column, in gendata.history
                table = table.append_column(field, tagged[name] if there else pa.nulls(len(tagged), field.type))
            mask = pc.is_in(kept["origin"], value_set=pa.array(origins))
            mask = pc.and_(mask, _stay(likes, at - len(tagged), kept["id"], f"{source} shard {index}"))
            if only is not None:
                mask = pc.and_(mask, pc.is_in(kept["id"], value_set=only))
            if (table := table.filter(mask)).num_rows:
                yield table.combine_chunks()
        if at != tags.num_rows:
            raise StoreError(f"tags of {source} shard {index} are from another run; run `gendata run` again")


def _of_copies(rows: pa.Table) -> pa.Table:
    """With the columns that only shards of ``content: reference`` have, null in those of copies."""
    for name in ("size", "thumbnail"):
        if name not in rows.column_names:
            rows = rows.append_column(
                REFERENCE_SCHEMA.field(name), pa.nulls(len(rows), REFERENCE_SCHEMA.field(name).type)
            )
    return rows


def _stay(likes: pa.Table | None, start: int, ids: pa.Array, name: str) -> pa.Array:
    """Which of the items with these ids similar kept, whose first is row ``start`` of ``likes``. Raises StoreError."""
    if likes is None:
        return pa.scalar(True)
    part = likes.slice(start, len(ids))
    if not part["id"].combine_chunks().equals(ids):
        raise StoreError(f"similar of {name} is from another run; run `gendata run` again")
    return part["kept"].combine_chunks()


_PASSAGE_COLUMNS = ("id", "modality", "origin", "source", "text")


def passages(artifacts: Artifacts, origins: tuple[str, ...], only: pa.Array | None = None) -> Iterator[dict[str, Any]]:
    """Text vectors (n, d) with their piece of text, as columns, a shard at a time; ``only`` as of ``kept_rows``."""
    for kept, rows in _with_vectors(artifacts, origins, _PASSAGE_COLUMNS, only, pc.is_valid):
        items = [kept[id_] for id_ in rows["id"].to_pylist()]
        if items:
            out: dict[str, Any] = {n: [item[n] for item in items] for n in ("id", "modality", "origin", "source")}
            out |= {n: rows[n].to_pylist() for n in ("part", "start", "end")}
            spans = zip(items, out["start"], out["end"], strict=True)
            yield out | {"text": [item["text"][start:end] for item, start, end in spans], "vector": _matrix(rows)}


def images(artifacts: Artifacts, origins: tuple[str, ...], only: pa.Array | None = None) -> Iterator[dict[str, Any]]:
    """Image vectors (n, d), as columns, a shard at a time; ``only`` as of ``kept_rows``."""
    for kept, rows in _with_vectors(artifacts, origins, ("id", "origin", "source"), only, pc.is_null):
        ids = rows["id"].to_pylist()
        if ids:
            out: dict[str, Any] = {n: [kept[id_][n] for id_ in ids] for n in ("id", "origin", "source")}
            yield out | {"vector": _matrix(rows)}


def _matrix(rows: pa.Table) -> NDArray[np.float32]:
    """The vectors of rows of one encoder."""
    flat = rows["vector"].combine_chunks().flatten().to_numpy()
    matrix: NDArray[np.float32] = flat.astype(np.float32, copy=False).reshape(rows.num_rows, -1)
    return matrix


def _with_vectors(
    artifacts: Artifacts,
    origins: tuple[str, ...],
    columns: tuple[str, ...],
    only: pa.Array | None,
    of_kind: Callable[[pa.ChunkedArray], pa.ChunkedArray],
) -> Iterator[tuple[dict[str, dict[str, Any]], pa.Table]]:
    """The kept items of a shard by id, and their vectors in order, of the kind that ``start`` tells."""
    for source, index, path in artifacts.shards():
        shard = files.shard_path(artifacts.vectors / source, index)
        if not pc.any(of_kind(files.read_table(shard, ["start"])["start"])).as_py():
            continue  # without reading what is large
        vectors = files.read_table(shard)
        vectors = vectors.filter(of_kind(vectors["start"]))
        if only is not None:
            vectors = vectors.filter(pc.is_in(vectors["id"], value_set=only))
            if not vectors.num_rows:
                continue
        decided = files.shard_path(artifacts.decisions / source, index)
        kept = {row["id"]: row for b in files.kept_batches(path, decided, columns) for row in b.to_pylist()}
        if unknown := set(pc.unique(vectors["id"]).to_pylist()) - kept.keys():
            raise StoreError(f"vectors of {source} shard {index} name {min(unknown)}, which is not kept there")
        gone = artifacts.gone(source, index)
        ids = pa.array([i for i, row in kept.items() if row["origin"] in origins and i not in gone], pa.string())
        yield kept, vectors.filter(pc.is_in(vectors["id"], value_set=ids))


def table_rows(
    name: str,
    artifacts: Artifacts,
    origins: tuple[str, ...],
    *,
    blobs: bool = True,
    only: pa.Array | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a Lance table, as its schema has them, without ``blobs`` or not; ``only`` as of ``kept_rows``."""
    if name == "items":
        schema = ITEMS if blobs else pa.schema(field for field in ITEMS if field.name not in BLOBS)
        for table in kept_rows(artifacts, origins, tuple(schema.names), only):
            yield from table.select(schema.names).cast(schema).to_batches()
        return
    source = passages if name == "passages" else images
    for columns in source(artifacts, origins, only):
        vectors = columns["vector"]
        schema = vector_schema(name, vectors.shape[1])
        columns["vector"] = pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1])
        yield pa.record_batch([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def vector_schema(name: str, dim: int) -> pa.Schema:
    """The columns of the table ``passages`` or ``images``, with vectors of this length."""
    vector = pa.field("vector", pa.list_(pa.float32(), dim), nullable=False)
    if name == "images":
        return pa.schema([*(f for f in _KEYS if f.name != "modality"), vector])
    place = [pa.field("part", pa.int32(), nullable=False), pa.field("start", pa.int64()), pa.field("end", pa.int64())]
    return pa.schema([*_KEYS, *place, pa.field("text", pa.large_string()), vector])
