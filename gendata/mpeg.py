"""How an MP3 is laid out: the tag before it, its frames, and how many samples these are.

Most files say that in their first frame (Xing, Info). Of others decoders guess it by the size of the file, tags and
pictures included; so does libsndfile where that is said in another way (VBRI). Source: ISO/IEC 11172-3, 2.4.1.3 and
2.4.2.3; ISO/IEC 13818-3; ID3v2.4, 3.1.
"""

from functools import reduce
from typing import NamedTuple

_FIRST = 4096
"""Bytes in which a frame is looked for behind what is none."""

_BITRATES = {  # in kbit/s, by version 1 or 2 and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


class Frame(NamedTuple):
    """Samples (of each channel) and bytes of a frame, and the samples a second."""

    samples: int
    size: int
    rate: int


def frame(data: bytes, at: int = 0) -> Frame | None:
    """The frame whose header is there; None where there is none, or its bitrate is none of the usual."""
    head = data[at : at + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = (25, 0, 2, 1)[head[1] >> 3 & 3], 4 - (head[1] >> 1 & 3)
    bitrate, frequency = head[2] >> 4, head[2] >> 2 & 3
    if not version or layer == 4 or bitrate in {0, 15} or frequency == 3:
        return None
    rate = (44100, 48000, 32000)[frequency] // {1: 1, 2: 2, 25: 4}[version]
    samples = {1: 384, 2: 1152, 3: 1152 if version == 1 else 576}[layer]
    bits = 1000 * _BITRATES[min(version, 2), layer][bitrate - 1]
    padding = head[2] >> 1 & 1
    size = 4 * (12 * bits // rate + padding) if layer == 1 else samples // 8 * bits // rate + padding
    return Frame(samples, size, rate)


def id3_size(data: bytes) -> int:
    """Bytes of the ID3v2 tag that a file begins with; 0 where there is none."""
    if data[:3] != b"ID3" or len(data) < 10 or max(data[6:10]) > 127:
        return 0
    return 10 + sync_safe(data[6:10]) + (10 if data[5] & 16 else 0)  # with its footer


def sync_safe(size: bytes) -> int:
    """A number of seven bits in each byte."""
    return reduce(lambda found, byte: found << 7 | byte & 127, size, 0)


def states_length(data: bytes) -> bool:
    """Whether the first frame says how many there are, where decoders look for it (behind its side information)."""
    at = _next(data, id3_size(data))
    return at is not None and any(data[at + behind : at + behind + 4] in (b"Xing", b"Info") for behind in (13, 21, 36))


def samples(data: bytes) -> int:
    """The samples of all frames, of each channel: what is no frame is stepped over, as players do."""
    total, at = 0, id3_size(data)
    while (start := _next(data, at)) is not None:
        found = frame(data, start)
        while found is not None:
            total += found.samples
            start += found.size
            found = frame(data, start)
        at = start
    return total


def _next(data: bytes, at: int) -> int | None:
    """Where the next frame is that another one, or the end of the file, follows."""
    start, end = at, at + _FIRST
    while (start := data.find(b"\xff", start, end)) >= 0:
        found = frame(data, start)
        if found and (start + found.size == len(data) or frame(data, start + found.size)):
            return start
        start += 1
    return None
