"""A folder that appears whole or not at all, and the digest of what is in it."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gendata import files
from gendata.engine import Progress
from gendata.errors import QueryError

CLOSED = ("artifacts", "records", "mlruns", ".gendata", ".dvc")
"""Folders of a project that hold nothing but gendata's own."""


def check_place(dest: Path, root: Path, sources: Mapping[str, Any]) -> None:
    """Raises QueryError if ``dest`` lies in a folder of gendata's, or in one that a source reads.

    An export in a source would be ingested again, and what was generated as what that source says of itself.
    """
    there = dest.resolve()
    for name in CLOSED:
        if there.is_relative_to((root / name).resolve()):
            raise QueryError(f"{dest}: lies in {name}/, which is gendata's own; export elsewhere")
    for name, source in sources.items():
        if (
            source.path
            and "://" not in source.path
            and there.is_relative_to((root / Path(source.path).expanduser()).resolve())
        ):
            raise QueryError(f"{dest}: lies in source {name!r}, which would read it again; export elsewhere")


@contextlib.contextmanager
def whole(dest: Path) -> Iterator[Path]:
    """An empty hidden folder beside ``dest`` that becomes it when the block ends well.

    What a killed export left there is removed. Raises QueryError if ``dest`` is taken, or another export writes it.
    """
    dest = dest.absolute()
    if dest.is_symlink() or (dest.exists() and not dest.is_dir()):
        raise QueryError(f"{dest}: is not a folder")
    if dest.is_dir() and any(dest.iterdir()):
        raise QueryError(f"{dest}: is not empty; export into a new folder")
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise QueryError(f"{dest.parent}: is not a folder") from None
    with _claimed(dest.with_name(f".{dest.name}.part")) as part:
        try:
            yield part
            os.sync()  # one call: an fsync of each of a million images would take hours
            part.rename(dest)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            raise QueryError(f"{dest}: is not empty any more; export into a new folder") from None
        finally:
            shutil.rmtree(part, ignore_errors=True)
    files.fsync(dest.parent)


@contextlib.contextmanager
def _claimed(part: Path) -> Iterator[Path]:
    """The folder, empty and locked; the kernel frees the lock on a kill."""
    part.mkdir(exist_ok=True)
    handle = os.open(part, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise QueryError(f"{part}: another export writes there") from None
        for path in part.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        yield part
    finally:
        os.close(handle)


def digest(folder: Path) -> dict[str, Any]:
    """Number of files, their bytes, and a sha256 over the path and content of each."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    total, size = hashlib.sha256(), 0
    with Progress("digest", len(paths), "files") as progress:
        for path in paths:
            total.update(f"{path.relative_to(folder).as_posix()}\0{files.sha256(path)}\n".encode())
            size += path.stat().st_size
            progress.add()
    return {"files": len(paths), "bytes": size, "sha256": total.hexdigest()}
