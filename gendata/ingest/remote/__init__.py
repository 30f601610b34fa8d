"""URLs as sources: what they name is mirrored in the project, and read there as local files are.

Every file that the server names stands in the mirror, empty at first; the reader lists that, and what it lists is
fetched, until it lists nothing new. So no bytes are moved of what it would not open, and the rules of a kind are in its
reader alone.

A file that cannot be had (gone, refused, too large, cut short each time) is a problem of its entry, hence one reject.
What may go well another time (no answer, status 500) ends the scan, and so does what concerns the whole source: what
was fetched is kept, half of a file too, and the next scan goes on from there.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from gendata import files
from gendata.engine import Progress
from gendata.errors import GendataError, ParamsError
from gendata.ingest.globs import is_glob, matcher
from gendata.ingest.pool import ordered
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.remote.client import AgainError, Client, Part, RefusedError, Remote
from gendata.ingest.remote.tree import Tree
from gendata.ingest.settings import RemoteParams, SourceParams
from gendata.ingest.sources import reader_of
from gendata.ingest.urls import MIRRORS, Url, is_url, mirror, parse, unusable
from gendata.items import encode_uri

__all__ = ["RemoteParams", "forget", "listing", "sample"]

T = TypeVar("T")

_ONE_EACH = frozenset({"files", "folder", "imagefolder"})
"""Kinds of which a file is an item."""

_LONGEST_WAIT = 60.0
"""Seconds between two attempts, whatever the server asks."""


def listing(name: str, source: SourceParams, root: Path, params: RemoteParams) -> Iterator[Entry]:
    """Fetch what changed since the last time; then the listing of the reader.

    Raises:
        GendataError: the server does not answer, or what the URL names cannot be had as a whole.
    """
    there = _Mirror(name, source, root, params)
    with files.lock(there.lock):
        entries = there.update()
        there.finish()
    inside, whole = os.fsencode(there.tree.path), os.fsencode(there.whole)
    for entry in entries:
        yield replace(entry, base=None if entry.base is None else whole + entry.base.removeprefix(inside))


def sample(
    name: str, source: SourceParams, root: Path, params: RemoteParams, n: int
) -> tuple[SourceParams, list[Entry]]:
    """A few files of a source, fetched, and what to read them as: ``n``, or one where a file holds many items.

    The next ``listing`` goes on from there.
    """
    n = n if source.kind in _ONE_EACH else 1
    there = _Mirror(name, source, root, params)
    with files.lock(there.lock):
        entries = there.update(n)
    return there.local, entries


def forget(names: dict[str, SourceParams], root: Path) -> None:
    """Remove the mirrors of sources that there are no more."""
    used = {(root / mirror(name, parse(s.path or ""))).name for name, s in names.items() if is_url(s.path)}
    for folder in (root / MIRRORS).glob("*"):
        if folder.name not in used:
            shutil.rmtree(folder)


def _client(url: Url, params: RemoteParams) -> Client:
    if url.is_web:
        from gendata.ingest.remote.web import Web

        return Web(url, params)
    from gendata.ingest.remote.bucket import Bucket

    return Bucket(url, params)


class _Mirror:
    """The mirror of one source while it is brought up to date: in ``partial``, which becomes ``files`` at the end."""

    def __init__(self, name: str, source: SourceParams, root: Path, params: RemoteParams) -> None:
        self._name, self._source, self._root, self._params = name, source, root, params
        self._url = parse(source.path or "")
        self._folder = root.resolve() / mirror(name, self._url)
        self.whole, self._parts, self.lock = (self._folder / n for n in ("files", "parts", "lock"))
        self.tree = Tree(self._folder / "partial", self._folder / "fetched.jsonl")
        at = self.tree.path.relative_to(root.resolve()) / self._url.rest
        self.local = replace(source, path=str(at))
        self._found: dict[str, Remote] = {}
        self._bytes, self._size, self._stop = 0, 0, threading.Event()

    def update(self, most: int | None = None) -> list[Entry]:
        """What the reader lists, all of it fetched, or the first ``most`` alone."""
        try:
            with closing(_client(self._url, self._params)) as client:
                self._found = self._insist(client.listing)
                if len(self._found) > self._params.max_files:
                    raise RefusedError(f"{len(self._found)} files, more than ingest.remote.max_files")
                names = {path for path in self._found if not _strange(path)}
                self._parts.mkdir(exist_ok=True)
                if self.whole.exists():
                    self.tree.take(self.whole)
                strange = {*self._found} - names | self.tree.place(names)
                return [*self._fetched(client, most), *self._unusable(strange)]
        except (RefusedError, AgainError) as error:
            raise GendataError(f"source {self._name}: {self._url}: {error}") from None

    def finish(self) -> None:
        """All is there: readers may come."""
        self.tree.close()
        shutil.rmtree(self._parts)
        self.tree.path.rename(self.whole)

    def _fetched(self, client: Client, most: int | None) -> list[Entry]:
        problems = dict[str, UnitError | None]()
        while True:
            entries = self._listed()
            paths = {entry.uri: self._path(entry) for entry in entries if entry.base is not None}
            todo = [
                paths[e.uri] for e in entries if e.uri in paths and e.problem is None and paths[e.uri] not in problems
            ]
            if not todo or (most is not None and problems):
                break
            problems |= self._fetch(client, todo[:most])
        bad = {path: error.reason for path, error in problems.items() if error is not None}
        if (alone := problems.get(self._url.rest)) is not None and not is_glob(self._url.rest):
            raise RefusedError(alone.detail)
        entries = [replace(entry, problem=entry.problem or bad.get(paths.get(entry.uri, ""))) for entry in entries]
        return entries if most is None else [entry for entry in entries if paths.get(entry.uri) in problems]

    def _listed(self) -> list[Entry]:
        try:
            found = reader_of(self._source.kind).listing(self._name, self.local, self._root)
            return sorted(found, key=lambda entry: entry.uri)
        except ParamsError as error:
            raise ParamsError(str(error).replace(self.local.path or "", str(self._url))) from None

    def _path(self, entry: Entry) -> str:
        return os.fsdecode(os.fsencode(entry.path).removeprefix(os.fsencode(self.tree.path) + b"/"))

    def _unusable(self, paths: set[str]) -> Iterator[Entry]:
        """Entries of what no file can stand for."""
        excluded = matcher(self._source.exclude)
        above = "" if is_glob(self._url.rest) or not self._url.rest else f"{self._url.rest}/"
        for path in sorted(paths):
            uri = path.removeprefix(above)
            hidden = any(part.startswith(".") and part not in {".", ".."} for part in uri.split("/"))
            if not hidden and not excluded(uri.encode("utf-8", "surrogateescape")):
                yield Entry(encode_uri(uri), problem="unusable-name")

    def _fetch(self, client: Client, paths: list[str]) -> dict[str, UnitError | None]:
        """Bring these files into the tree; those that cannot be had, and why."""
        problems = {}
        with Progress(f"fetch {self._name}", len(paths), "files") as progress:

            def came(n: int) -> None:
                self._bytes += n
                progress.note = f"{self._bytes / 1e6:,.0f} MB"
                progress.add(0)

            self._stop.clear()
            one = partial(self._one, client, came=came)
            for path, problem in zip(
                paths, ordered(one, paths, self._params.connections, ended=self._stop.set), strict=True
            ):
                problems[path] = problem
                self._size += self.tree.size(path)
                if self._size > self._params.max_source_bytes:
                    raise RefusedError("more bytes than ingest.remote.max_source_bytes")
                progress.add()
        return problems

    def _one(self, client: Client, path: str, came: Callable[[int], None]) -> UnitError | None:
        digest = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
        part = Part(self._parts / digest[:32], self._params.max_file_bytes, came, self._stop)
        known, remote = self.tree.tag(path), self._found[path]
        try:
            tag = self._insist(lambda: client.fetch(path, remote, known, part), path)
        except UnitError as error:
            part.drop()
            self.tree.blank(path)
            return error
        if tag is not None:
            self.tree.put(path, part.path, tag)
            part.drop()
        return None

    def _insist(self, request: Callable[[], T], path: str = "") -> T:
        """The outcome of a request that may fail a few times. Raises as ``Client.fetch``, but for AgainError."""
        for attempt in range(self._params.retries + 1):
            try:
                return request()
            except AgainError as error:
                if attempt == self._params.retries or self._stop.is_set():
                    if error.reason is not None:
                        raise UnitError(error.reason) from None
                    where, times = f"{path}: " if path else "", f"{attempt + 1} attempt{'s' if attempt else ''}"
                    raise RefusedError(f"{where}{error.detail}, after {times}; run again to go on from here") from None
                self._stop.wait(min(0.5 * 2**attempt if error.wait is None else error.wait, _LONGEST_WAIT))
        raise AssertionError("unreachable")


def _strange(path: str) -> bool:
    return any(unusable(name) for name in path.split("/"))
