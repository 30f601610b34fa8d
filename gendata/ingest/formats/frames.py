"""Frames of a GIF and pages of a TIFF, counted by their blocks, and bounds on these.

Pillow reads the lists in a TIFF whole, and counts frames without end.
"""

import struct

from gendata.ingest.reader import UnitError

_PARTS = 1_000_000
"""Blocks of a GIF, or fields of a TIFF and values of one: large real files have thousands."""

_LISTED = frozenset({3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16, 17, 18})
"""Types of TIFF whose values become a list in Python; others are bytes."""


def count(data: bytes, media_type: str) -> int:
    """The frames of a GIF or TIFF. Raises UnitError ``corrupt-image``, also if there is no end to its parts."""
    try:
        return _gif(data) if media_type == "image/gif" else _tiff(data)
    except (IndexError, struct.error, OverflowError):
        raise UnitError("corrupt-image", "cut short, or an offset leads outside of the file") from None


def _too_many(what: str) -> UnitError:
    return UnitError("corrupt-image", f"more than {_PARTS} {what}")


def _gif(data: bytes) -> int:
    """Image descriptors up to the trailer (GIF89a specification, 20 and 27); files without a trailer are common."""
    at, frames, parts = 13 + _colours(data[10]), 0, 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:
            frames += 1
            at += 11 + _colours(data[at + 9])
        elif data[at] == 0x21:
            at += 2
        else:
            break  # Pillow skips what is no block, and so do browsers: frames behind it are not counted
        while size := data[at]:
            at, parts = at + 1 + size, parts + 1
            if parts > _PARTS:
                raise _too_many("blocks")
        at += 1
        parts += 1
    return frames


def _colours(flags: int) -> int:
    """Bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _tiff(data: bytes) -> int:
    """The chain of directories (TIFF 6.0, section 2; BigTIFF)."""
    order = "<" if data.startswith(b"II") else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    offset, number, entry = (
        (order + "Q", order + "Q", order + "HHQQ") if big else (order + "I", order + "H", order + "HHII")
    )
    (at,) = struct.unpack_from(offset, data, 8 if big else 4)
    seen: set[int] = set()
    fields = 0
    while at and at not in seen:
        seen.add(at)
        (n,) = struct.unpack_from(number, data, at)
        fields += n + 1
        if fields > _PARTS:
            raise _too_many("fields")
        at += struct.calcsize(number)
        for place in range(at, at + n * struct.calcsize(entry), struct.calcsize(entry)):
            _, type_, values, _ = struct.unpack_from(entry, data, place)
            if values > _PARTS and type_ in _LISTED:
                raise _too_many("values of one field")
        (at,) = struct.unpack_from(offset, data, at + n * struct.calcsize(entry))
    return len(seen)
