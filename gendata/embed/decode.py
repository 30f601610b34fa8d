"""Bytes of image files to upright RGB pictures, whatever the format, and to vectors of encoders, in one loop."""

import io
import struct
from collections.abc import Callable, Iterable

import numpy as np
import PIL
from PIL import Image, ImageOps

from gendata.embed.encoder import Vectors


class UnreadableImageError(Exception):
    """The bytes are no image that Pillow can decode; the message says why in one line."""


def upright(data: bytes, draft: tuple[int, int] | None = None) -> Image.Image:
    """The image as its EXIF orientation wants it, RGB, on white.

    Args:
        data: of an image file.
        draft: a size that suffices; a JPEG is then decoded at a half to an eighth of its own, which is faster.

    Raises:
        UnreadableImageError: Pillow cannot decode it, or it has more pixels than Pillow allows.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            if draft:
                image.draft("RGB", draft)
            return _rgb(ImageOps.exif_transpose(image))
    except PIL.UnidentifiedImageError as error:  # its own text shows a Python object
        raise UnreadableImageError("not a readable image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(str(error)) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
        raise UnreadableImageError(" ".join(str(error).split()) or type(error).__name__) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency on white, more than 8 bits scaled down instead of cut off."""
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image, np.float32))
        top = 65535.0 if image.mode.startswith("I;16") else max(255.0, float(values.max()))
        return Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def every(
    found: Iterable[Vectors | UnreadableImageError], count: int, dim: int, tick: Callable[[int], None] | None
) -> Vectors:
    """The ``count`` vectors found as rows, shape (count, dim). Raises the first error among them."""
    vectors = np.empty((count, dim), np.float32)
    for i, one in enumerate(found):
        if isinstance(one, UnreadableImageError):
            raise one
        vectors[i] = one
        if tick:
            tick(1)
    return vectors
