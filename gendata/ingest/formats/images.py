"""Whether bytes are an image that can be decoded, found out safely: bounded, and by content alone.

TIFF is decoded in a process of its own: libtiff writes to stderr what it thinks of a file, and forms of it are many.
"""

import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gendata.apart import Apart, CrashedError, Limits
from gendata.ingest import marks
from gendata.ingest.formats.frames import count
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

EXTENSIONS: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), "image/x-portable-anymap"),
}
"""File name extension to the media type that it promises."""

_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
    "image/x-portable-anymap": "PPM",
}
"""What Pillow calls the media types."""

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"BM": "image/bmp",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"II+\0": "image/tiff",  # BigTIFF
    b"MM\0+": "image/tiff",
    **{b"P%d%c" % (kind, space): "image/x-portable-anymap" for kind in range(1, 7) for space in b" \t\n\r\v\f"},
}
"""The first bytes of a file to its media type."""

_ORIENTATION, _TILE_WIDTH, _TILE_LENGTH = 0x0112, 322, 323  # tags of Exif and TIFF


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """An image without a caption: its original bytes. Raises UnitError as ``probe``."""
    found = probe(data, uri, params.max_pixels)
    return Item(
        modality="image",
        uri=uri,
        media_type=found.media_type,
        data=data,
        file_sha256=content_id(data),
        meta=found.meta,
        marks=found.marks,
    )


@dataclass(frozen=True, slots=True)
class Probe:
    """What an image is: its media type by content, and what is worth noting about it."""

    media_type: str
    meta: dict[str, Any]
    marks: list[dict[str, str]] = field(default_factory=list)
    """What in the file says that a model made it."""


def probe(data: bytes, name: str, max_pixels: int) -> Probe:
    """Decode an image fully and say what it is; ``name`` is compared with what it turns out to be.

    ``meta`` gets ``extension`` where the name promises another type, ``orientation`` where Exif
    asks for a turn (the bytes are kept as they are), ``frames`` where there are several (the
    first is decoded; of a TIFF, pages), ``gen`` and ``c2pa`` what ``marks`` finds. A PNG's checksums are verified too.

    Raises:
        UnitError: ``empty``, ``not-an-image``, ``too-many-pixels`` (before decoding) or ``corrupt-image``.
    """
    if not data:
        raise UnitError("empty", "0 bytes")
    media_type = sniff(data)
    if media_type is None:
        raise UnitError("not-an-image", f"the bytes are none of {', '.join(_FORMATS.values())}")
    _limit(_claimed_size(data), max_pixels)  # Pillow allocates a WebP's canvas on opening
    frames = count(data, media_type) if media_type in {"image/gif", "image/tiff"} else None
    if media_type == "image/png":
        _check_png(data)
    decode = _decode_apart if media_type == "image/tiff" else _decode
    meta = decode(data, _FORMATS[media_type], max_pixels, frames)
    extension = PurePosixPath(name).suffix.lower()
    if extension and EXTENSIONS.get(extension) != media_type:
        meta["extension"] = one_line(extension)
    found = marks.find(data, media_type)
    return Probe(media_type, meta | found.meta, found.found)


