"""A finished folder moves to its place, there whole or not at all, also where that is on another file system."""

import errno
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_FLUSHED = 16
"""Files that are forced to disk at once."""


def replace(work: Path, out: Path) -> None:
    """Move a folder, durable, in place of what is at ``out``. Raises OSError about ``out`` where that is full."""
    fsync_all(path for path in work.rglob("*") if path.is_file())
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        shutil.rmtree(out)
    try:
        work.rename(out)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move(work, out)
    fsync(out.parent)


def _move(work: Path, out: Path) -> None:
    """By a copy beside ``out``: not ``shutil.move``, which leaves a part of it, and an error that tells no reason."""
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a copy that was killed
    try:
        for path in (work, *sorted(work.rglob("*"))):
            copy = part / path.relative_to(work)
            if path.is_dir():
                copy.mkdir()
            else:
                shutil.copyfile(path, copy)
                fsync(copy)
        part.rename(out)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(out)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(work)


def fsync_all(paths: Iterable[Path]) -> None:
    """Force files and folders to disk, several at once: the disk is then flushed for many together."""
    with ThreadPoolExecutor(_FLUSHED) as pool:
        for _ in pool.map(fsync, paths):
            pass


def fsync(path: Path) -> None:
    """Force a file or a folder to disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
