"""Blocks: consecutive items as rows of ITEM_SCHEMA, finished where they are read.

Columns are cut into shards and row groups, and carried between processes, without a Python object per value. The bytes
on disk are those of the rows one by one.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from gendata.ingest.finish import finished
from gendata.ingest.settings import SourceParams
from gendata.items import ITEM_SCHEMA, Item, Reject
from gendata.rowgroups import Sizes, row_sizes

_BYTES, _ROW_BYTES = 1 << 20, 512
"""Of a block, but for its last row: so much is carried at once. And of a row beside what may be large, about."""

_FEW = 8
"""Fewer items between rejects stay items: a table takes as long to make as so many rows."""

_AS_THEY_ARE = ("modality", "origin", "uri", "file_sha256", "media_type", "text_origin", "data", "label", "license",
                "source_split")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Between two outcomes: before it are those of the entries before ``entry``, and the first ``done`` of that."""

    entry: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of ITEM_SCHEMA, and their sizes.

    All are of the entry that ``uri`` belongs to; without one each is all that its own entry gives. ``places`` (rows, 2)
    are those behind them, once the journal knows them.
    """

    uri: str | None
    rows: pa.Table
    sizes: Sizes
    places: Sizes = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def cut(self, at: int) -> tuple["Block", "Block"]:
        """The rows before this one, and those from it on."""
        return self._some(0, at), self._some(at, len(self))

    def _some(self, start: int, end: int) -> "Block":
        rows = self.rows.slice(start, end - start)
        return Block(self.uri, rows, self.sizes[start:end], self.places[start:end])

    @property
    def end(self) -> Place:
        """Behind its last row."""
        return Place(*self.places[-1].tolist())

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes as Arrow has it."""
        (batch,) = self.rows.combine_chunks().to_batches()
        return _unpacked, (self.uri, batch.serialize().to_pybytes(), self.sizes.tobytes())


def _unpacked(uri: str | None, rows: bytes, sizes: bytes) -> Block:
    batch = pa.ipc.read_record_batch(pa.py_buffer(rows), ITEM_SCHEMA)
    return Block(uri, pa.Table.from_batches([batch]), np.frombuffer(sizes, np.int64))


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the outcomes of one source become: finished, and items in blocks.

    With ``alone`` an entry gives one outcome, and a block is of several entries.
    """

    name: str
    source: SourceParams
    alone: bool = False

    def finished(self, outcome: Item | Reject) -> Item | Reject:
        """See ``finish``."""
        return finished(outcome, self.source)

    def outcomes(self, outcomes: Iterable[Item | Reject]) -> Iterator[Block | Item | Reject]:
        """Those of one entry, in their order; a block ends at a reject, or with a megabyte."""
        items, metas, left = list[Item](), list[str](), _BYTES
        for each in outcomes:
            outcome = self.finished(each)
            if isinstance(outcome, Item):
                meta = outcome.meta_json()
                items.append(outcome)
                metas.append(meta)
                stated = len(outcome.label or "") + len(outcome.license or "")  # any column of a table
                left -= _ROW_BYTES + len(outcome.text or "") + len(outcome.data or b"") + len(meta) + stated
                if left > 0:
                    continue
            yield from self._blocks(items, metas)
            items, metas, left = [], [], _BYTES
            if isinstance(outcome, Reject):
                yield outcome
        yield from self._blocks(items, metas)

    def _blocks(self, items: list[Item], metas: list[str]) -> Iterator[Block | Item]:
        if len(items) < _FEW:
            yield from items
            return
        texts = [None if item.text is None else item.text.encode() for item in items]
        contents = [text or b"" if item.data is None else item.data for item, text in zip(items, texts, strict=True)]
        block = to_block(items, metas, self.name, texts, contents)
        yield replace(block, uri=None) if self.alone else block


def to_block(
    items: Sequence[Item],
    metas: Sequence[str],
    name: str,
    texts: pa.Array | list[bytes | None],
    contents: Iterable[bytes | memoryview],
) -> Block:
    """Finished items of one entry, with what ``Item.row`` makes of their meta, text and content."""
    columns: dict[str, Any] = {column: list(map(attrgetter(column), items)) for column in _AS_THEY_ARE}
    columns |= {
        "id": [hashlib.sha256(content).hexdigest() for content in contents],
        "source": [name] * len(items),
        "parents": _parents(items),
        "text": texts,
        "meta": metas,
    }
    arrays = [_array(columns[field.name], field.type) for field in ITEM_SCHEMA]
    rows = pa.Table.from_arrays(arrays, schema=ITEM_SCHEMA)
    return Block(items[0].uri, rows, row_sizes(rows))


def _parents(items: Sequence[Item]) -> pa.Array:
    kind = ITEM_SCHEMA.field("parents").type
    if any(item.parents for item in items):
        return pa.array([list(item.parents) for item in items], kind)
    none = pa.py_buffer(np.zeros(len(items) + 1, np.int32))
    return pa.Array.from_buffers(kind, len(items), [None, none], children=[pa.nulls(0, kind.value_type)])


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    """``pa.array``, but of texts in a third of the time, and without pandas, which that imports."""
    if isinstance(values, pa.Array):
        return values
    missing = values.count(None)
    if missing == len(values):
        return pa.nulls(len(values), kind)
    if missing or kind not in _OFFSETS:
        return pa.array(values, kind)
    if isinstance(values[0], str):
        joined = "".join(values)
        values = values if joined.isascii() else [value.encode() for value in values]
        data = joined.encode()
    else:
        data = b"".join(values)
    if len(data) > np.iinfo(_OFFSETS[kind]).max:  # the sums would wrap; Arrow makes chunks of it
        return pa.array(values, kind)
    offsets = np.zeros(len(values) + 1, _OFFSETS[kind])
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


_OFFSETS: dict[pa.DataType, type[np.int32 | np.int64]] = {
    pa.string(): np.int32,
    pa.large_string(): np.int64,
    pa.large_binary(): np.int64,
}