def sniff(data: bytes) -> str | None:
    """The media type by the first bytes, or None if it is none that is read here."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for begin, media_type in _BEGINNINGS.items() if data.startswith(begin)), None)


def _limit(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise UnitError("too-many-pixels", f"{size[0]} x {size[1]} pixels; ingest.max_pixels is {max_pixels}")


def _decode_apart(data: bytes, format_: str, max_pixels: int, frames: int | None) -> dict[str, Any]:
    """As ``_decode``. Raises UnitError ``corrupt-image`` too where the decoder dies."""
    try:
        told = _apart(data, format_, max_pixels, frames, limits=Limits(_SECONDS, _MEMORY + _PIXEL * max_pixels))
    except CrashedError as error:
        raise UnitError("corrupt-image", f"the decoder gave up: {error}") from None
    if "reason" in told:
        raise UnitError(told["reason"], told["detail"])
    return dict(told["meta"])


def answer(data: bytes, format_: str, max_pixels: int, frames: int | None) -> dict[str, Any]:
    """What the process of ``_decode_apart`` does: ``meta``, or the ``reason`` and ``detail`` of a reject."""
    try:
        return {"meta": _decode(data, format_, max_pixels, frames)}
    except UnitError as error:
        return {"reason": error.reason, "detail": error.detail}


_apart = Apart(answer)

_SECONDS, _MEMORY, _PIXEL = 60, 1 << 30, 16
"""Limits of the process: of processor time for an image, and bytes, beside those of a pixel."""


def _decode(data: bytes, format_: str, max_pixels: int, frames: int | None) -> dict[str, Any]:
    """What is noted of an image. ``frames`` is how many it has, None where Pillow knows that from the header."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=[format_]) as image:
            _limit(image.size, max_pixels)
            turned = 1
            if format_ == "TIFF":
                _limit(_tile(image), max_pixels)  # libtiff allocates a tile as large as it is said to be
                turned = _orientation(image)  # Pillow turns it upright and forgets that
            image.load()
            several: int = getattr(image, "n_frames", 1) if frames is None else frames
            orientation = max(turned, _orientation(image))
            return ({"frames": several} if several > 1 else {}) | (
                {"orientation": orientation} if orientation > 1 else {}
            )
    except Image.DecompressionBombError as error:
        raise UnitError("too-many-pixels", str(error)) from None
    except UnidentifiedImageError:
        raise UnitError("corrupt-image", f"the header of the {format_} is broken") from None
    except _MALFORMED as error:
        raise UnitError("corrupt-image", f"{type(error).__name__}: {error}") from None


_MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on malformed bytes (seen by fuzzing); only Pillow runs where it is caught."""


def _orientation(image: Any) -> int:
    """Exif's orientation, 1 where there is none; broken Exif data does not make the image unreadable."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _MALFORMED:
        return 1
    return value if value in range(1, 9) else 1


def _tile(image: Any) -> tuple[int, int]:
    """Width and height of the tiles of a TIFF; (0, 0) where it has none."""
    width, length = (image.tag_v2.get(tag, 0) for tag in (_TILE_WIDTH, _TILE_LENGTH))
    return int(width), int(length)


def _claimed_size(data: bytes) -> tuple[int, int]:
    """Width and height as the first header of a PNG, WebP or anymap states them; (0, 0) for others.

    PNG specification, 11.2.1 IHDR; WebP container specification, VP8X, VP8L and VP8 headers.
    """
    head = data[:30].ljust(30, b"\0")
    if head[:1] == b"P":
        return _anymap_size(data)
    if head[12:16] == b"IHDR":
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if head[12:16] == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return 0, 0


def _check_png(data: bytes) -> None:
    """The checksums of all chunks up to the last, which decoding does not look at: UnitError if one is wrong.

    Pillow's ``verify`` opens the image for that, which then has to be opened once more.
    """
    view, at = memoryview(data), 8
    while (end := at + 8 + int.from_bytes(data[at : at + 4])) + 4 <= len(data):
        kind = data[at + 4 : at + 8]
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise UnitError("corrupt-image", f"the checksum of {kind!r} at byte {at} is wrong")
        if kind == b"IEND":
            return
        at = end + 4
    raise UnitError("corrupt-image", f"the PNG is cut short: it ends in the chunk at byte {at}")


_ANYMAP = re.compile(rb"P[1-6]" + 2 * rb"(?:\s|#[^\r\n]*[\r\n])+(\d{1,10})" + rb"(?!\d)")
_ANYMAP_HEADER = 1 << 16  # bytes in which it has to end: Pillow reads comments byte by byte


def _anymap_size(data: bytes) -> tuple[int, int]:
    found = _ANYMAP.match(data[:_ANYMAP_HEADER])
    if found is None:
        raise UnitError("corrupt-image", "the header of the PPM is broken")
    return int(found[1]), int(found[2])
