"""Texts in columns: .csv as RFC 4180 has it, and .tsv, in which quotes are characters like others (IANA)."""

import csv
from collections.abc import Iterator
from itertools import count
from typing import Any, BinaryIO, Literal

from gendata.ingest.reader import UnitError
from gendata.ingest.records.lines import Lines
from gendata.ingest.settings import IngestParams

_LOST = "the rest of the file is not read"
"""Beyond a limit in a .csv nobody can tell whether a line is a record or the middle of a quoted field."""


def rows(file: BinaryIO, params: IngestParams, *, delimiter: str) -> Iterator[tuple[int, dict[str, Any] | UnitError]]:
    """A record per row, all values texts."""
    previous = csv.field_size_limit(params.max_record_bytes)  # of the process: the module offers no other
    try:
        found = _rows(file, params, delimiter)
        names = _header(found)
        numbers = count(1)
        while (record := _record(found, names)) is not None:
            if record:
                yield next(numbers), record
    finally:
        csv.field_size_limit(previous)


def header(file: BinaryIO, params: IngestParams, *, delimiter: str) -> list[str]:
    """The names of the columns. Raises UnitError: ``empty`` or ``corrupt-file``."""
    return _header(_rows(file, params, delimiter))


def _rows(file: BinaryIO, params: IngestParams, delimiter: str) -> Iterator[list[str]]:
    lines = Lines(file, params.max_record_bytes)
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    # a byte that is not UTF-8 must cost one record, not the rest of the file
    return csv.reader(map(_decode, lines), strict=True, delimiter=delimiter, quoting=quoting)


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")


def _header(rows: Iterator[list[str]]) -> list[str]:
    try:
        header = next((_utf8(row) for row in rows if row), [])
    except (csv.Error, UnitError) as error:
        raise UnitError("corrupt-file", f"the header: {getattr(error, 'detail', error)}") from None
    if not header:
        raise UnitError("empty", "no header")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UnitError("corrupt-file", f"the header names {twice[0]!r} twice")
    return header


def _utf8(row: list[str]) -> list[str]:
    try:
        "".join(row).encode()
    except UnicodeEncodeError:
        raise UnitError("invalid-utf8", "bytes that are not UTF-8") from None
    return row


def _record(rows: Iterator[list[str]], header: list[str]) -> dict[str, Any] | UnitError | None:
    """The next record; empty for a blank line, None at the end."""
    try:
        row = _utf8(next(rows))
    except StopIteration:
        return None
    except csv.Error as error:
        if "field limit" in str(error):
            raise UnitError("too-large", f"{error}; {_LOST}") from None
        return UnitError("invalid-row", str(error))
    except UnitError as error:
        if error.reason == "too-large":
            raise UnitError("too-large", f"a line of {error.detail}; {_LOST}") from None
        return error
    if row and len(row) != len(header):
        return UnitError("invalid-row", f"{len(row)} fields, the header has {len(header)}")
    return dict(zip(header, row, strict=False))
