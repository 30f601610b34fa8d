"""What an image file carries beside its pixels: texts, Exif, XMP and C2PA, found without decoding it.

Sources: PNG specification, 11.3.3 (tEXt, zTXt, iTXt) and eXIf; JFIF and Exif markers; WebP container specification;
GIF89a, 23 to 26; TIFF 6.0, 2; C2PA specification, A.3 (APP11 of a JPEG, caBX of a PNG, C2PA of a WebP, C2PA_GIF, tag
52545 of a TIFF). What is broken is left out, never an error: whether the image can be decoded is asked elsewhere.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_TEXT = 4 << 20
"""Bytes of one text or packet; of a longer one the rest is not looked at, so that a small file unpacks to no more."""

_MAX_TEXTS = 64
_MAX_BLOCKS = 100_000  # a PNG of 256 MB in the usual 8 KB has 32,000

_XMP_KEY = "XML:com.adobe.xmp"
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass
class Blocks:
    """Texts by keyword (the first of each counts), the TIFF data of Exif, XMP packets, parts of the manifest store."""

    texts: dict[str, str] = field(default_factory=dict)
    exif: bytes = b""
    xmp: list[bytes] = field(default_factory=list)
    c2pa: list[bytes] = field(default_factory=list)

    def add_text(self, key: str, text: str) -> None:
        """Keep a text; XMP is one of a PNG's texts, too."""
        if key == _XMP_KEY:
            self.xmp.append(text.encode())
        elif len(self.texts) < _MAX_TEXTS:
            self.texts.setdefault(key, text)


def read(data: bytes, media_type: str) -> Blocks:
    """The blocks of a PNG, JPEG, WebP, GIF or TIFF; of anything else none."""
    found = Blocks()
    readers = {"png": _png, "jpeg": _jpeg, "webp": _webp, "gif": _gif, "tiff": _tiff}
    reader = readers.get(media_type.removeprefix("image/"))
    if reader is not None:
        reader(data, found)
    return found


def _png(data: bytes, found: Blocks) -> None:
    at = 8
    for _ in range(_MAX_BLOCKS):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if at + 8 + size > len(data) or kind in (b"", b"IEND"):
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            key, _, body = data[at + 8 : at + 8 + size].partition(b"\0")
            found.add_text(key.decode("latin-1"), decode(_text(kind, body)))
        elif kind == b"eXIf":
            found.exif = found.exif or data[at + 8 : at + 8 + size]
        elif kind == b"caBX":
            found.c2pa.append(data[at + 8 : at + 8 + size])
        at += 12 + size


def _text(kind: bytes, body: bytes) -> bytes:
    """The bytes of a text chunk after its keyword, unpacked."""
    if kind == b"tEXt":
        return body[:MAX_TEXT]
    packed = kind == b"zTXt" or body[:1] == b"\1"
    body = body[1:] if kind == b"zTXt" else body[2:].split(b"\0", 2)[-1]  # method; flag, method, language, keyword
    if not packed:
        return body[:MAX_TEXT]
    try:
        return zlib.decompressobj().decompress(body, MAX_TEXT)
    except zlib.error:
        return b""


def decode(text: bytes) -> str:
    """UTF-8, which many write whatever the format says, and else Latin-1, in which every byte is a character."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        return text.decode("utf-8", "replace") if error.start > len(text) - 4 else text.decode("latin-1")


def _jpeg(data: bytes, found: Blocks) -> None:
    parts: dict[bytes, list[tuple[int, bytes]]] = {}
    for marker, body in _segments(data):
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            found.exif = found.exif or body[6:]
        elif marker == 0xE1 and body.startswith(_XMP_JPEG):
            found.xmp.append(body[len(_XMP_JPEG) :])
        elif marker == 0xEB and body.startswith(b"JP") and len(body) > 16:
            parts.setdefault(body[2:4], []).append((int.from_bytes(body[4:8]), body[8:]))
        elif marker == 0xFE:
            found.add_text("comment", decode(body))
    for numbered in parts.values():  # a box in several segments; each repeats its header
        first, *others = [part for _, part in sorted(numbered)]
        header = 16 if first[:4] == b"\0\0\0\1" else 8
        found.c2pa += [first, *(part[header:] for part in others)]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of the segments before the picture (ISO 10918-1, B.1.1)."""
    at = 2
    for _ in range(_MAX_BLOCKS):
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        size = int.from_bytes(data[at + 2 : at + 4])
        if data[at : at + 1] != b"\xff" or size < 2 or data[at + 1] in (0xD9, 0xDA):
            return
        yield data[at + 1], data[at + 4 : at + 2 + size]
        at += 2 + size


def _webp(data: bytes, found: Blocks) -> None:
    at = 12
    for _ in range(_MAX_BLOCKS):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if not kind:
            return
        if kind == b"EXIF":
            found.exif = found.exif or data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0")
        elif kind == b"XMP ":
            found.xmp.append(data[at + 8 : at + 8 + size])
        elif kind == b"C2PA":
            found.c2pa.append(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2


def _gif(data: bytes, found: Blocks) -> None:
    """What there is before the first picture, where those who write it have it."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    for _ in range(_MAX_BLOCKS):
        if data[at : at + 1] != b"!":
            return
        kind, name = data[at + 1 : at + 2], data[at + 3 : at + 14]
        start = at + 3 + 11 if kind == b"\xff" and data[at + 2 : at + 3] == b"\x0b" else at + 2
        body, at = _sub_blocks(data, start)
        if not body:
            continue
        if kind == b"\xfe":
            found.add_text("comment", decode(body[:MAX_TEXT]))
        elif name == b"C2PA_GIF\1\0\0":
            found.c2pa.append(body)
        elif name == b"XMP DataXMP":
            found.xmp.append(data[start:at].partition(b"\x01\xff\xfe")[0])  # not in blocks: its end looks like those


def _sub_blocks(data: bytes, at: int) -> tuple[bytes, int]:
    """What is in the blocks from here on, and where they end."""
    parts = []
    while size := data[at] if at < len(data) else 0:
        parts.append(data[at + 1 : at + 1 + size])
        at += 1 + size
    return b"".join(parts), at + 1


_TIFF_XMP, _TIFF_C2PA, _MAX_FIELDS = 700, 52545, 100_000


def _tiff(data: bytes, found: Blocks) -> None:
    """The first of each in the chain of directories (TIFF 6.0, section 2; BigTIFF); texts are Exif's."""
    found.exif = data
    order = "<" if data.startswith(b"II") else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    offset, number, entry = (
        struct.Struct(order + form) for form in (("Q", "Q", "HHQQ") if big else ["I", "H", "HHII"])
    )
    left, seen = _MAX_FIELDS, set[int]()
    try:
        (at,) = offset.unpack_from(data, 8 if big else 4)
        while at and at not in seen:
            seen.add(at)
            (n,) = number.unpack_from(data, at)
            at, left = at + number.size, left - n - 1
            for place in range(at, at + entry.size * n if left >= 0 else 0, entry.size):
                tag, kind, size, start = entry.unpack_from(data, place)
                if kind in (1, 7) and size > 8:
                    if tag == _TIFF_XMP and not found.xmp:
                        found.xmp.append(data[start : start + min(size, MAX_TEXT)])
                    elif tag == _TIFF_C2PA and not found.c2pa:
                        found.c2pa.append(data[start : start + size])
            (at,) = offset.unpack_from(data, at + entry.size * n) if left >= 0 else (0,)
    except (struct.error, OverflowError):
        return
