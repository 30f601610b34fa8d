"""Kind ``folder``: texts, documents, images and audio under one folder, by the endings of their names (``formats``).

Names that begin with a dot are skipped; any other type is a reject. A plain text is kept exactly as it
is, of a document its text. Beside an image or audio, ``stem.caption`` or else ``stem.txt`` is its caption or transcript
(white space at both ends cut off) and no item of its own; where both are there, the .txt is an
ordinary text. A caption that cannot be read counts as one more unit, rejected as
``caption-invalid``, and its item is kept without it. The caption of what is itself rejected is
dropped with it. A .caption that is beside neither is a reject, ``caption-orphan``. Likewise ``stem.json``
is what else is known of it (see ``sidecar``), rejected as ``sidecar-invalid``, and of an unsupported
type beside neither.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest import formats, sidecar
from gendata.ingest.beside import caption, captions, invalid, is_media, refused
from gendata.ingest.globs import matcher
from gendata.ingest.paths import read_inside, split_suffix, walk
from gendata.ingest.pool import ordered
from gendata.ingest.reader import CAPTION, SIDECAR, UNIT, Entry, UnitError
from gendata.ingest.referenced import refer
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, content_id, decode_uri, encode_uri

KEYS = frozenset({"path", "include", "exclude", "content"})


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
    """The units among the files found (with their problems), and what is beside them."""
    media = {p for p in units if is_media(p)}
    beside = {p: SIDECAR for p in map(_sidecar, media) if p in found}
    beside |= dict.fromkeys(captions(media, found).values(), CAPTION)
    for path in sorted({*units, *beside}):
        role = beside.get(path, UNIT)
        problem = found[path] or (refused(path) if role == UNIT else None)
        yield Entry(encode_uri(path), role, problem=problem, base=base)


def _is_folder(problem: str | None) -> bool:
    return problem in {"symlink-directory", "unreadable"}


def _sidecar(medium: bytes) -> bytes:
    return split_suffix(medium)[0] + b".json"


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The units in the order of ``entries``; files are read and decoded on ``params.workers`` threads."""
    base = os.fsencode(source_path(name, source, root))
    return read_files(base, entries, params, since, referred=source.content == "reference")


def read_files(
    base: bytes, entries: Sequence[Entry], params: IngestParams, since: str = "", *, referred: bool = False
) -> Iterator[Item | Reject]:
    """The files that are listed, under ``base``; of ``referred`` images and audio the content stays there."""
    paths = {decode_uri(e.uri): e for e in entries}
    media = {p for p, e in paths.items() if is_media(p) and e.role == UNIT}
    beside = captions(media, {p for p, e in paths.items() if e.role == CAPTION})

    def one(path: bytes) -> Item | Reject | None:
        entry = paths[path]
        try:
            if entry.role == CAPTION:
                _caption(base, path, entry, params)
                return None
            if entry.role == SIDECAR:
                _parsed(base, path, entry, params)
                return None
            data = _content(base, path, entry, params)
            item = formats.item(entry.uri, data, params, _try_caption(base, beside.get(path), paths, params))
            stated = _try_sidecar(base, _sidecar(path), paths, params) if path in media else None
            item = item if stated is None else stated.beside(item)
            return refer(item) if referred else item  # here, on the thread: the bytes go no further
        except UnitError as error:
            return error.at(entry.uri)

    units = (path for path, entry in paths.items() if entry.uri >= since)
    outcomes = ordered(one, units, params.workers, lambda path: _size(path, paths[path]))
    return (outcome for outcome in outcomes if outcome is not None)


def _size(path: bytes, entry: Entry) -> int:
    """Of what is quickly read the bytes, of all else more than there are."""
    quick = entry.size is not None and split_suffix(path)[1] in formats.QUICK
    return entry.size or 0 if quick else sys.maxsize


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


def _parsed(base: bytes, path: bytes, entry: Entry, params: IngestParams) -> sidecar.Sidecar:
    try:
        within = replace(params, max_file_bytes=min(params.max_file_bytes, params.max_record_bytes))
        return sidecar.parse(_content(base, path, entry, within), params)
    except UnitError as error:
        raise UnitError("sidecar-invalid", f"{error.reason}: {error.detail}") from None


def _try_sidecar(
    base: bytes, path: bytes, paths: Mapping[bytes, Entry], params: IngestParams
) -> sidecar.Sidecar | None:
    """What the .json says, None where there is none or it is broken (then its own entry is the reject)."""
    entry = paths.get(path)
    try:
        return _parsed(base, path, entry, params) if entry is not None and entry.role == SIDECAR else None
    except UnitError:
        return None
