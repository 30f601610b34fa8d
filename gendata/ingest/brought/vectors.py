"""Vectors that a row of a table brings: of an image, of a text, or of one passage of a text."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata.brought import TableParams
from gendata.ingest.brought.values import Span
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.items import VECTOR_SCHEMA

_MODALITIES = {"image": frozenset({"image"}), "text": frozenset({"text", "record"})}
"""Whose content the vectors are of. A caption and a transcript are beside the content, and equal files may have others:
what is brought for one by uri or id could be of another's words."""

_WHOLE = re.compile(r"([0-9]{1,18})(\.0+)?")
"""A whole number in a csv; pandas writes those of a column with gaps as floats."""


class Vectors:
    """Scaled to length 1; all of as many numbers as the first valid one."""

    stage, type, schema = "embed", pa.list_(pa.float32()), VECTOR_SCHEMA

    def __init__(self, of: Literal["image", "text"]) -> None:
        self.section, self.passages = f"embed.{of}", of == "text"
        self._of, self._dim = of, cast(int | None, None)

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

    def span(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> Span:
        """See Kind: columns after that of the vector are those of start and end; with neither it is the whole text."""
        if len(table.columns) == 1:
            return Span()
        start, end = (_offset(name, record.get(name), texts=texts) for name in table.columns[1:])
        if start is None and end is None:
            return Span()
        if start is None or end is None or start >= end:
            raise UnitError("invalid-offsets", f"from {start} to {end}: not 0 <= start < end")
        return Span(start, end)

    def check(self, row: Mapping[str, Any]) -> None:
        """See Kind."""
        if row["modality"] not in _MODALITIES[self._of]:
            article = "an" if self._of == "image" else "a"
            raise UnitError(f"not-{article}-{self._of}", f"{row['key']!r} is of modality {row['modality']}")
        if self.passages and not row["start"] < row["end"] <= row["length"]:
            said = f"from {row['start']} to {row['end']}; {row['key']!r} has {row['length']} code points"
            raise UnitError("invalid-offsets", said)

    def names(self, row: Mapping[str, Any], table: TableParams) -> frozenset[Any]:
        """See Kind: a passage has one vector."""
        return frozenset({(row["start"], row["end"])})

    def rows(self, item_id: str, brought: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """See Kind."""
        for part, row in enumerate(brought):
            yield {"id": item_id, "part": part, "start": row["start"], "end": row["end"], "vector": row["value"]}


def _offset(name: str, cell: Any, *, texts: bool) -> int | None:
    """A number of code points; None where there is none."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if texts and isinstance(cell, str) and (found := _WHOLE.fullmatch(cell)):
        return int(found[1])
    whole = isinstance(cell, int) and not isinstance(cell, bool)
    if not (whole or (isinstance(cell, float) and cell.is_integer())) or not 0 <= cell < 1 << 63:
        raise UnitError("invalid-offsets", f"{name} is not a number of code points")
    return int(cell)
