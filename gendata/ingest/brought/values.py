"""What a row of a table brings: tags of any kind as one JSON object; ``vectors`` has vectors."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from gendata.brought import TableParams
from gendata.ingest.cells import as_meta
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.items import canonical_json

_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]+)?([eE][+-]?[0-9]+)?")
"""As JSON writes one; a csv holds texts alone."""


class Span(NamedTuple):
    """The passage that a row is about, in code points; without ends the whole text, or no text at all."""

    start: int | None = None
    end: int | None = None


class Kind(Protocol):
    """What the tables of one section bring."""

    stage: str
    """Which stage takes it."""
    section: str
    """Of params.yaml, that has the tables."""
    type: pa.DataType
    """Of a value."""
    schema: pa.Schema
    """Of what is brought for the items of a shard."""
    passages: bool
    """Whether the rows are about passages of texts."""

    def value(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> Any:
        """What a row brings; with ``texts`` all its cells are texts. Raises UnitError."""

    def span(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> Span:
        """The passage that a row is about. Raises UnitError."""

    def check(self, row: Mapping[str, Any]) -> None:
        """Raises UnitError where a row (key, modality, length, start, end) is not about such an item."""

    def names(self, row: Mapping[str, Any], table: TableParams) -> frozenset[Any]:
        """What no other row about the same item may bring."""

    def rows(self, item_id: str, brought: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """What is brought for an item, as ``schema`` has it, of the rows about it, by passage."""


class Tags:
    """Scores, labels, anything: an object of the columns that have a value."""

    stage, section, type, passages = "tag", "tag", pa.string(), False
    schema = pa.schema([("id", pa.string()), ("value", pa.string())])

    def value(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> str:
        """See Kind."""
        cells = {name: _cell(record.get(name), texts=texts) for name in table.columns}
        found = {name: cell for name, cell in cells.items() if cell is not None}
        if not found:
            raise UnitError("empty", f"no value in {', '.join(table.columns)}")
        return canonical_json(found)

    def span(self, record: Mapping[str, Any], table: TableParams, *, texts: bool) -> Span:
        """See Kind: of no passage."""
        return Span()

    def check(self, row: Mapping[str, Any]) -> None:
        """See Kind: all items may have tags."""

    def names(self, row: Mapping[str, Any], table: TableParams) -> frozenset[str]:
        """See Kind."""
        return frozenset(table.columns)

    def rows(self, item_id: str, brought: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """See Kind: one object."""
        values = [row["value"] for row in brought]
        if len(values) > 1:
            values = [canonical_json({k: v for value in values for k, v in parse_json(value.encode()).items()})]
        yield from ({"id": item_id, "value": value} for value in values)


def _cell(value: Any, *, texts: bool) -> Any:
    """A value as JSON has it; None where it says nothing."""
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if texts and isinstance(value, str) and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
        return parse_json(value.encode())
    return as_meta(value)
