"""The records of a table file, streamed: memory does not grow with the file. A module per family of formats.

Each format gives ``(position, record or UnitError)``. Positions count from 1: lines of a .jsonl, values of a .json,
records of a .csv or .tsv (the header is not counted, nor are blank lines), rows of a .parquet or .arrow. A broken
record is a UnitError in its place and reading goes on; a broken file raises UnitError, and so does one in which
nobody can tell where the next record begins.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa

from gendata.ingest.reader import UnitError
from gendata.ingest.records import columnar, delimited, isolated, jsons
from gendata.ingest.records.jsons import parse_json
from gendata.ingest.records.lines import Part, parts
from gendata.ingest.settings import IngestParams

__all__ = [
    "COLUMNS",
    "LINES",
    "SAMPLE_ROWS",
    "SUFFIXES",
    "Part",
    "Records",
    "batches",
    "columns",
    "parse_json",
    "parts",
    "records",
]

Records = Iterator[tuple[int, dict[str, Any] | UnitError]]

_READ: Mapping[str, Callable[[BinaryIO, IngestParams], Records]] = {
    ".jsonl": jsons.lines,
    ".ndjson": jsons.lines,
    ".json": jsons.values,
    ".csv": partial(delimited.rows, delimiter=","),
    ".tsv": partial(delimited.rows, delimiter="\t"),
}

COLUMNS = (".parquet", ".arrow", ".feather")
"""Those that are columns already."""

SUFFIXES = (*_READ, *COLUMNS)
"""All."""

LINES = frozenset({".jsonl", ".ndjson"})
"""Of these the ones of which a part can be read by itself."""

SAMPLE_ROWS = 1000
"""The columns of JSON are the keys of this many first records."""


def records(file: BinaryIO, suffix: str, params: IngestParams, part: Part | None = None) -> Records:
    """The records of an open file whose name ends with one of SUFFIXES; with one of LINES perhaps a part."""
    _refuse_empty(file)
    if suffix in COLUMNS:
        return columnar.numbered(isolated.batches(file, suffix, params))
    return _READ[suffix](file, params) if part is None else jsons.lines(file, params, part)


def batches(file: BinaryIO, suffix: str, params: IngestParams) -> Iterator[pa.RecordBatch]:
    """The same of one of COLUMNS, as it is. Leaves the position of the file undefined."""
    _refuse_empty(file)
    return isolated.batches(file, suffix, params)


def _refuse_empty(file: BinaryIO) -> None:
    if not file.read(1):
        raise UnitError("empty", "0 bytes")
    file.seek(0)


def columns(file: BinaryIO, suffix: str, params: IngestParams) -> list[str]:
    """The names of the columns, in their order; none if the file is broken."""
    try:
        if suffix in COLUMNS:
            return isolated.names(file, suffix, params)
        if suffix in {".csv", ".tsv"}:
            return delimited.header(file, params, delimiter="," if suffix == ".csv" else "\t")
        sample = islice(records(file, suffix, params), SAMPLE_ROWS)
        return list(dict.fromkeys(key for _, r in sample if not isinstance(r, UnitError) for key in r))
    except UnitError:
        return []
