"""Image bytes to pixels: a digest of them all, and the picture made small, 255 pixels a side at most.

**Digest.** SHA-256 of the upright size and the pixels of the upright image (Exif orientation). Palette, grey and
RGB are taken as RGB, transparency as RGBA with what cannot be seen cleared, and as RGB where nothing is transparent,
so that the same pixels have the same digest however they are stored. Grey of 16 bits is taken as 8 bits if no value
is lost by it. CMYK, floating point and rarer modes equal only their own kind. Colour profiles and gamma are not
applied. Without a digest are images that Pillow may decode to fewer bits than they have: 16 bits per channel in
colour, JPEG 2000, AVIF and what is not in ``_EIGHT_BIT``.

A JPEG's sketch needs an eighth to the whole of its size alone, which is decoded in half the time (scaled inverse
DCT); its digest is taken when some other image may have the same pixels: see ``pixels``.

**Bounds.** Pillow holds up to 4 bytes per pixel, twice that while it turns an image upright; all else here works on
bands of rows. Images over 16 million pixels are decoded one at a time. Over twice ``PIL.Image.MAX_IMAGE_PIXELS`` (178
million) Pillow refuses: ``image-too-large``.
"""

import contextlib
import hashlib
import io
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

T = TypeVar("T")

NONE = bytes(32)
"""In place of a digest."""

