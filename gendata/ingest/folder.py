"""Kind ``folder``: texts (.txt, .md) and images (.png, .jpg, .jpeg, .webp) under one folder.

Names that begin with a dot are skipped; any other type is a reject. A text is kept exactly as it
is. Beside an image, ``stem.caption`` or else ``stem.txt`` is its caption (white space at both ends
cut off) and no item of its own; where both are there, the .txt is an ordinary text. A caption that
cannot be read counts as one more unit, rejected as ``caption-invalid``, and the image is kept
without it. The caption of an image that is itself rejected is dropped with it.
A .caption without an image is a reject, ``caption-orphan``.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest import formats
from gendata.ingest.beside import caption, captions, invalid, is_media, refused
from gendata.ingest.globs import matcher
from gendata.ingest.paths import read_inside, walk
from gendata.ingest.pool import ordered
from gendata.ingest.reader import CAPTION, UNIT, Entry, UnitError
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, content_id, decode_uri, encode_uri

KEYS = frozenset({"path", "include", "exclude"})


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """Every file under the folder; see the module for what is a unit."""
    base = source_path(name, source, root)
    if not base.is_dir():
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} is not a folder")
    excluded, included = matcher(source.exclude), matcher(source.include)
    found = {p: problem for p, problem in walk(os.fsencode(base), excluded) if not excluded(p)}
    units = [p for p in found if not source.include or included(p) or _is_folder(found[p])]
    return listed(os.fsencode(base), found, units)


def listed(base: bytes, found: Mapping[bytes, str | None], units: Sequence[bytes]) -> Iterator[Entry]:
    """The units among the files found (with their problems), and the captions beside them."""
    beside = set(captions({p for p in units if is_media(p)}, found).values())
    for path in sorted({*units, *beside}):
        role = CAPTION if path in beside else UNIT
        problem = found[path] or (refused(path) if role == UNIT else None)
        yield Entry(encode_uri(path), role, problem=problem, base=base)


def _is_folder(problem: str | None) -> bool:
    return problem in {"symlink-directory", "unreadable"}


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams
) -> Iterator[Item | Reject]:
    """The units in the order of ``entries``; files are read and decoded on ``params.workers`` threads."""
    return read_files(os.fsencode(source_path(name, source, root)), entries, params)


def read_files(base: bytes, entries: Sequence[Entry], params: IngestParams) -> Iterator[Item | Reject]:
    """The files that are listed, under ``base``."""
    paths = {decode_uri(e.uri): e for e in entries}
    pictures = {p for p, e in paths.items() if is_media(p) and e.role == UNIT}
    beside = captions(pictures, {p for p, e in paths.items() if e.role == CAPTION})

    def one(path: bytes) -> Item | Reject | None:
        entry = paths[path]
        try:
            if entry.role == CAPTION:
                _caption(base, path, entry, params)
                return None
            data = _content(base, path, entry, params)
            return formats.item(entry.uri, data, params, _try_caption(base, beside.get(path), paths, params))
        except UnitError as error:
            return error.at(entry.uri)

    return (outcome for outcome in ordered(one, paths, params.workers) if outcome is not None)


def _content(base: bytes, path: bytes, entry: Entry, params: IngestParams) -> bytes:
    """The bytes of the entry, if they are still those that the scan saw."""
    if entry.problem is not None:
        raise UnitError(entry.problem)
    data = read_inside(base, path, params.max_file_bytes)
    if entry.sha256 is not None and content_id(data) != entry.sha256:
        raise UnitError("changed")
    return data


def _caption(base: bytes, path: bytes, entry: Entry, params: IngestParams) -> str:
    try:
        return caption(_content(base, path, entry, params), params)
    except UnitError as error:
        raise invalid(error) from None


def _try_caption(base: bytes, path: bytes | None, paths: Mapping[bytes, Entry], params: IngestParams) -> str | None:
    """The caption, None where there is none or it is broken (then its own entry is the reject)."""
    try:
        return None if path is None else _caption(base, path, paths[path], params)
    except UnitError:
        return None
