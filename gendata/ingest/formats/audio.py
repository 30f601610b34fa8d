"""Whether bytes are audio that can be decoded, found out by decoding all of it.

The decoder, libsndfile, runs in a process of its own (``sndfile``): files of strangers may crash it, and it writes to
stderr. It forgives much: of a file that is cut short it gives what is left. So what a container says of its length and
checksums is compared: chunks of a WAV, pages of an Ogg, the frames that any header promises. Wrong samples in a WAV or
an MP3 cannot be told from sound.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from gendata.apart import Apart, CrashedError, Limits
from gendata.ingest import marks
from gendata.ingest.formats.sndfile import decode
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id
from gendata.mpeg import frame, id3_size

EXTENSIONS: Mapping[str, str] = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".mp3": "audio/mpeg",
}
"""File name extension to the media type that it promises."""

_PARTS = 10_000
"""Chunks of a WAV that are looked at: real ones have some ten."""

_LIMITS = Limits(60)
"""Of the decoder: ten times what the longest audio takes."""


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """Audio without a transcript: its original bytes. Raises UnitError as ``probe``."""
    found = probe(data, uri, params.max_audio_seconds)
    return Item(
        modality="audio",
        uri=uri,
        media_type=found.media_type,
        data=data,
        file_sha256=content_id(data),
        meta=found.meta,
        marks=found.marks,
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """What audio is: its media type by content, and what is worth noting about it."""

    media_type: str
    meta: dict[str, Any]
    marks: list[dict[str, str]] = field(default_factory=list)
    """What in the file says that a model made it."""


def probe(data: bytes, name: str, max_seconds: int) -> Probe:
    """Decode audio fully and say what it is; ``name`` is compared with what it turns out to be.

    ``meta`` gets ``encoding`` as libsndfile names it (``PCM_16``, ``VORBIS``), ``embedded`` with title, artist and the
    like where the file states them, ``extension`` where the name promises another type, and ``gen`` and ``c2pa`` what
    ``marks`` finds.

    Raises:
        UnitError: ``empty``, ``not-audio``, ``too-long`` (before decoding, if the header says so) or ``corrupt-audio``.
    """
    if not data:
        raise UnitError("empty", "0 bytes")
    media_type = sniff(data)
    if media_type is None:
        raise UnitError("not-audio", "the bytes are neither WAV nor FLAC nor Ogg nor MP3")
    if media_type == "audio/wav":
        _check_wav(data)
    elif media_type == "audio/ogg":
        _check_ogg(data)
    meta = _decode(data, media_type, max_seconds)
    if "embedded" in meta:
        meta["embedded"] = {key: one_line(value) for key, value in meta["embedded"].items()}
    extension = PurePosixPath(name).suffix.lower()
    if extension and EXTENSIONS.get(extension) != media_type:
        meta["extension"] = one_line(extension)
    found = marks.find(data, media_type)
    return Probe(media_type, meta | found.meta, found.found)


def sniff(data: bytes) -> str | None:
    """The media type by the first bytes, or None if it is none that is read here."""
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return "audio/wav"
    if data.startswith(b"fLaC") or data[(after := id3_size(data)) : after + 4] == b"fLaC":
        return "audio/flac"
    if data.startswith(b"OggS"):
        return "audio/ogg"
    if data.startswith(b"ID3") or frame(data) is not None:
        return "audio/mpeg"
    return None


_apart = Apart(decode)


def _decode(data: bytes, media_type: str, max_seconds: int) -> dict[str, Any]:
    """What the decoder says, in its own process. Raises UnitError."""
    try:
        told = _apart(data, media_type, max_seconds, limits=_LIMITS)
    except CrashedError as error:
        raise UnitError("corrupt-audio", f"libsndfile gave up: {error}") from None
    if "reason" in told:
        raise UnitError(told["reason"], told["detail"])
    return dict(told)


def _check_wav(data: bytes) -> None:
    """Chunks of a WAV up to its samples. UnitError ``corrupt-audio`` if these are not all there."""
    for name, start, size in islice(_chunks(data), _PARTS):
        if name == b"fmt " and data[start : start + 2] in _FOREIGN:
            raise UnitError("corrupt-audio", "a WAV that holds MPEG audio; take the .mp3")
        if name == b"data":
            if size != _STREAMED and start + size > len(data):
                raise UnitError("corrupt-audio", f"cut short: {len(data) - start} bytes of {size}")
            return
    raise UnitError("corrupt-audio", "the WAV has no samples")


_FOREIGN = {b"\x50\x00", b"\x55\x00"}  # format tags of MPEG layers 1 and 2, and 3
_STREAMED = 0xFFFFFFFF  # the size that programs write who do not know it yet: to the end of the file


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of the content and its size, of each chunk of a RIFF file."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, at + 8, size
        at += 8 + size + size % 2


def _check_ogg(data: bytes) -> None:
    """All pages of an Ogg file (RFC 3533, 6). UnitError ``corrupt-audio`` if one is broken or the last is missing."""
    at, last = 0, False
    while at < len(data):
        if data[at : at + 5] != b"OggS\0" or at + 27 > len(data):
            raise UnitError("corrupt-audio", f"byte {at}: no page of an Ogg file")
        lengths = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + data[at + 26] + sum(lengths)
        if end > len(data):
            raise UnitError("corrupt-audio", f"byte {at}: the page is cut short")
        if int.from_bytes(data[at + 22 : at + 26], "little") != _checksum(data[at:end]):
            raise UnitError("corrupt-audio", f"byte {at}: the checksum of the page is wrong")
        last, at = bool(data[at + 5] & 4), end
    if not last:
        raise UnitError("corrupt-audio", "cut short: the last page of the stream is missing")


def _checksum(page: bytes) -> int:
    """The CRC-32 of an Ogg page, its field taken as 0. As zlib's, but from the highest bit and without inversions."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
