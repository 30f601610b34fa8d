"""Tables of lines read by processes, part by part: what is Python in it would keep one core busy."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from gendata.ingest.blocks import Block
from gendata.ingest.paths import split_suffix
from gendata.ingest.pool import apart
from gendata.ingest.reader import Entry
from gendata.ingest.records import LINES, Part
from gendata.items import Item, Reject, decode_uri

LARGE = 32 << 20
"""Bytes of tables from which on processes are worth starting."""


class Table(Protocol):
    """A table that can be pickled."""

    uri: str

    def parts(self) -> Iterator[Part | Reject]:
        """What can be read by itself; last a Reject of the table if it cannot be read on."""

    def blocks(self, part: Part | None = None) -> Iterator[Block | Item | Reject]:
        """The records, of all or of a part; last as ``parts``."""


def are_large(tables: Sequence[Entry]) -> bool:
    """Whether processes are worth it, and every table can be parted."""
    parted = all(entry.problem or split_suffix(decode_uri(entry.uri))[1] in LINES for entry in tables)
    return parted and sum(entry.size or 0 for entry in tables) > LARGE


def read_apart(tables: Iterable[Table], workers: int) -> Iterator[Block | Item | Reject]:
    """The blocks of all tables in their order. What keeps one from being read on ends it, and is told once."""
    ended = ""
    for uri, outcomes in apart(_read, ((table, part) for table in tables for part in table.parts()), workers):
        if uri != ended:
            yield from outcomes
            ended = uri if outcomes and outcomes[-1].uri == uri else ended


def _read(unit: tuple[Table, Part | Reject]) -> tuple[str, list[Block | Item | Reject]]:
    """Uri of the table, and what is in the part."""
    table, part = unit
    return table.uri, [part] if isinstance(part, Reject) else list(table.blocks(part))
