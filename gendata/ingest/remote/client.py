"""What the mirror asks of a kind of server, and how a server can fail."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gendata.ingest.reader import UnitError

CHUNK = 1 << 20
"""Bytes that are in memory of each file that is being fetched."""

Tag = dict[str, str]
"""What a server says of the version of a file: etag, modified; empty if it says nothing."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as a listing has it; nothing is known where there are no listings."""

    size: int | None = None
    tag: Tag | None = None


class AgainError(Exception):
    """A request failed, and may go well another time: the detail, and for how many seconds the server asks to wait."""

    def __init__(self, detail: str, wait: float | None = None, reason: str | None = None) -> None:
        super().__init__(detail)
        self.detail, self.wait, self.reason = detail, wait, reason


class RefusedError(Exception):
    """What concerns the source as a whole: it cannot be listed, or it leads to where the user did not."""


class Part:
    """A file on its way: what has come of it, and of which version; a later request goes on from there."""

    def __init__(self, path: Path, limit: int, came: Callable[[int], None], stop: threading.Event) -> None:
        self.path, self._limit, self._came, self._stop = path, limit, came, stop
        self._label = path.with_name(f"{path.name}.json")

    def begun(self) -> tuple[int, Tag]:
        """How many bytes are there, and of which version; 0 if it is not known of which."""
        try:
            tag: Tag = json.loads(self._label.read_text())
            return self.path.stat().st_size, tag
        except (OSError, ValueError):
            return 0, {}

    def begin(self, tag: Tag) -> None:
        """Drop what has come; what comes now is of this version."""
        self._label.unlink(missing_ok=True)
        self.path.write_bytes(b"")
        if tag:
            self._label.write_text(json.dumps(tag))

    def drop(self) -> None:
        """As if nothing had come."""
        self._label.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def check(self, size: int) -> None:
        """Raises UnitError if the whole file has more bytes than are allowed."""
        if size > self._limit:
            raise UnitError("remote-too-large")

    def add(self, data: bytes) -> None:
        """Append. Raises UnitError beyond the limit, AgainError if the scan is being ended."""
        if self._stop.is_set():
            raise AgainError("ended")
        with self.path.open("ab") as file:
            file.write(data)
            self.check(file.tell())
        self._came(len(data))


class Client(Protocol):
    """One kind of server. Methods may be called from several threads."""

    def listing(self) -> dict[str, Remote]:
        """The files that the URL names, by their path relative to its folder. Raises RefusedError and AgainError."""

    def fetch(self, path: str, remote: Remote, known: Tag, part: Part) -> Tag | None:
        """Bring the file into ``part``, whole; its version, None if that is still ``known``.

        Raises:
            UnitError: this file cannot be had.
            AgainError: it may go well another time.
            RefusedError: it leads to where the user did not.
        """

    def close(self) -> None:
        """Let go of connections."""
