"""What a row of a table brings: tags of any kind as one JSON object, or the vector of an image."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata.brought import TableParams
from gendata.ingest.cells import as_meta
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.items import canonical_json

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""As JSON writes one; a csv holds texts alone."""


class Kind(Protocol):
    """What the tables of one section bring."""

    stage: str
    """Which stage takes it."""
    type: pa.DataType
    """Of a value."""
    modality: str | None
    """Of the items that it is brought for; None for all."""

    def value(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> Any:
        """What a row brings; with ``texts`` all its cells are texts. Raises UnitError."""

    def names(self, table: TableParams) -> frozenset[str]:
        """What no other row about the same item may bring."""

    def joined(self, values: Sequence[Any]) -> Any:
        """What the rows about one item bring together."""


class Tags:
    """Scores, labels, anything: an object of the columns that have a value."""

    stage, type = "tag", pa.string()
    modality: str | None = None

    def value(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> str:
        """See Kind."""
        cells = {name: _cell(record.get(name), texts=texts) for name in table.columns}
        found = {name: cell for name, cell in cells.items() if cell is not None}
        if not found:
            raise UnitError("empty", f"no value in {', '.join(table.columns)}")
        return canonical_json(found)

    def names(self, table: TableParams) -> frozenset[str]:
        """See Kind."""
        return frozenset(table.columns)

    def joined(self, values: Sequence[str]) -> str:
        """See Kind."""
        if len(values) == 1:
            return values[0]
        return canonical_json({k: v for value in values for k, v in parse_json(value.encode()).items()})


class ImageVectors:
    """Vectors of images, scaled to length 1; all of as many numbers as the first valid one."""

    stage, type = "embed", pa.list_(pa.float32())
    modality: str | None = "image"

    def __init__(self) -> None:
        self._dim: int | None = None

    def value(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> npt.NDArray[np.float32]:
        """See Kind; a text is read as JSON."""
        cell = record.get(table.columns[0])
        if cell is None or cell == "":
            raise UnitError("empty", f"no value in {table.columns[0]}")
        try:
            vector = np.asarray(parse_json(cell.encode()) if isinstance(cell, str) else cell, np.float64)
        except (UnitError, ValueError, TypeError, OverflowError):
            raise UnitError("invalid-vector", "not a list of numbers") from None
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise UnitError("invalid-vector", "not a list of finite numbers, or all are 0")
        self._dim = self._dim or vector.size
        if vector.size != self._dim:
            raise UnitError("wrong-length", f"{vector.size} numbers; the first vector has {self._dim}")
        vector = vector / np.abs(vector).max()  # no square is then too large for a float, nor are all too small
        scaled: npt.NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
        return scaled

    def names(self, table: TableParams) -> frozenset[str]:
        """See Kind."""
        return frozenset({"vector"})

    def joined(self, values: Sequence[Any]) -> Any:
        """See Kind: there is one."""
        return values[0]


def _cell(value: Any, *, texts: bool) -> Any:
    """A value as JSON has it; None where it says nothing."""
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if texts and isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return parse_json(value.encode())
    return as_meta(value)
