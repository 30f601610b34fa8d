"""The files of a mirror, and which version of each is there."""

import errno
import json
import os
import shutil
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from gendata import files
from gendata.ingest.remote.client import Tag

_NAMES = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EISDIR, errno.EINVAL}
"""What file systems say of names that they do not take."""


class Tree:
    """A folder of files, each empty until it is put there; a journal tells of each that is.

    A line of the journal is path, tag, size and mtime: a file that differs from them is not believed to be what it was.
    """

    def __init__(self, path: Path, journal: Path) -> None:
        self.path, self._journal, self._lock = path, journal, threading.Lock()
        self._known = dict(_read(journal))

    def take(self, folder: Path) -> None:
        """Go on from the files of a folder, in place of those that are here."""
        shutil.rmtree(self.path, ignore_errors=True)
        folder.rename(self.path)

    def place(self, paths: Collection[str]) -> set[str]:
        """Make these the files of the tree; those that cannot be, as there is a folder or a file in their place."""
        self.path.mkdir(exist_ok=True)
        here = set[str]()
        for folder, _, names in os.walk(self.path, topdown=False):
            for path in ((Path(folder) / name).relative_to(self.path).as_posix() for name in names):
                here.add(path)
                if path not in paths:
                    (self.path / path).unlink()
            if Path(folder) != self.path and not any(Path(folder).iterdir()):
                Path(folder).rmdir()
        return {path for path in sorted(paths) if path not in here and not self._placed(path)}

    def _placed(self, path: str) -> bool:
        try:
            file = self.path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.open("xb").close()
        except OSError as error:
            if isinstance(error, FileExistsError | NotADirectoryError) or error.errno in _NAMES:
                return False
            raise
        return True

    def tag(self, path: str) -> Tag:
        """The version that is there; empty if that is not known."""
        tag, *stamp = self._known.get(path, [{}])
        return tag if stamp == _stamp(self.path / path) else {}

    def size(self, path: str) -> int:
        """Bytes of the file."""
        return (self.path / path).stat().st_size

    def put(self, path: str, part: Path, tag: Tag) -> None:
        """Move a whole file to its place."""
        files.fsync(part)
        part.replace(self.path / path)
        self._note(path, [tag, *_stamp(self.path / path)])

    def blank(self, path: str) -> None:
        """Have nothing in its place."""
        (self.path / path).write_bytes(b"")
        self._note(path, None)

    def _note(self, path: str, known: Any) -> None:
        with self._lock, self._journal.open("a", encoding="utf-8") as file:
            if known is None:
                self._known.pop(path, None)
            else:
                self._known[path] = known
            file.write(json.dumps([path, known]) + "\n")

    def close(self) -> None:
        """Write the journal anew, of the files that are there."""
        part = self._journal.with_name(f"{self._journal.name}.part")
        with part.open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps([path, self._known[path]]) + "\n" for path in sorted(self._known) if self.tag(path)
            )
        part.replace(self._journal)


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _read(journal: Path) -> Iterator[tuple[str, list[Any]]]:
    """What the last line about each path says; a line that a kill cut short is none."""
    if not journal.exists():
        return
    with journal.open("rb") as file:
        for line in file:
            try:
                path, known = json.loads(line)
            except ValueError:
                continue
            yield path, known or [{}]
