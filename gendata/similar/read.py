"""The items that may be compared, with what the keep policy asks of them, and their vectors in a file."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata import files
from gendata.errors import StoreError
from gendata.keep import Ints, policy_ranks, visiting_order
from gendata.similar.vectors import Floats, Vectors, VectorsWriter, usable

KINDS = {"text": "text", "record": "text", "image": "image"}
"""Modalities that are compared, each with itself, and the encoder that made their vectors. The words beside an image
are not compared, nor the transcript of audio: they are not what the item is."""

_COLUMNS = ("id", "modality", "origin", "source", "uri", "label", "license")
_SCHEMA = pa.schema([*((name, pa.large_string()) for name in (*_COLUMNS, "split")), ("wordless", pa.bool_())])


class Shard(NamedTuple):
    """One shard: its kept items are ``start`` to ``stop`` of all."""

    source: str
    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """The items of a modality that have vectors, in visiting order, and the vectors by place in ``numbers``."""

    numbers: Ints
    order: Ints
    vectors: Vectors

    @property
    def visits(self) -> Ints:
        """The items in visiting order."""
        return self.numbers[self.order]


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """All kept items in the order read, by number, and by modality those that are compared.

    ``origins`` is the rank of the origin of each. ``left_out`` counts those that are not compared: ``dedup_off``, of
    sources with ``dedup: false``; ``no_vector`` (empty texts, unreadable images); ``no_direction``, whose vectors are
    zero or not finite.
    """

    table: pa.Table
    shards: tuple[Shard, ...]
    origins: npt.NDArray[np.int8]
    kinds: Mapping[str, Kind]
    left_out: Mapping[str, int]


class _Spool:
    """Vectors of one modality on their way to disk, and the sizes of their items."""

    def __init__(self, path: Path) -> None:
        self._writer = VectorsWriter(path)
        self._numbers = [np.empty(0, np.int64)]
        self._sizes = [np.empty(0, np.int64)]

    def add(self, numbers: Ints, sizes: Ints, vectors: Floats, counts: Ints, weights: Ints) -> None:
        """Items with their sizes, and their vectors; see VectorsWriter."""
        self._writer.add(vectors, counts, weights)
        self._numbers.append(numbers)
        self._sizes.append(sizes)

    def kind(self, places: Ints, ranks: tuple[npt.NDArray[np.signedinteger], ...]) -> Kind:
        """``places``: of each item among all by ascending id."""
        numbers, sizes = np.concatenate(self._numbers), np.concatenate(self._sizes)
        order = visiting_order(places[numbers], sizes, *(rank[numbers] for rank in ranks))
        return Kind(numbers=numbers, order=order, vectors=self._writer.vectors())


def read(
    stages: tuple[Path, Path, Path, Path],
    sources: Mapping[str, bool],
    policy: tuple[tuple[str, ...], tuple[str, ...]],
    scratch: Path,
) -> Items:
    """Read the kept items of all sources and write their vectors into ``scratch``.

    Memory is that of the metadata and of the vectors of one shard.

    Args:
        stages: folders of ingest, dedup, tag and embed.
        sources: names of the sources; the items of one that is False are not compared.
        policy: ``prefer`` and ``keep``, as of ``dedup``.
        scratch: an empty folder.

    Raises:
        StoreError: The shards of the stages do not match.
    """
    shards: list[Shard] = []
    spools = {modality: _Spool(scratch / modality) for modality in KINDS}
    left_out = Counter(dict.fromkeys(("dedup_off", "no_vector", "no_direction"), 0))
    tables, count = [_SCHEMA.empty_table()], 0
    for source, compared in sources.items():
        for index, (path, decided) in enumerate(files.decided_shards(stages[0], stages[1], source)):
            tags, vectors = (files.read_table(files.shard_path(stage / source, index)) for stage in stages[2:])
            table = _kept(path, decided, tags, f"{source} shard {index}", vectors)
            shards.append(Shard(source, index, count, count + len(table)))
            if compared:
                _share_out(table, tags, vectors, count, spools, left_out)
            else:
                left_out["dedup_off"] += len(table)
            tables.append(table)
            count += len(table)
    whole = pa.concat_tables(tables).combine_chunks()
    ranks = policy_ranks(whole, *policy)
    places = np.empty(count, np.int64)
    places[pc.sort_indices(whole["id"]).to_numpy()] = np.arange(count)
    kinds = {modality: spool.kind(places, ranks) for modality, spool in spools.items()}
    origins = ranks[0].astype(np.int8, copy=False)
    return Items(table=whole, shards=tuple(shards), origins=origins, kinds=kinds, left_out=left_out)


def _kept(path: Path, decided: Path, tags: pa.Table, name: str, vectors: pa.Table) -> pa.Table:
    """The metadata of the kept items of a shard. Raises StoreError where tags or vectors are of others."""
    tables = [pa.Table.from_batches([b]).select(_COLUMNS) for b in files.kept_batches(path, decided, _COLUMNS)]
    ids = pa.concat_tables(tables)["id"].combine_chunks() if tables else pa.array([], pa.string())
    if not tags["id"].combine_chunks().equals(ids):
        raise StoreError(f"tags of {name} are from another run; run `gendata run` again")
    if not pc.all(pc.is_in(vectors["id"], value_set=ids)).as_py() and len(vectors):
        raise StoreError(f"vectors of {name} name items that are not kept there; run `gendata run` again")
    if not tables:
        return _SCHEMA.empty_table()
    table = pa.concat_tables(tables).append_column("split", tags["split"])
    worded = pc.unique(vectors["id"].filter(pc.is_valid(vectors["start"])))
    return table.append_column("wordless", pc.invert(pc.is_in(ids, value_set=worded))).cast(_SCHEMA)


def _share_out(
    table: pa.Table, tags: pa.Table, vectors: pa.Table, first: int, spools: dict[str, _Spool], left_out: Counter[str]
) -> None:
    """Write the vectors of a shard's items, the first of which is number ``first`` of all."""
    pixels = pc.multiply(tags["width"].cast(pa.int64()), tags["height"].cast(pa.int64()))
    for modality, encoder in KINDS.items():
        wanted = pc.equal(table["modality"], modality)
        rows = vectors.filter(pc.is_null(vectors["start"]) if encoder == "image" else pc.is_valid(vectors["start"]))
        ids = table["id"].filter(wanted).cast(pa.string()).combine_chunks()
        rows = rows.filter(pc.is_in(rows["id"], value_set=ids))
        left_out["no_vector"] += pc.sum(wanted).as_py() or 0
        if not len(rows):
            continue
        matrix = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)
        items = pc.index_in(rows["id"].cast(pa.large_string()), value_set=table["id"].combine_chunks()).to_numpy()
        left_out["no_vector"] -= len(np.unique(items))
        left_out["no_direction"] += len(np.unique(items))
        good = usable(matrix)
        matrix, items = matrix[good], items[good].astype(np.int64)
        numbers, counts = np.unique(items, return_counts=True)
        left_out["no_direction"] -= len(numbers)
        if encoder == "image":
            sizes = pc.fill_null(pixels, 0).to_numpy()[numbers]
            weights = np.ones(len(matrix), np.int64)
        else:
            starts, ends = (rows[name].to_numpy()[good] for name in ("start", "end"))
            sizes = np.maximum.reduceat(ends, np.cumsum(counts) - counts) if len(ends) else ends
            weights = np.maximum(ends - starts, 1)
        spools[modality].add(first + numbers, sizes, matrix, counts, weights)
