"""Images of any mode, as a size and as grey values.

Ingest has decoded every image inside its limits before. One that Pillow refuses here all the same
(another version, a mode it cannot convert) has no size and no pixels; it is no error.
"""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image

UNREADABLE = (OSError, ValueError, TypeError, SyntaxError, struct.error, Image.DecompressionBombError)
"""What Pillow raises on broken files; its UnidentifiedImageError is an OSError."""

_ORIENTATION, _SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})


def shown_size(data: bytes) -> tuple[int, int] | tuple[None, None]:
    """Width and height after EXIF orientation, from the header; nothing if it cannot be read."""
    try:
        with _opened(data) as image:
            width, height = image.size
            return (height, width) if _orientation(image) in _SIDEWAYS else (width, height)
    except UNREADABLE:
        return None, None


def grey(data: bytes, side: int) -> tuple[npt.NDArray[np.float32], int] | tuple[None, None]:
    """The first frame as grey values, and how many pixels it has in full.

    Args:
        data: The bytes of an image file.
        side: A larger image is reduced, in proportion, to this many pixels on its longer side.

    Returns:
        Array (height, width) of 0 to 255. What is transparent shows white; modes of more than
        8 bits (I, F) are stretched from their least to their greatest value.
    """
    try:
        with _opened(data) as image:
            pixels = image.width * image.height
            image.draft("L", (side, side))  # a large JPEG is decoded at a half, a quarter or an eighth
            shown = _luminance(image)
            shown.thumbnail((side, side))
            return np.asarray(shown, dtype=np.float32), pixels
    except UNREADABLE:
        return None, None


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The image, with Pillow's remarks about odd files kept quiet: ingest has accepted it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            yield image


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 (upright) where none is stated."""
    if image.format == "TIFF":
        return 1  # Pillow has turned it already
    # not image.getexif(): for a PNG that would decode all pixels, to look for a chunk behind them
    return int(Image.Image.getexif(image).get(_ORIENTATION, 1))


def _luminance(image: Image.Image) -> Image.Image:
    """Any mode as mode L."""
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))
    if image.mode == "LAB":
        return image.getchannel(0)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("L")
    return image.convert("L")
