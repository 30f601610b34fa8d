"""Zip archives: the directory at the end is read at once, contents one by one."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO, cast

from gendata.ingest.archives.member import ArchiveError, Member, Meter, problem_of
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import IngestParams

_ENTRY = b"PK\1\2"
_ENTRY_BYTES = 256  # of an entry of the directory: a long name, and more than the usual extras
_UNIX = 3

_MALFORMED = (
    EOFError, LookupError, MemoryError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile raises on malformed bytes (seen by fuzzing); nothing else runs where it is caught."""


def zip_members(file: BinaryIO, meter: Meter, params: IngestParams) -> Iterator[Member]:
    """The members in the order of the directory. Raises ArchiveError where there is none that can be read."""
    guard = _Guard(file, params.max_members)
    try:
        archive = zipfile.ZipFile(cast(BinaryIO, guard))
    except _MALFORMED as error:
        raise ArchiveError("corrupt-archive", one_line(str(error) or type(error).__name__)) from None
    guard.opened = True
    with archive:
        for info in archive.infolist():
            if not info.filename.endswith("/"):
                yield Member(info.filename.encode(), info.file_size, partial(_read, archive, info, meter), _why(info))


def _why(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        return "unsupported-compression"  # of the others zipfile does not bound what it unpacks at once
    return problem_of(info.external_attr >> 16) if info.create_system == _UNIX else None


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: Meter, limit: int) -> bytes:
    try:
        with archive.open(info) as file:
            return meter.add(file.read(limit))
    except _MALFORMED as error:
        raise UnitError("corrupt-member", one_line(f"{type(error).__name__}: {error}")) from None


class _Guard:
    """A file whose directory of members, which zipfile reads in one go and turns into objects, is not too long."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most = file, most
        self.opened = False

    def read(self, size: int = -1) -> bytes:
        """As of a file; ArchiveError for a directory of too many members."""
        if self.opened:
            return self._file.read(size)
        if size <= self._most * _ENTRY_BYTES and (data := self._file.read(size)).count(_ENTRY) <= self._most:
            return data
        raise ArchiveError("too-many-members", f"more than ingest.max_members, {self._most}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
