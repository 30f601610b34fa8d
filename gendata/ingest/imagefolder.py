"""Kind ``imagefolder``: images whose folder is their label, ``dog/1.png``, or split and label, ``train/dog/1.png``.

The first folder that is no name of a split is the label (torchvision has it so). A ``metadata.csv`` or
``metadata.jsonl`` says more of the images below it (``datasets`` has it so): its column ``file_name`` is their path
from there, the others are read as ``facts``, and then no folder is a label. Our own export is read back as it was.
Captions beside images are as in ``folder``, and go before those of a metadata file. A file that is no image
is a reject, and so is a row without its image.
"""

import json
import os
import posixpath
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from gendata.errors import ParamsError
from gendata.ingest.beside import is_media
from gendata.ingest.cells import as_split, as_string
from gendata.ingest.facts import described, take_text
from gendata.ingest.folder import listed, read_files
from gendata.ingest.globs import matcher
from gendata.ingest.listing import find
from gendata.ingest.paths import folders, split_suffix
from gendata.ingest.reader import LINKED, UNIT, Entry, UnitError
from gendata.ingest.records import records
from gendata.ingest.scan import Scanned
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, decode_uri, encode_uri

KEYS = frozenset({"path", "include", "exclude", "content"})

_METADATA = (b"metadata.csv", b"metadata.jsonl")


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """Every file under the folder; metadata files are no units."""
    base = source_path(name, source, root)
    if not base.is_dir():
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} is not a folder")
    excluded, included = matcher(source.exclude), matcher(source.include)

    def chosen(path: bytes, _: str | None) -> bool:
        return not source.include or included(path) or _is_metadata(path)

    for found in folders(os.fsencode(base), excluded):
        for entry in listed(os.fsencode(base), found, chosen):
            path = decode_uri(entry.uri)
            if _is_metadata(path) and found[path] is None:
                yield replace(entry, role=LINKED, problem=None)
            elif entry.role == UNIT and not is_media(path):
                yield replace(entry, problem=found[path] or "unsupported-type")
            else:
                yield entry


def _is_metadata(path: bytes) -> bool:
    return path.rpartition(b"/")[2] in _METADATA


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The images in the order of ``entries``, after the rows that belong to none."""
    base = os.fsencode(source_path(name, source, root))

    def is_there(path: bytes) -> bool:
        at = find(entries, encode_uri(path), 0)
        return at is not None and entries[at].role == UNIT

    scanned = Scanned(name, root, base)
    with tempfile.TemporaryFile() as spool:
        rows = _Rows(spool)
        for entry in entries:
            if entry.role == LINKED:
                orphans = rows.add(scanned, entry, is_there, params)
                yield from (orphan for orphan in orphans if not since)
        for outcome in read_files(base, entries, params, since, referred=source.content == "reference"):
            yield outcome if isinstance(outcome, Reject) else _outcome(outcome, rows, params)


def _outcome(item: Item, rows: "_Rows", params: IngestParams) -> Item | Reject:
    """The image with its label, and what its row says."""
    path = decode_uri(item.uri)
    split, label = _folders(path)
    record = rows.of(path)
    if record is None:
        return replace(item, label=label, source_split=split)
    try:
        if item.text is None and (text := take_text(record, params)) is not None:
            item = replace(item, text=text, text_origin="column")
        return described(replace(item, source_split=split), record)
    except UnitError as error:
        return error.at(item.uri)


def _folders(path: bytes) -> tuple[str | None, str | None]:
    """Split and label that the folders of an image state."""
    *folders, _ = path.decode("utf-8", "replace").split("/")
    split = as_split(folders[0]) if folders else None
    return split, next(iter(folders[split is not None :]), None)


class _Rows:
    """Rows of metadata files by the path of the image, kept in a file."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool, self._at = spool, dict[bytes, tuple[int, int]]()

    def add(
        self, scanned: Scanned, entry: Entry, is_there: Callable[[bytes], bool], params: IngestParams
    ) -> Iterator[Reject]:
        """Take the rows of a metadata file; those whose image is not there are rejects."""
        path = decode_uri(entry.uri)
        folder, suffix = posixpath.dirname(path), split_suffix(path)[1]
        try:
            with scanned.open(entry) as file:
                for number, record in records(file, suffix, params):
                    try:
                        if isinstance(record, UnitError):
                            raise record
                        self._keep(folder, record, is_there)
                    except UnitError as error:
                        yield error.at(f"{entry.uri}#{number}")
        except UnitError as error:
            yield error.at(entry.uri)

    def _keep(self, folder: bytes, record: dict[str, Any], is_there: Callable[[bytes], bool]) -> None:
        name = as_string("file_name", record.pop("file_name", None))
        if name is None:
            raise UnitError("invalid-row", "no file_name")
        path = posixpath.normpath(posixpath.join(folder, name.encode("utf-8", "surrogateescape")))
        if not is_there(path):
            raise UnitError("missing-file", f"{name}: no such image under the source")
        if path in self._at:
            raise UnitError("duplicate-name", f"{name}: a row before this one is about it")
        self._at[path] = self._spool.seek(0, os.SEEK_END), self._spool.write(json.dumps(record).encode())

    def of(self, path: bytes) -> dict[str, Any] | None:
        """The row about an image."""
        if path not in self._at:
            return None
        start, length = self._at[path]
        self._spool.seek(start)
        record: dict[str, Any] = json.loads(self._spool.read(length))
        return record
