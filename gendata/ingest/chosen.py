"""Kind ``files``: one file, or all that a glob names, read as ``folder`` reads them.

``path`` is a file or a glob, with braces for a list: ``notes/**/*.md``, ``data/{a.txt,more/b.png}``. Uris are relative
to the folder before the first wild card. A caption need not be named.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest import formats
from gendata.ingest.beside import refused
from gendata.ingest.blocks import Block
from gendata.ingest.folder import file_blocks, listed, read_files
from gendata.ingest.globs import matcher
from gendata.ingest.places import place
from gendata.ingest.reader import Entry
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, Reject

KEYS = frozenset({"path", "include", "exclude", "content"})


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """What the glob names, and the captions beside it. Raises ParamsError for one file of no type that is read."""
    there, where = place(name, source, root), f"params.yaml: sources.{name}.path: {source.path}"
    if there.only is not None and refused(there.only):
        raise ParamsError(f"{where} is of no type that is read: {', '.join(sorted(formats.SUFFIXES))}")
    if there.only is None and there.matches is None:
        raise ParamsError(f"{where} is a folder; its kind is folder")
    included = matcher(source.include)

    def named(path: bytes, _: str | None) -> bool:
        return (there.matches is None or there.matches(path)) and (not source.include or included(path))

    for found in replace(there, matches=None).folders(matcher(source.exclude)):
        yield from listed(there.base, found, named)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The files in the order of ``entries``."""
    base = place(name, source, root).base
    return read_files(base, entries, params, since, referred=source.content == "reference")


def blocks(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Block | Item | Reject]:
    """The same in blocks."""
    return file_blocks(place(name, source, root).base, name, source, entries, params, since)
