"""Exact deduplication: rows of equal id are one item. Works on metadata columns alone, without content."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gendata import files
from gendata.errors import ParamsError
from gendata.keep import Ints, policy_ranks, visiting_order

_COLUMNS = ("id", "modality", "origin", "uri", "label", "license", "source_split")
_SCHEMA = pa.schema(
    [*((name, pa.large_string()) for name in (*_COLUMNS, "source")), ("wordless", pa.bool_())]  # no 2 GB limit
)


class Shard(NamedTuple):
    """One shard as ingested: its rows are ``start`` to ``stop`` of all rows."""

    source: str
    path: Path
    start: int
    stop: int


class NearJob(NamedTuple):
    """What a worker sketches: positions of rows in one shard, ascending, their items, and their ids."""

    path: Path
    positions: Ints
    items: Ints
    ids: pa.Array

    @property
    def digest(self) -> str:
        """Of the ids, and so of all contents."""
        return hashlib.sha256("".join(self.ids.to_pylist()).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """All rows in the order read, and the items they form, numbered by ascending id.

    ``item`` is the item of each row, ``stays`` the row that stays of each item (by the keep policy),
    ``order`` all rows by id and then by that policy. ``ranks`` are the policy's columns per row: origin,
    source priority, then what is unknown.
    """

    table: pa.Table
    shards: tuple[Shard, ...]
    sources: Mapping[str, bool]
    ranks: tuple[npt.NDArray[np.int8] | Ints, ...]
    item: Ints
    stays: Ints
    order: Ints

    def origins(self) -> npt.NDArray[np.int8]:
        """Rank of the origin per row."""
        return self.ranks[0].astype(np.int8, copy=False)

    def item_origins(self) -> npt.NDArray[np.int8]:
        """Rank of the origin per item: the lowest of its rows."""
        return self.origins()[self.stays]

    def crossing(self) -> npt.NDArray[np.bool_]:
        """The rows whose origin is not that of the row that stays for their id."""
        return np.not_equal(self.origins(), self.item_origins()[self.item])

    def values(self, column: str, rows: Ints) -> list[Any]:
        """A column's values at some rows, as Python objects."""
        values: list[Any] = self.table[column].take(pa.array(rows)).to_pylist()
        return values

    def near_jobs(self, modality: str, taking: npt.NDArray[np.bool_], *, every: bool = False) -> list[NearJob]:
        """The items to search for near-duplicates of one modality, by the shard that holds their content.

        Of the items ``taking`` part, those of sources that do; with ``every`` those of all sources.
        """
        chosen = np.zeros(len(self.item), bool)
        chosen[self.stays[taking]] = True
        chosen &= pc.equal(self.table["modality"], modality).to_numpy()
        jobs = []
        for shard in self.shards:
            if every or self.sources[shard.source]:
                positions = np.flatnonzero(chosen[shard.start : shard.stop])
                if positions.size:
                    rows = positions + shard.start
                    ids = self.table["id"].take(pa.array(rows)).combine_chunks()
                    jobs.append(NearJob(shard.path, positions, self.item[rows], ids))
        return jobs

    def visits(self, numbers: Ints, sizes: Ints) -> Ints:
        """The keep policy's order over some items, as positions in ``numbers``."""
        rows = self.stays[numbers]
        return visiting_order(numbers, sizes, *(rank[rows] for rank in self.ranks))


def read(ingested: Path, sources: Mapping[str, bool], prefer: tuple[str, ...], known: tuple[str, ...]) -> Rows:
    """Read the metadata of all rows and find the items.

    Of equal rows stays, after origin and source (``prefer``), the one in which more is known, the first of ``known``
    before the second. Memory is proportional to the metadata (ids, uris, labels). Raises ParamsError, StoreError.
    """
    for name in prefer:
        if name not in sources:
            raise ParamsError(f"dedup.prefer: unknown source {name!r}; there is {', '.join(sources) or 'none'}")
    shards: list[Shard] = []
    table = pa.Table.from_batches(_batches(ingested, sources, shards), _SCHEMA).combine_chunks()
    ranks = policy_ranks(table, prefer, known)
    keys = {f"rank{i}": pa.array(rank) for i, rank in enumerate(ranks)}
    keyed = pa.table({"id": table["id"], **keys, "source": table["source"], "uri": table["uri"]})
    by_id = pc.sort_indices(keyed, sort_keys=[(name, "ascending") for name in keyed.column_names])
    order = by_id.to_numpy().astype(np.int64)
    ids = table["id"].take(by_id).combine_chunks()
    first = np.ones(len(order), bool)
    if len(order) > 1:
        first[1:] = pc.not_equal(ids.slice(1), ids.slice(0, len(order) - 1)).to_numpy(zero_copy_only=False)
    item = np.empty(len(order), np.int64)
    item[order] = np.cumsum(first) - 1
    return Rows(
        table=table, shards=tuple(shards), sources=sources, ranks=ranks, item=item, stays=order[first], order=order
    )


def _batches(ingested: Path, sources: Mapping[str, bool], shards: list[Shard]) -> Iterator[pa.RecordBatch]:
    """The metadata of every row with its source's name; fills ``shards`` on the way."""
    count = 0
    for source in sources:
        for path in files.shards(ingested / source / "items"):
            start = count
            for batch in files.iter_batches(path, [*_COLUMNS, "text"]):
                count += batch.num_rows
                columns = [batch[name].cast(pa.large_string()) for name in _COLUMNS]
                columns.append(pa.repeat(pa.scalar(source, pa.large_string()), batch.num_rows))
                columns.append(pc.is_null(batch["text"]))
                yield pa.record_batch(columns, _SCHEMA)
            shards.append(Shard(source, path, start, count))


def column_readers(path: Path, column: str, positions: Ints) -> Iterator[Callable[[], pa.Array]]:
    """What reads the values of one column of a shard at ascending positions: a call per row group that has any."""
    for read_group in readers(path, (column,), positions):
        yield partial(_one, read_group)


def _one(read_group: Callable[[], pa.Table]) -> pa.Array:
    values = read_group().column(0)
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()  # images are worth no copy


def readers(path: Path, columns: Sequence[str], positions: Ints) -> Iterator[Callable[[], pa.Table]]:
    """Likewise of several columns, of those that the shard has."""
    start = 0
    with _readable(path) as file:
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    for group, size in enumerate(sizes):
        low, high = np.searchsorted(positions, (start, start + size))
        if low < high:
            yield partial(_read_group, path, group, columns, positions[low:high] - start)
        start += size


def _read_group(path: Path, group: int, columns: Sequence[str], positions: Ints) -> pa.Table:
    with _readable(path) as file:
        rows = file.read_row_group(group, columns=list(columns))
    return rows if len(positions) == rows.num_rows else rows.take(pa.array(positions))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise files.unreadable(path, error) from error


def column_values(path: Path, column: str, positions: Ints) -> Iterator[Any]:
    """The values themselves, as Python objects, one after the other."""
    for read_group in column_readers(path, column, positions):
        yield from (value.as_py() for value in read_group())
