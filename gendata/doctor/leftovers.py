"""What killed runs leave behind and nothing else removes; what a live one holds is left alone."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from gendata import files
from gendata.doctor.finding import REMOVE, Finding
from gendata.errors import StoreError
from gendata.store.head import HEADS, head_at, place_of, stale_catalogs
from gendata.store.place import Folder


def leftovers(root: Path) -> Iterator[Finding]:
    """Half-done output in `.gendata`, in the stores and in the records."""
    for path in sorted([*_work(root / files.WORK), *_stores(root / "artifacts" / "store"), *_records(root)]):
        where = path.relative_to(root) if path.is_relative_to(root) else path  # stores may be elsewhere
        yield Finding(where.as_posix(), "left behind by a run that was killed", REMOVE)


def _work(work: Path) -> Iterator[Path]:
    for path in work.glob("work/*"):
        if not files.is_locked(work / "locks" / path.name.removesuffix("-sketches")):
            yield path
    for path in work.glob("train/*/.step-*.part"):
        if not files.is_locked(work / "locks" / path.parent.name):
            yield path


def _stores(stores: Path) -> Iterator[Path]:
    for store in stores.glob("*/"):
        if not files.is_locked(store / ".lock"):
            yield from store.glob(".catalog.part*")
            if (at := _databases(store)) is not None:
                yield from (*at.root.glob("lance/*.lance/data/.tmp*"), *_catalogs(at))


def _databases(store: Path) -> Folder | None:
    """The folder that the databases of a store are in, None for an object store; its own where none is known."""
    try:
        at = place_of(store)
    except StoreError:  # found by the check of the stores
        return Folder(store)
    if at is None:
        return Folder(store)
    return at if isinstance(at, Folder) else None


def _catalogs(at: Folder) -> Iterator[Path]:
    try:
        heads = [head for name in HEADS if (head := head_at(at, name))]
    except StoreError:
        return
    yield from (at.root / name for name in stale_catalogs(at, heads))


def _records(root: Path) -> Iterator[Path]:
    """Files whose writer, named by its process id, is no more."""
    import psutil

    for path in root.glob("records/**/.*.part"):
        writer = re.search(r"\.(\d+)\.part$", path.name)
        if not (writer and psutil.pid_exists(int(writer[1]))):
            yield path


def sweep(root: Path, finding: Finding) -> None:
    """Remove a leftover."""
    path = root / finding.where
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
