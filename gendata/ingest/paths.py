"""Walking and opening files of a source safely. Paths are bytes: names need not be valid UTF-8.

Links are followed to regular files inside of the source only; fifos, sockets and devices are never
opened; whatever was checked by the scan is checked again when a file is opened.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path

from gendata.errors import ParamsError
from gendata.ingest.reader import UnitError

_TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")

ARCHIVES = (".zip", *_TARS)
"""Endings of the names of archives; how one is packed is found from its first bytes."""


STATE, INFO, SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
"""What a folder that ``datasets`` saved holds beside its rows; the last one where its folders are splits."""


Accepts = Callable[[bytes], bool]
"""Whether a relative path is one of some."""


def walk(base: bytes, skip: Accepts, closed: Accepts = lambda _: False) -> Iterator[tuple[bytes, str | None]]:
    """Relative path and problem (None: a regular file) of all that lies under ``base``; see ``folders``."""
    for found in folders(base, skip, closed):
        yield from found.items()


def folders(base: bytes, skip: Accepts, closed: Accepts = lambda _: False) -> Iterator[dict[bytes, str | None]]:
    """The same, the files of one folder at a time.

    Names that begin with a dot are left out, and so is a path that ``skip`` accepts, or that of a folder that
    ``closed`` does. A folder that cannot be listed, or that a link points to, counts as one file. Raises ParamsError
    if that is ``base`` itself.
    """
    pending = [b""]
    while pending:  # a stack, not recursion: trees may be deeper than Python's stack
        folder = pending.pop()
        try:
            files, inner = _listed(base, folder, skip)
        except OSError as error:
            if not folder:
                raise ParamsError(f"{as_path(base)}: the folder cannot be listed: {error.strerror}") from None
            files, inner = {folder: "unreadable"}, []
        pending += [path for path in inner if not closed(path)]
        yield files


def _listed(base: bytes, folder: bytes, skip: Accepts) -> tuple[dict[bytes, str | None], list[bytes]]:
    """The files in a folder with their problems, and the folders."""
    files, inner = dict[bytes, str | None](), list[bytes]()
    with os.scandir(base + b"/" + folder) as found:
        for entry in found:
            path = folder + b"/" + entry.name if folder else entry.name
            if entry.name.startswith(b".") or skip(path):
                continue
            if entry.is_dir(follow_symlinks=False):
                inner.append(path)
            else:
                files[path] = _problem(base, path, entry)
    return files, inner


def _problem(base: bytes, path: bytes, entry: "os.DirEntry[bytes]") -> str | None:
    try:
        if entry.is_symlink():
            resolve(base, path)
        elif not entry.is_file(follow_symlinks=False):
            return "not-a-file"
    except UnitError as error:
        return error.reason
    return None


def resolve(base: bytes, path: bytes) -> bytes:
    """The real path of a regular file under ``base``; UnitError if it is anything else."""
    full = base + b"/" + path
    try:
        real = os.path.realpath(full, strict=True)
        mode = as_path(real).stat().st_mode
    except (OSError, ValueError) as error:
        raise _unit_error(error, full) from None
    if stat.S_ISDIR(mode):
        raise UnitError("symlink-directory" if as_path(full).is_symlink() else "not-a-file")
    # no link on the whole way is none on the way to the base
    if real != full and not real.startswith(os.path.realpath(base).rstrip(b"/") + b"/"):
        raise UnitError("symlink-outside")
    if not stat.S_ISREG(mode):
        raise UnitError("not-a-file")
    return real


def _unit_error(error: OSError | ValueError, path: bytes) -> UnitError:
    """Why ``path`` cannot be resolved or opened. A ValueError is a NUL in it: no such file can be."""
    if isinstance(error, OSError):
        if error.errno == errno.ENAMETOOLONG:
            return UnitError("vanished")
        if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
            return UnitError("unreadable")
    return UnitError("symlink-broken" if as_path(path).is_symlink() else "vanished")


def open_inside(base: bytes, path: bytes) -> BufferedReader:
    """Open a regular file under ``base`` for reading; UnitError if it is anything else, or gone."""
    fd = _open_plainly(base, path)
    if fd is None:  # a link may be on the way; if it is no file at all, here is why
        real = resolve(base, path)
        try:
            # what was a file a moment ago may be a fifo or a link now: do not wait for it, do not follow it
            fd = os.open(real, _FILE)
        except OSError as error:
            raise _unit_error(error, real) from None
    file = os.fdopen(fd, "rb")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        file.close()
        raise UnitError("not-a-file")
    return file


_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


def _open_plainly(base: bytes, path: bytes) -> int | None:
    """A descriptor of a regular file that no link leads to, from folder to folder; None if it is anything else.

    Nothing that is moved meanwhile leads elsewhere, and it takes half the time of finding the real path.
    """
    *folders, name = path.split(b"/")
    if not {b"", b".", b".."}.isdisjoint((*folders, name)):
        return None
    try:
        at = os.open(base, _FOLDER)
    except (OSError, ValueError):
        return None
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        regular = stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)  # a device is not even opened
        return os.open(name, _FILE, dir_fd=at) if regular else None
    except (OSError, ValueError):
        return None
    finally:
        os.close(at)


def read_inside(base: bytes, path: bytes, limit: int) -> bytes:
    """The bytes of a regular file under ``base``; UnitError ``too-large`` beyond ``limit``, unread."""
    with open_inside(base, path) as file:
        try:
            size = os.fstat(file.fileno()).st_size
            data = file.read(size + 1) if size <= limit else b""  # not the limit: memory for all of that is taken
            if len(data) > size:  # it grows
                data += file.read(limit + 1 - size)
            too_large = os.fstat(file.fileno()).st_size > limit or len(data) > limit
        except OSError:
            raise UnitError("unreadable") from None
    if too_large:
        raise UnitError("too-large")
    return data


def as_path(path: bytes) -> Path:
    """As pathlib has it: bytes that are not UTF-8 become surrogates and come back as they were."""
    return Path(os.fsdecode(path))


def split_suffix(path: bytes) -> tuple[bytes, str]:
    """The path without its suffix, and the suffix in lower case: ``(b"a/b", ".png")``."""
    stem, dot, suffix = path.rpartition(b".")
    if not dot or b"/" in suffix:
        return path, ""
    return stem, os.fsdecode(dot + suffix).lower()


def is_archive(path: bytes) -> bool:
    """Whether the name says that this is an archive."""
    return path.lower().endswith(tuple(suffix.encode() for suffix in ARCHIVES))


def is_database(path: Path) -> bool:
    """Whether the name says that this is a file of SQLite."""
    return path.suffix.lower() in {".db", ".db3", ".sqlite", ".sqlite3"}


def is_saved(folder: Path) -> bool:
    """Whether ``datasets`` saved this folder: as one data set, or as several that are its splits."""
    return (folder / SPLITS).is_file() or all((folder / name).is_file() for name in (STATE, INFO))


def is_tar(path: bytes) -> bool:
    """Whether the name says that this is a tar, packed or not."""
    return path.lower().endswith(tuple(suffix.encode() for suffix in _TARS))
