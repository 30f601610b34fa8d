"""Tar archives, packed (gzip, bzip2, xz, zstd) or not, in one pass without going back."""

import bz2
import gzip
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any, BinaryIO, Protocol, Self, cast

from gendata.ingest.archives.member import ArchiveError, Member, Meter
from gendata.ingest.reader import one_line

_CHUNK = 1 << 18

_MAX_HEADER = 1 << 20
"""Bytes of a long name or of pax records, which tarfile reads at once."""

_EXTENSIONS = {
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
}  # fmt: skip

_MALFORMED = (
    EOFError, LookupError, MemoryError, OSError, OverflowError, RecursionError, TypeError, ValueError, lzma.LZMAError,
    struct.error, tarfile.TarError, zlib.error,
)  # fmt: skip
"""What tarfile and the decompressors raise on malformed bytes (seen by fuzzing); nothing else runs there."""


def tar_members(file: BinaryIO, head: bytes, meter: Meter) -> Iterator[Member]:
    """The members in their order; ``head`` is how the file begins.

    Raises ArchiveError where it ends too early, something stands after the end, or limits are passed.
    """
    with _malformed():
        stream = _unpacked(file, head)
        packed = stream is not file
        archive = tarfile.open(  # noqa: SIM115  # closing it does nothing but seek
            fileobj=cast(BinaryIO, _Counted(stream, meter)) if packed else file,
            mode="r|" if packed else "r:",
            bufsize=_CHUNK,
            tarinfo=_Header,
            encoding="utf-8",
            errors="surrogateescape",
        )
    while True:
        with _malformed():
            info = archive.next()
        if info is None:
            break
        archive.members.clear()  # type: ignore[attr-defined]  # it keeps them all
        if not info.isdir():
            name = info.name.encode("utf-8", "surrogateescape")
            yield Member(name, info.size, partial(_read, archive, info, None if packed else meter), _why(info))
    with _malformed():
        _nothing_follows(cast(BinaryIO, archive.fileobj))


def _why(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "link-in-archive"
    return None if info.isreg() else "not-a-file"


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo, meter: Meter | None, limit: int) -> bytes:
    with _malformed():
        file = archive.extractfile(info)
        data = file.read(limit) if file is not None else b""
    return data if meter is None else meter.add(data)


def _nothing_follows(file: BinaryIO) -> None:
    """Read to the end: a tar that was appended to another is not lost, and checksums of the packing are compared."""
    while chunk := file.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise ArchiveError("corrupt-archive", "something stands after the end of the archive")


class _Header(tarfile.TarInfo):
    """A header that is none is an error wherever it stands: tarfile takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            header = super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError):  # type: ignore[attr-defined]
            raise ArchiveError("truncated-archive") from None
        except tarfile.HeaderError as error:
            raise ArchiveError("corrupt-archive", one_line(str(error))) from None
        header._check()
        return header

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENSIONS and header.size > _MAX_HEADER:
            raise ArchiveError("corrupt-archive", f"a name or its attributes take {header.size} bytes")
        header._check()
        return header

    def _check(self) -> None:
        """Sizes below zero lead back to where one was; so do holes of a sparse file that are out of order."""
        parts = cast(list[tuple[int, int]], self.sparse or [])
        ends = [0, *(edge for start, size in parts if size for edge in (start, start + size)), self.size]
        if any(a > b for a, b in pairwise(ends)):
            raise ArchiveError("corrupt-archive", "a header states sizes that cannot be")


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def _unpacked(file: BinaryIO, head: bytes) -> Any:
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=file)
    if head[:3] == b"BZh":
        return bz2.BZ2File(file)
    if head == b"\xfd7zX":
        return lzma.LZMAFile(file)
    if head == b"\x28\xb5\x2f\xfd":
        import pyarrow as pa

        own = open(file.fileno(), "rb", closefd=False)  # noqa: SIM115  # Arrow closes what it is given
        own.seek(0)
        return pa.CompressedInputStream(pa.PythonFile(own, mode="r"), "zstd")
    return file


class _Counted:
    """What is unpacked, as it comes: of a file that breaks off all before is read."""

    def __init__(self, stream: _Readable, meter: Meter) -> None:
        self._stream, self._meter = stream, meter

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes. Raises ArchiveError beyond the limits."""
        return self._meter.add(self._stream.read1(size))


@contextmanager
def _malformed() -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise ArchiveError("truncated-archive") from None
    except _MALFORMED as error:
        reason = "truncated-archive" if "unexpected end" in str(error) else "corrupt-archive"
        raise ArchiveError(reason, one_line(f"{type(error).__name__}: {error}")) from None