_EIGHT_BIT = frozenset({"BMP", "GIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP"})
_JPEG = frozenset({"JPEG", "MPO"})
_LEAST = 128  # a side of the grey picture is reduced while it stays at least this long
_BAND = 1 << 22  # pixels worked on at once
_LARGE = 1 << 24  # pixels from which images wait for one another
_one_large = threading.Lock()
_DECODE_ERRORS = (  # what Pillow raises on broken files
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


class Unfit(Exception):  # noqa: N818 (no error: what is unfit is counted)
    """An image that takes part in exact deduplication alone; the message is the reason that is counted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """``width`` and ``height`` of the upright image, whether it is stored in ``colour``, and the picture made small.

    ``small`` is of 8 bits, in mode RGB, or L if the image has no colour. ``digest`` is that of its pixels, NONE if
    it has none. A JPEG has NONE yet, and ``scaled``, the digest of its scaled pixels.
    """

    width: int
    height: int
    colour: bool
    small: Image.Image
    digest: bytes
    scaled: bytes = NONE

    @property
    def grey(self) -> Image.Image:
        """The picture in 8-bit grey."""
        return luma(self.small)


def luma(small: Image.Image) -> Image.Image:
    """The grey of a picture in mode RGB or L."""
    return small if small.mode == "L" else small.convert("L")


def decode(data: bytes) -> Picture:
    """Decode an image. Raises Unfit: image-animated, image-too-large, image-undecodable."""
    return _opened(data, _picture)


def pixel_digest(data: bytes) -> bytes:
    """The digest of all pixels; NONE if it has none. Raises Unfit as ``decode``."""
    return _opened(data, _pixel_digest)


def _opened(data: bytes, use: Callable[[ImageFile.ImageFile], T]) -> T:
    try:
        with Image.open(io.BytesIO(data)) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a camera's MPO is one photo
                raise Unfit("image-animated")
            with _one_large if image.width * image.height > _LARGE else contextlib.nullcontext():
                return use(image)
    except Image.DecompressionBombError as error:
        raise Unfit("image-too-large") from error
    except _DECODE_ERRORS as error:
        raise Unfit("image-undecodable") from error


def _picture(image: ImageFile.ImageFile) -> Picture:
    if image.format in _JPEG and image.mode in {"L", "RGB"}:
        return _scaled(image)
    colour, digest = _has_colour(image), _pixel_digest(image)
    return Picture(image.width, image.height, colour, _small(image, _kind(image)), digest)


def _scaled(image: ImageFile.ImageFile) -> Picture:
    """A JPEG at the least of its scales at which the sides are ``_LEAST``."""
    (width, height), colour = image.size, _has_colour(image)
    image.draft(image.mode, (_LEAST, _LEAST))  # not as YCbCr: slower, and libjpeg cannot where RGB is stored
    small = image.size
    _upright(image)
    if image.size != small:
        width, height = height, width
    scaled = hashlib.sha256(image.tobytes()).digest()
    return Picture(width, height, colour, _small(image, image.mode), NONE, scaled)


def _has_colour(image: Image.Image) -> bool:
    return not image.mode.startswith(("1", "L", "I", "F"))


def _pixel_digest(image: ImageFile.ImageFile) -> bytes:
    whole = _keeps_all_bits(image)  # asked before the pixels are loaded
    _upright(image)
    return _digest(image, _kind(image)) if whole else NONE


def _upright(image: Image.Image) -> None:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)


def _keeps_all_bits(image: ImageFile.ImageFile) -> bool:
    """Whether what Pillow decodes says all that is stored."""
    if image.format not in _EIGHT_BIT:
        return False
    return image.mode.startswith("I") or ";16" not in str([tile[3] for tile in image.tile])


def _kind(image: Image.Image) -> str:
    """As what the pixels are compared: RGB, RGBA, 16 (grey of 16 bits that fit in 8), or a mode of Pillow's."""
    if image.has_transparency_data:
        opaque = all(band.convert("RGBA").getchannel("A").getextrema() == (255, 255) for band in _bands(image))
        return "RGB" if opaque else "RGBA"
    if image.mode.startswith("I"):
        return "16" if all(_fits_eight_bits(np.asarray(band)) for band in _bands(image)) else "I"
    return "RGB" if image.mode in {"1", "L", "P"} else image.mode


def _fits_eight_bits(values: npt.NDArray[np.integer]) -> bool:
    return bool(values.min() >= 0 and values.max() <= 65535 and not (values % 257).any())


def _bands(image: Image.Image, multiple: int = 1) -> Iterator[Image.Image]:
    """The image cut into bands of rows, a multiple of so many but for the last."""
    rows = max(1, _BAND // (image.width * multiple)) * multiple
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _digest(image: Image.Image, kind: str) -> bytes:
    digest = hashlib.sha256(f"{'RGB' if kind == '16' else kind} {image.width} {image.height}\n".encode())
    for band in _bands(image):
        digest.update(_samples(band, kind))
    return digest.digest()


def _samples(band: Image.Image, kind: str) -> bytes:
    """The pixels as they are compared, row by row."""
    if kind == "16":
        return Image.fromarray((np.asarray(band) // 257).astype(np.uint8)).convert("RGB").tobytes()
    if kind == "I":
        return np.asarray(band).astype("<i4").tobytes()
    if kind == "RGBA":
        full = band.convert("RGBA")
        seen = Image.new("RGBA", band.size)
        seen.paste(full, mask=full.getchannel("A").point(_not_clear))
        return seen.tobytes()
    return (band.convert("RGB") if kind == "RGB" and band.mode != "RGB" else band).tobytes()


_not_clear = [0] + [255] * 255  # a table of values of alpha


def _small(image: Image.Image, kind: str) -> Image.Image:
    """8 bits a channel; deeper samples are scaled, clear ones lie over white; box-filtered to 128-255 a side."""
    across, down = max(1, image.width // _LEAST), max(1, image.height // _LEAST)
    spread = _spread(image) if kind == "F" else (0.0, 1.0)
    parts = [_flat(band, kind, spread).reduce((across, down)) for band in _bands(image, down)]
    small, top = Image.new(parts[0].mode, (parts[0].width, sum(part.height for part in parts))), 0
    for part in parts:
        small.paste(part, (0, top))
        top += part.height
    return small


def _flat(band: Image.Image, kind: str, spread: tuple[float, float]) -> Image.Image:
    """A band in grey or RGB of 8 bits per channel without transparency."""
    if kind == "F":
        low, high = spread
        values = (np.nan_to_num(np.asarray(band, np.float64)) - low) * (255 / ((high - low) or 1.0))
        return Image.fromarray(values.astype(np.uint8))
    if kind in {"I", "16"}:
        return Image.fromarray((np.clip(np.asarray(band), 0, 65535) // 257).astype(np.uint8))
    if kind == "RGBA":
        ground = Image.new("RGBA", band.size, "white")
        return Image.alpha_composite(ground, band.convert("RGBA")).convert("RGB")
    return band if band.mode in {"RGB", "L"} else band.convert("L" if band.mode == "1" else "RGB")


def _spread(image: Image.Image) -> tuple[float, float]:
    """The least and the greatest value of a floating-point image."""
    bands = [np.nan_to_num(np.asarray(band)) for band in _bands(image)]
    return min(float(b.min()) for b in bands), max(float(b.max()) for b in bands)
