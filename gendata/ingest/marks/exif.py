"""The texts of Exif in which generators write: by the names of their tags."""

import struct

from gendata.ingest.marks.blocks import MAX_TEXT, decode

_TEXTS = {0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software", 0x013B: "Artist"}
_WIDE = {0x9C9B: "XPTitle", 0x9C9C: "XPComment", 0x9C9E: "XPKeywords"}  # UTF-16, little endian, whatever the file is
_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286

_MALFORMED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError, struct.error,
)  # fmt: skip
"""What Pillow raises on malformed Exif (seen by fuzzing); only Pillow runs where it is caught."""


def read(tiff: bytes) -> dict[str, str]:
    """Name of the tag to its text; empty where the data is broken."""
    if not tiff:
        return {}
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(b"Exif\0\0" + tiff)
        values = {name: exif.get(tag) for tag, name in (_TEXTS | _WIDE).items()}
        values["UserComment"] = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except _MALFORMED:
        return {}
    big = tiff.startswith(b"MM")
    found = {name: _text(name, value, big=big) for name, value in values.items() if isinstance(value, str | bytes)}
    return {name: text for name, text in found.items() if text}


def _text(name: str, value: str | bytes, *, big: bool) -> str:
    if isinstance(value, str):
        # Pillow takes texts for Latin-1, in which UTF-8 can be written as well
        value = value.encode("latin-1") if value.isascii() or max(value) <= "\xff" else value.encode()
    value = value[:MAX_TEXT]
    if name.startswith("XP"):
        return value.decode("utf-16-le", "replace").strip("\0 ")
    return (user_comment(value, big=big) if name == "UserComment" else decode(value)).strip("\0 ")


def user_comment(value: bytes, *, big: bool) -> str:
    """A comment without the eight bytes that say how it is written (Exif 2.3, 4.6.5, UserComment).

    Which half of UTF-16 comes first is that of the file (``big``), but many write big endian always: the zeros tell.
    """
    charset, body = value[:8], value[8:]
    if charset == b"UNICODE\0":
        return _utf16(body, big=big)
    if charset == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace")
    return decode(body if charset in (b"ASCII\0\0\0", bytes(8)) else value)


def _utf16(body: bytes, *, big: bool) -> str:
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    even, odd = body[::2].count(0), body[1::2].count(0)
    if not even and not odd:
        try:
            return body.decode()  # some write UTF-8 and say UNICODE; UTF-16 without a zero is hardly ever that
        except UnicodeDecodeError:
            pass
    big = even > odd if even != odd else big
    return body.decode("utf-16-be" if big else "utf-16-le", "replace")
