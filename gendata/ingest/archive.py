"""Kind ``archive``: zips and tars (.tar .tar.gz .tar.bz2 .tar.xz .tar.zst), one, a folder or a glob of them.

What a member is, and which is the caption of which, is as in ``folder``; the uri is ``photos.zip!2024/a.png``. Items
come in the order of the archives, then in that of the members. ``include`` and ``exclude`` choose among the members,
and ``exclude`` also among the archives of a folder. Links, devices, members of an earlier member's name and archives in
archives are rejects. Of an archive that ends too early, or unpacks to more than the limits, what came before is read;
the rest is one reject, of the archive.

An archive is read twice: names first, as a caption may stand anywhere. Where there are captions, another pass puts
them into a temporary file.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from gendata.errors import ParamsError
from gendata.ingest import formats
from gendata.ingest.archives import ArchiveError, Found, found_in
from gendata.ingest.beside import caption, captions, invalid, is_media, may_be_caption, refused
from gendata.ingest.globs import matcher
from gendata.ingest.paths import ARCHIVES, is_archive
from gendata.ingest.places import place
from gendata.ingest.pool import ordered
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.scan import Scanned
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, Reject, encode_uri

KEYS = frozenset({"path", "include", "exclude"})

_Chosen = Callable[[], Iterator[Found]]
"""What an archive holds, from its beginning."""

_Unit = tuple[str, bytes | UnitError, str | None]
"""Uri, content or why there is none, and caption."""


def listing(name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
    """The archives; any other file of a folder is a problem."""
    there = place(name, source, root)
    if there.only is not None and not is_archive(there.only):
        raise ParamsError(
            f"params.yaml: sources.{name}.path: {source.path} is neither a folder nor a {', '.join(ARCHIVES)} file"
        )
    for path, problem in there.walk(matcher(source.exclude)):
        problem = problem or (None if is_archive(path) else "unsupported-type")
        yield Entry(encode_uri(path), problem=problem, base=there.base)


def read(
    name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams, since: str = ""
) -> Iterator[Item | Reject]:
    """The members of every archive, decoded on ``params.workers`` threads."""
    scanned = Scanned(name, root, place(name, source, root).base)
    for entry in (e for e in entries if e.uri >= since):
        try:
            with scanned.open(entry) as file:
                yield from _outcomes(entry.uri, file, source, params)
        except UnitError as error:
            yield error.at(entry.uri)


def _outcomes(uri: str, file: BinaryIO, source: SourceParams, params: IngestParams) -> Iterator[Item | Reject]:
    chosen = partial(found_in, uri, file, source, params)
    with tempfile.TemporaryFile() as spool:
        beside = _Captions(chosen, source, params, spool)
        yield from ordered(
            partial(_outcome, params=params), _units(uri, chosen, source, params, beside), params.workers
        )


def _outcome(unit: _Unit, params: IngestParams) -> Item | Reject:
    uri, data, text = unit
    try:
        if isinstance(data, UnitError):
            raise data
        return formats.item(uri, data, params, text)
    except UnitError as error:
        return error.at(uri)


def _units(
    uri: str, chosen: _Chosen, source: SourceParams, params: IngestParams, beside: "_Captions"
) -> Iterator[_Unit]:
    """Every member that is no caption, and every caption that cannot be read; last why the archive ends too early."""
    included = matcher(source.include)
    try:
        for found in chosen():
            problem = found.member.problem
            if problem != "duplicate-name" and found.path in beside:
                if (error := beside.error(found.path)) is not None:
                    yield found.uri, error, None
            elif not source.include or included(found.path) or problem == "link-in-archive":
                yield found.uri, _content(found, params), beside.of(found.path)
    except UnitError as error:
        yield uri, error, None


def _content(found: Found, params: IngestParams) -> bytes | UnitError:
    """Raises ArchiveError alone."""
    try:
        if found.member.problem is None and (problem := _refused(found.path)) is not None:
            raise UnitError(problem)
        return found.read(params.max_file_bytes)
    except ArchiveError:
        raise
    except UnitError as error:
        return error


def _refused(path: bytes) -> str | None:
    return "nested-archive" if is_archive(path) else refused(path)


class _Captions:
    """Captions by the paths of their images, found in a pass of their own and kept in a file."""

    def __init__(self, chosen: _Chosen, source: SourceParams, params: IngestParams, spool: IO[bytes]) -> None:
        self._beside, self._spool = self._paired(chosen, source), spool
        self._at: dict[bytes, tuple[int, int] | UnitError] = dict.fromkeys(
            self._beside.values(), UnitError("caption-invalid", "the archive ends before it")
        )
        if self._at:
            with suppress(UnitError):  # of the archive: met again, after what can be read
                for found in chosen():
                    if found.path in self._at and found.member.problem != "duplicate-name":
                        self._at[found.path] = self._kept(found, params)

    @staticmethod
    def _paired(chosen: _Chosen, source: SourceParams) -> dict[bytes, bytes]:
        included, pictures, texts = matcher(source.include), set(), set()
        with suppress(UnitError):
            for found in chosen():
                if may_be_caption(found.path):
                    texts.add(found.path)
                elif is_media(found.path) and (not source.include or included(found.path)):
                    pictures.add(found.path)
        return captions(pictures, texts)

    def _kept(self, found: Found, params: IngestParams) -> tuple[int, int] | UnitError:
        try:
            text = caption(found.read(params.max_file_bytes), params).encode()
        except ArchiveError:
            raise
        except UnitError as error:
            return invalid(error)
        return self._spool.seek(0, os.SEEK_END), self._spool.write(text)

    def __contains__(self, path: bytes) -> bool:
        return path in self._at

    def error(self, path: bytes) -> UnitError | None:
        """Why the caption at this path cannot be read, if it cannot."""
        place = self._at[path]
        return place if isinstance(place, UnitError) else None

    def of(self, picture: bytes) -> str | None:
        """The caption of an image; None if it has none that can be read."""
        place = self._at.get(self._beside.get(picture, b""))
        if place is None or isinstance(place, UnitError):
            return None
        self._spool.seek(place[0])
        return self._spool.read(place[1]).decode()
