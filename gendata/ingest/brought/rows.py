"""The rows of a table that brings something, each with what it names its item by."""

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from gendata.brought import TableParams
from gendata.errors import ParamsError
from gendata.ingest.brought.values import Kind, Span
from gendata.ingest.cells import as_words
from gendata.ingest.paths import open_inside
from gendata.ingest.reader import UnitError
from gendata.ingest.records import columns, records
from gendata.ingest.settings import IngestParams
from gendata.items import encode_uri


class Row(NamedTuple):
    """A row that can be understood."""

    key: str
    """As it stands there."""
    uri: str
    """The same, where it is the path of a file."""
    span: Span
    """Which passage of the item it is about."""
    value: Any
    """What it brings."""


def table_path(table: TableParams, root: Path) -> Path:
    """Where the table is, resolved. Raises ParamsError."""
    try:
        return (root / Path(table.path).expanduser()).resolve()
    except (RuntimeError, ValueError):  # ~ of a user that there is not, a loop of links; a NUL
        raise ParamsError(f"params.yaml: {table.path!r} is not the path of a table") from None


def read_rows(
    table: TableParams, kind: Kind, root: Path, limits: IngestParams
) -> Iterator[tuple[int, Row | UnitError]]:
    """Every row with its position, as it is understood or what is wrong with it; position 0 is the file as a whole.

    Raises ParamsError where a column is not there.
    """
    path = table_path(table, root)
    suffix = path.suffix.lower()
    texts = suffix in {".csv", ".tsv"}
    try:
        with _opened(path) as file:
            there = columns(file, suffix, limits)
        for column in (table.key_column, *table.columns):
            if there and column not in there:
                raise ParamsError(f"params.yaml: {table.path} has no column {column!r}; there are: {', '.join(there)}")
        with _opened(path) as file:
            for position, record in records(file, suffix, limits):
                try:
                    if isinstance(record, UnitError):
                        raise record
                    key = _key(record.get(table.key_column), table)
                    span = kind.span(record, table, texts=texts)
                    value = kind.value(record, table, texts=texts)
                except UnitError as error:
                    yield position, error
                else:
                    yield position, Row(key, encode_uri(posixpath.normpath(key)), span, value)
    except UnitError as error:
        yield 0, error


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with open_inside(os.fsencode(path.parent), os.fsencode(path.name)) as file:
            yield file
    except OSError:
        raise UnitError("unreadable") from None


def _key(value: Any, table: TableParams) -> str:
    try:
        key = as_words(table.key_column, value)
        if key is None:
            raise UnitError("invalid-key", f"{table.key_column} is empty")
        key.encode()
    except UnitError as error:
        raise UnitError("invalid-key", error.detail) from None
    except UnicodeEncodeError:
        raise UnitError("invalid-key", f"{table.key_column} is not valid Unicode") from None
    return key
