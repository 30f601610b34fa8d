"""Rows of a table that is columns already, to blocks: texts stay as Arrow has them, and are hashed where they lie.

That is for batches without anything to reject. All others go row by row, which says what is wrong, and where.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata.ingest.blocks import Block, Gathered, to_block
from gendata.ingest.pool import ahead
from gendata.ingest.reader import UnitError
from gendata.ingest.records.columnar import rows
from gendata.ingest.rows import Rows
from gendata.items import Item, Reject


def in_blocks(
    uri: str, batches: Iterator[pa.RecordBatch], table: Rows, gathered: Gathered
) -> Iterator[Block | Item | Reject]:
    """All rows of a table: what ``gathered`` makes of them one by one."""
    done = 0
    for batch in ahead(batches):
        uris = [f"{uri}#{number}" for number in range(done + 1, done + 1 + batch.num_rows)]
        done += batch.num_rows
        block = _block(uris, batch, table, gathered)
        if block is not None:
            yield block
        else:
            yield from gathered.outcomes(table.outcomes(zip(uris, rows(batch), strict=True)))


def _block(uris: list[str], batch: pa.RecordBatch, table: Rows, gathered: Gathered) -> Block | None:
    """None where not every row is a text, or what there is beside the texts cannot be taken as it is."""
    column = table.text_column
    if column is None or column not in batch.schema.names or not batch.num_rows:
        return None
    texts = _texts(batch, column, table.max_text_chars)
    if texts is None:
        return None
    items = []
    for uri, record in zip(uris, rows(batch.drop_columns([column])), strict=True):
        try:
            item = None if isinstance(record, UnitError) else gathered.finished(table.beside_text(uri, record))
        except UnitError:
            return None
        if not isinstance(item, Item):
            return None
        items.append(item)
    return to_block(items, [item.meta_json() for item in items], gathered.name, texts, _contents(texts))


def _texts(batch: pa.RecordBatch, column: str, max_chars: int) -> pa.Array | None:
    """The texts, if each is UTF-8, not too long, and more than white space."""
    texts = batch.column(column)
    if texts.type not in (pa.string(), pa.large_string()) or texts.null_count:
        return None
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return None
    if pc.max(pc.utf8_length(texts)).as_py() > max_chars:
        return None
    texts = texts.cast(pa.large_string())
    starts = _offsets(texts)
    if not np.diff(starts).all():
        return None
    first = np.frombuffer(texts.buffers()[2], np.uint8)[starts[:-1]]
    may_be_space = (first <= ord(" ")) | (first >= 0x7F)
    if any(texts[i].as_py().isspace() for i in np.flatnonzero(may_be_space).tolist()):
        return None
    return texts


def _contents(texts: pa.Array) -> Iterator[memoryview]:
    data = memoryview(texts.buffers()[2])
    return (data[start:end] for start, end in pairwise(_offsets(texts).tolist()))


def _offsets(texts: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.frombuffer(texts.buffers()[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
