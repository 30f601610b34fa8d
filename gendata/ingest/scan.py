"""Stage scan: a listing per source, cheap enough to run always; DVC re-runs ingest where it differs.

DVC itself crashes on undecodable names, broken links and fifos, so it watches the listings. They
hold names, sizes and content hashes, no times. Hashes are remembered in ``.gendata/cache/scan`` by
path, size, mtime, ctime and inode; without the cache the listing is the same, only slower.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from gendata import files
from gendata.engine import Progress
from gendata.ingest import remote
from gendata.ingest.known import Known, Stamp, stamp_of
from gendata.ingest.listing import Gathered
from gendata.ingest.paths import open_inside
from gendata.ingest.pool import spread
from gendata.ingest.reader import Entry, UnitError
from gendata.ingest.settings import IngestParams, SourceParams
from gendata.ingest.sources import reader_of
from gendata.ingest.urls import is_url
from gendata.items import decode_uri

SETTLED_NS = 2_000_000_000
"""A file that changed more recently is not remembered: its next edit could leave size and times as they are."""

_BLOCK = 256 << 10


def scan(sources: Mapping[str, SourceParams], root: Path, out: Path, params: IngestParams) -> dict[str, Any]:
    """Write ``out/<source>.parquet`` for every source; units, problems and bytes of each.

    Raises:
        ParamsError: the path of a source is missing.
    """
    summary: dict[str, Any] = {}
    with files.output(out) as work:
        for name in sorted(sources):
            summary[name] = scan_source(name, sources[name], root, params).write(work / f"{name}.parquet")
    return summary


def scan_source(name: str, source: SourceParams, root: Path, params: IngestParams) -> Gathered:
    """The entries of one source, hashed."""
    cache = _cache(name, root)
    known, entries = Known.load(cache), Gathered()
    if is_url(source.path):
        found = remote.listing(name, source, root, params.remote)
    else:
        found = reader_of(source.kind).listing(name, source, root)
    with Progress(f"scan {name}", unit="files") as progress:

        def unknown() -> Iterator[tuple[Entry, Stamp]]:
            """What must be read; of all else the entries."""
            for entry in found:
                stamp = _seen(entry)
                if stamp is not None and (sha256 := known.get(entry, stamp)) is not None:
                    entries.add(replace(entry, size=stamp[0], sha256=sha256))
                elif stamp is not None:  # judged before it is read: its hash may come long after
                    yield entry, stamp if _is_settled(stamp) else (stamp[0], 0, 0, 0)
                elif entry.digest is not None:
                    size, digest = entry.digest(params)
                    entries.add(replace(entry, size=size, sha256=digest))
                else:
                    entries.add(entry)
                progress.add()

        hashed = spread(_all_hashed, unknown(), params.workers, lambda unit: unit[1][0])
        for entry, stamp in chain.from_iterable(hashed):
            if entry is None:
                continue
            entries.add(entry)
            if entry.sha256 is not None and stamp is not None:
                known.add(entry, stamp, entry.sha256)
    known.save(cache)
    return entries


class Scanned:
    """Files of a source that are read in pieces, compared with what the scan saw."""

    def __init__(self, name: str, root: Path, base: bytes) -> None:
        self._known, self._base = Known.load(_cache(name, root)), base

    def __getstate__(self) -> dict[str, Any]:
        """To other processes goes nothing: they read parts of what is open here."""
        return {"_known": Known(), "_base": self._base}

    @contextmanager
    def open(self, entry: Entry) -> Iterator[BinaryIO]:
        """The file of an entry.

        Raises:
            UnitError: it cannot be opened, or is not, or no more when the block ends, what was scanned.
        """
        if entry.problem is not None:
            raise UnitError(entry.problem)
        with open_inside(self._base, decode_uri(entry.uri)) as file:
            before = stamp_of(os.fstat(file.fileno()))
            known = self._known.get(replace(entry, base=self._base), before)
            if entry.sha256 not in {None, known}:
                if _sha256(file) != entry.sha256:
                    raise UnitError("changed")
                file.seek(0)
            yield file
            if stamp_of(os.fstat(file.fileno())) != before:
                raise UnitError("changed", "it changed while it was read; run again")


def _seen(entry: Entry) -> Stamp | None:
    """Of the file, that a link leads to, if there is one to hash; zeros if it cannot be seen."""
    if entry.base is None or entry.problem is not None or entry.digest is not None:
        return None
    try:
        return stamp_of(os.stat(entry.base + b"/" + decode_uri(entry.uri)))  # noqa: PTH116 (of bytes, and often)
    except (OSError, ValueError):  # gone, or no path
        return 0, 0, 0, 0


def _all_hashed(units: list[tuple[Entry, Stamp]]) -> list[tuple[Entry | None, Stamp | None]]:
    return list(map(_hashed, units))


def _hashed(unit: tuple[Entry, Stamp]) -> tuple[Entry | None, Stamp | None]:
    """The entry with size and hash, None if the file has gone; its stamp where it has not changed since it was seen."""
    entry, seen = unit
    try:
        with open_inside(entry.base or b"", decode_uri(entry.uri)) as file:
            digest = _sha256(file)
            after = stamp_of(os.fstat(file.fileno()))
    except FileNotFoundError:
        return None, None
    except OSError:
        return replace(entry, problem="unreadable"), None
    except UnitError as error:
        return (None if error.reason == "vanished" else replace(entry, problem=error.reason)), None
    return replace(entry, size=after[0], sha256=digest), after if after == seen else None


def _is_settled(stamp: Stamp) -> bool:
    """Whether another edit would change the times."""
    return time.time_ns() - max(stamp[1], stamp[2]) > SETTLED_NS


def _sha256(file: BinaryIO) -> str:
    """As hashlib.file_digest, whose buffer takes longer to make than a small file to hash."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _cache(name: str, root: Path) -> Path:
    return root / files.WORK / "cache" / "scan" / f"{name}.hashes"
