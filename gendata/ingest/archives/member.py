"""One member of an archive, and the count of what is unpacked."""

import stat
from collections.abc import Callable
from dataclasses import dataclass

from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams

_HARMLESS = 64 << 20
"""So much may be unpacked of any archive: a small one of blank pages has a high ratio, too."""


class ArchiveError(UnitError):
    """Neither this member nor any after it can be read: one reject, of the archive."""


@dataclass(frozen=True, slots=True)
class Member:
    """What stands in an archive under a name. ``size`` is what the archive says; ``problem`` why it is not read."""

    name: bytes
    size: int
    content: Callable[[int], bytes]
    problem: str | None = None

    def read(self, limit: int) -> bytes:
        """The content, if it is at most ``limit`` bytes. Raises UnitError."""
        if self.problem is not None:
            raise UnitError(self.problem)
        data = b"" if self.size > limit else self.content(limit + 1)
        if max(self.size, len(data)) > limit:
            raise UnitError("too-large")
        return data


class Meter:
    """Counts what comes out of an archive, whatever its headers say."""

    def __init__(self, params: IngestParams, packed: int) -> None:
        self._total, self._most = 0, params.max_archive_bytes
        self._ratio, self._packed = params.max_ratio, packed

    def add(self, data: bytes) -> bytes:
        """``data``, counted. Raises ArchiveError beyond the limits."""
        self._total += len(data)
        if self._total > self._most:
            raise ArchiveError("too-large", f"unpacks to more than ingest.max_archive_bytes, {self._most}")
        if self._total > max(_HARMLESS, self._ratio * self._packed):
            raise ArchiveError("compression-bomb", f"unpacks to more than {self._ratio} times its size; see max_ratio")
        return data


def problem_of(mode: int) -> str | None:
    """Why a member of this mode, as ``st_mode`` has it, is not read; 0 is a plain file."""
    if stat.S_ISLNK(mode):
        return "link-in-archive"
    return None if stat.S_IFMT(mode) in {0, stat.S_IFREG, stat.S_IFDIR} else "not-a-file"
