"""How much rows of Arrow are as values of Python, which share nothing and where a bit is an object.

A text that a dictionary holds once, a list that views repeat, or a thousand million nulls take no room in Arrow.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as of

from gendata.ingest.reader import UnitError

_VALUE = 16
"""Bytes of a value that is no text, about."""

_BATCH, _ROW = 64 << 20, 1 << 28
"""Bytes of several rows, and of one, at most."""


def bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows, as many at a time as weigh little. Raises UnitError ``table-too-large`` at a row that is too much."""
    if batch.num_rows and not batch.nbytes:
        raise UnitError("corrupt-file", "rows without values, of which there may be any number")
    heavy = weight(batch)
    if heavy <= _BATCH or (batch.num_rows == 1 and heavy <= _ROW):
        yield batch
        return
    if batch.num_rows == 1:
        raise UnitError("table-too-large", f"a row whose values take about {heavy} bytes")
    half = batch.num_rows // 2
    yield from bounded(batch.slice(0, half))
    yield from bounded(batch.slice(half))


def weight(batch: pa.RecordBatch) -> int:
    """About the bytes of all values, of texts and bytes exactly. Raises UnitError."""
    try:
        return sum(map(_weight, batch.columns))
    except KeyError as error:  # intervals of months
        raise UnitError("corrupt-file", f"a column is of Arrow's type {error}, which Python cannot have") from None


def _weight(array: pa.Array) -> int:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _weight(array.storage)
    if of.is_dictionary(kind) or of.is_run_end_encoded(kind):
        values = array.dictionary if of.is_dictionary(kind) else array.values
        return len(array) * (_VALUE + _largest(values))
    if of.is_string_view(kind) or of.is_binary_view(kind):
        whole = pa.large_string() if of.is_string_view(kind) else pa.large_binary()
        return len(array) * _VALUE + int(array.cast(whole).nbytes)
    if of.is_struct(kind) or of.is_union(kind):
        return len(array) * _VALUE + sum(_weight(array.field(i)) for i in range(kind.num_fields))
    if of.is_map(kind):
        entries = int(array.offsets[-1].as_py() - array.offsets[0].as_py())
        return int(array.nbytes) + entries * 2 * _VALUE
    if of.is_nested(kind):  # lists
        return len(array) * _VALUE + _weight(array.flatten())
    return int(array.nbytes) + len(array) * _VALUE


def _largest(values: pa.Array) -> int:
    """The most that one of them weighs."""
    kind = values.type
    if any(test(kind) for test in (of.is_string, of.is_large_string, of.is_binary, of.is_large_binary)):
        return int(pc.max(pc.binary_length(values)).as_py() or 0)
    return _VALUE if of.is_primitive(kind) else _weight(values)
