"""Whether bytes are an image that can be decoded, found out safely: bounded, and by content alone."""

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from gendata.ingest import marks
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

EXTENSIONS: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
"""File name extension to the media type that it promises."""

_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}

_ORIENTATION = 0x0112  # the Exif tag


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
    first is decoded), ``gen`` and ``c2pa`` what ``marks`` finds. A PNG's checksums are verified too.

    Raises:
        UnitError: ``empty``, ``not-an-image``, ``too-many-pixels`` (before decoding) or ``corrupt-image``.
    """
    if not data:
        raise UnitError("empty", "0 bytes")
    media_type = sniff(data)
    if media_type is None:
        raise UnitError("not-an-image", "the bytes are neither PNG nor JPEG nor WebP")
    _limit(_claimed_size(data), max_pixels)  # Pillow allocates a WebP's canvas on opening
    meta = _decode(data, _FORMATS[media_type], max_pixels)
    extension = PurePosixPath(name).suffix.lower()
    if extension and EXTENSIONS.get(extension) != media_type:
        meta["extension"] = one_line(extension)
    found = marks.find(data, media_type)
    return Probe(media_type, meta | found.meta, found.found)


def sniff(data: bytes) -> str | None:
    """The media type by the first bytes, or None if it is none that is read here."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _limit(size: tuple[int, int], max_pixels: int) -> None:
    if size[0] * size[1] > max_pixels:
        raise UnitError("too-many-pixels", f"{size[0]} x {size[1]} pixels; ingest.max_pixels is {max_pixels}")


def _decode(data: bytes, format_: str, max_pixels: int) -> dict[str, Any]:
    from PIL import Image, UnidentifiedImageError

    try:
        if format_ == "PNG":
            with Image.open(io.BytesIO(data), formats=[format_]) as image:
                _limit(image.size, max_pixels)
                image.verify()  # the checksums, which decoding does not always look at
        with Image.open(io.BytesIO(data), formats=[format_]) as image:
            _limit(image.size, max_pixels)
            image.load()
            meta: dict[str, Any] = {}
            if (frames := getattr(image, "n_frames", 1)) > 1:
                meta["frames"] = frames
            if (orientation := _orientation(image)) != 1:
                meta["orientation"] = orientation
            return meta
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


def _claimed_size(data: bytes) -> tuple[int, int]:
    """Width and height as the first header of a PNG or WebP states them; (0, 0) for a JPEG.

    PNG specification, 11.2.1 IHDR; WebP container specification, VP8X, VP8L and VP8 headers.
    """
    head = data[:30].ljust(30, b"\0")
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
