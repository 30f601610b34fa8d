"""Image files as arrays of one size."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.errors import StoreError


def decode_image(item_id: str, data: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An image file as (C, H, W): turned upright, cropped around its middle, scaled. Raises StoreError."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = _flat(ImageOps.exif_transpose(image)).convert("RGB" if channels > 1 else "L")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StoreError(f"item {item_id[:12]}: its image does not decode: {error}") from None
    if upright.size != (width, height):
        upright = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(upright, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


def _flat(image: Any) -> Any:
    """An image without transparency, which lies on white then, and with 8 bits a channel."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would cut them at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
