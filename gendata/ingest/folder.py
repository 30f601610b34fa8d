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
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import TypeVar

from gendata.errors import ParamsError
from gendata.ingest import formats, sidecar
from gendata.ingest.beside import caption, captions, companions, invalid, is_media, refused, sidecar_of
from gendata.ingest.blocks import Block, Gathered
from gendata.ingest.globs import matcher
from gendata.ingest.paths import folders, read_inside, split_suffix
from gendata.ingest.pool import ordered, spread
from gendata.ingest.reader import CAPTION, LINKED, SIDECAR, UNIT, Entry, UnitError
from gendata.ingest.referenced import refer
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import source_path
from gendata.items import Item, Reject, content_id, decode_uri, encode_uri

T = TypeVar("T")

KEYS = frozenset({"path", "include", "exclude", "content"})


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """Every file under the folder; see the module for what is a unit."""
    base = source_path(name, source, root)
    if not base.is_dir():
        raise ParamsError(f"params.yaml: sources.{name}.path: {source.path} is not a folder")
    excluded, included = matcher(source.exclude), matcher(source.include)

    def chosen(path: bytes, problem: str | None) -> bool:
        return not source.include or included(path) or problem in {"symlink-directory", "unreadable"}

    for found in folders(os.fsencode(base), excluded):
        yield from listed(os.fsencode(base), found, chosen)


def listed(
    base: bytes, found: Mapping[bytes, str | None], chosen: Callable[[bytes, str | None], bool]
) -> Iterator[Entry]:
    """The units that are chosen among the files of a folder, by path and problem, and what is beside them."""
    media = {p for p in found if is_media(p) and chosen(p, found[p])}
    beside = {p: SIDECAR for p in map(sidecar_of, media) if p in found}
    beside |= dict.fromkeys(captions(media, found).values(), CAPTION)
    for path in sorted(found):
        role, problem = beside.get(path, UNIT), found[path]
        if role != UNIT:
            yield Entry(encode_uri(path), role, problem=problem, base=base)
        elif chosen(path, problem):
            yield Entry(encode_uri(path), problem=problem or refused(path), base=base)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The units in the order of ``entries``; files are read and decoded on ``params.workers`` threads."""
    base = os.fsencode(source_path(name, source, root))
    return read_files(base, entries, params, since, referred=source.content == "reference")


def blocks(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Block | Item | Reject]:
    """The same in blocks; many files are read by processes."""
    return file_blocks(os.fsencode(source_path(name, source, root)), name, source, entries, params, since)


def read_files(
    base: bytes, entries: Sequence[Entry], params: IngestParams, since: str = "", *, referred: bool = False
) -> Iterator[Item | Reject]:
    """The files that are listed, under ``base``; of ``referred`` images and audio the content stays there."""
    read = _Files(base, params, referred)
    outcomes = ordered(read.outcome, _units(entries, since), params.workers, _size)
    return (outcome for outcome in outcomes if outcome is not None)


def file_blocks(
    base: bytes, name: str, source: SourceParams, entries: Sequence[Entry], params: IngestParams, since: str
) -> Iterator[Block | Item | Reject]:
    """The same in blocks, finished."""
    files = _Files(base, params, source.content == "reference")
    read = partial(_read_batch, files, Gathered(name, source, alone=True))
    for batch in spread(read, _units(entries, since), params.workers, _bytes, _is_quick):
        yield from batch


def _read_batch(files: "_Files", gathered: Gathered, units: list["_Unit"]) -> list[Block | Item | Reject]:
    """What some units give, finished; references, which are small, one by one."""
    if parent_process() is not None:
        warnings.filterwarnings("ignore", module=r"PIL\.")  # as in the process that all others serve
    outcomes = (outcome for outcome in map(files.outcome, units) if outcome is not None)
    return list(map(gathered.finished, outcomes) if files.referred else gathered.outcomes(outcomes))


@dataclass(frozen=True, slots=True)
class _Unit:
    """A file, and what is beside it."""

    entry: Entry
    caption: Entry | None = None
    sidecar: Entry | None = None


def _units(entries: Sequence[Entry], since: str) -> Iterator[_Unit]:
    for at, entry in enumerate(entries):
        if entry.role != LINKED and entry.uri >= since:
            yield _Unit(entry, *companions(entries, at, entry))


def _bytes(unit: _Unit) -> int:
    return unit.entry.size or 0


def _is_quick(unit: _Unit) -> bool:
    """Whether it takes no longer to read than to hash."""
    return unit.entry.size is not None and split_suffix(decode_uri(unit.entry.uri))[1] in formats.QUICK


def _size(unit: _Unit) -> int:
    """Of what is quickly read the bytes, of all else more than there are."""
    return _bytes(unit) if _is_quick(unit) else sys.maxsize


@dataclass(frozen=True, slots=True)
class _Files:
    """The files under ``base``; of ``referred`` images and audio the content stays there."""

    base: bytes
    params: IngestParams
    referred: bool = False

    def outcome(self, unit: _Unit) -> Item | Reject | None:
        """What one unit gives."""
        entry, params = unit.entry, self.params
        try:
            if entry.role == CAPTION:
                self._caption(entry)
                return None
            if entry.role == SIDECAR:
                self._parsed(entry)
                return None
            data = self._content(entry, params.max_file_bytes)
            item = formats.item(entry.uri, data, params, self._or_none(self._caption, unit.caption))
            stated = self._or_none(self._parsed, unit.sidecar)
            item = item if stated is None else stated.beside(item)
            return refer(item) if self.referred else item  # here, on the thread: the bytes go no further
        except UnitError as error:
            return error.at(entry.uri)

    def _content(self, entry: Entry, limit: int) -> bytes:
        """The bytes of the entry, if they are still those that the scan saw."""
        if entry.problem is not None:
            raise UnitError(entry.problem)
        data = read_inside(self.base, decode_uri(entry.uri), limit)
        if entry.sha256 is not None and content_id(data) != entry.sha256:
            raise UnitError("changed")
        return data

    def _caption(self, entry: Entry) -> str:
        try:
            return caption(self._content(entry, self.params.max_file_bytes), self.params)
        except UnitError as error:
            raise invalid(error) from None

    def _parsed(self, entry: Entry) -> sidecar.Sidecar:
        try:
            limit = min(self.params.max_file_bytes, self.params.max_record_bytes)
            return sidecar.parse(self._content(entry, limit), self.params)
        except UnitError as error:
            raise UnitError("sidecar-invalid", f"{error.reason}: {error.detail}") from None

    @staticmethod
    def _or_none(read: Callable[[Entry], T], entry: Entry | None) -> T | None:
        """What is beside a unit, None where it is not there or broken (then its own entry is the reject)."""
        try:
            return None if entry is None else read(entry)
        except UnitError:
            return None
