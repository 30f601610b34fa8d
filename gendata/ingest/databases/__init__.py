"""Databases: a module per engine, which runs one query and changes nothing."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gendata.ingest.reader import UnitError

Record = tuple[dict[str, Any], UnitError | None]
"""A row by the names of its columns, and what is wrong with it, if anything is."""

Limit = Callable[[str], int]
"""The largest number of bytes in a cell of this column."""


class Result(Protocol):
    """What a query gives. Engines raise ParamsError where a person must act, UnitError where the data are broken."""

    columns: list[str]

    def records(self, limit: Limit) -> Iterator[Record]:
        """The rows, streamed; a cell beyond its limit is null, and its row has the problem ``too-large``."""


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def selected(query: str) -> str:
    """The query as a part of another one: no semicolon at its end, and a comment there ends with its line."""
    return f"(\n{query.strip().rstrip(';')}\n) AS q"


def too_large(column: str) -> UnitError:
    """That a cell of this column is beyond its limit."""
    return UnitError("too-large", f"{column}: more bytes than ingest.max_record_bytes, of an image max_file_bytes")
