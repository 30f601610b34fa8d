"""A folder in which every file is read as a lone file of its name would be: tables as ``table``, others as ``folder``.

References of dedup are read so. It is no kind of source: what a source is, params.yaml says. Each table has columns of
its own; one without a column that ``map`` names is a reject, ``unsupported-columns``. Uris are relative to the folder.
Items of tables come after the others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.records import SUFFIXES
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import reader_of
from gendata.items import Item, Reject, decode_uri

KIND = "tree"
KEYS = frozenset({"path", "map"})


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """Every file under the folder; the images that a table may point to are among them."""
    for entry in reader_of("folder").listing(name, source, root):
        takes = _is_table(entry) and entry.problem == "unsupported-type"
        yield replace(entry, problem=None) if takes else entry


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The texts and images, then the rows of the tables, each file by itself."""
    others = [entry for entry in entries if not _is_table(entry)]
    yield from reader_of("folder").read(name, source, root, others, params)
    for entry in filter(_is_table, entries):
        try:
            yield from reader_of("table").read(name, source, root, [entry], params)
        except ParamsError as error:  # of one table among many, and before the first of its rows
            detail = str(error).removeprefix(f"params.yaml: sources.{name}")
            yield UnitError("unsupported-columns", detail.removeprefix(": ").removeprefix(".")).at(entry.uri)


def _is_table(entry: Entry) -> bool:
    return split_suffix(decode_uri(entry.uri))[1] in SUFFIXES
