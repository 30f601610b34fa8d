"""Image files as arrays of one size."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.engine import Progress
from gendata.errors import StoreError
from gendata.select.contents import Contents


def write_images(
    path: Path, contents: Contents, positions: NDArray[np.int64], shape: tuple[int, int, int], progress: Progress
) -> Counter[str]:
    """Write the images at these positions as one array (n, C, H, W) of bytes, a file that numpy reads or maps.

    Returns how many had to be cropped, and how many enlarged. Raises StoreError for one that does not decode.
    """
    fitted = Counter[str]()
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(positions), *shape)}
    with path.open("wb") as file:  # not mapped: a full disk is then an error, and no signal
        np.lib.format.write_array_header_1_0(file, header)
        for batch in contents.batches(positions):
            for row in batch.select(["id", "data"]).to_pylist():
                image = _open(row["id"], row["data"], shape[0])
                fitted += Counter(cropped=image.width != image.height, enlarged=min(image.size) < shape[1])
                file.write(_fit(image, shape).tobytes())
            progress.add(batch.num_rows)
    return fitted


def decode_image(item_id: str, data: bytes, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An image file as (C, H, W): turned upright, cropped around its middle, scaled. Raises StoreError."""
    return _fit(_open(item_id, data, shape[0]), shape)


def _open(item_id: str, data: bytes, channels: int) -> Any:
    """An image file as one of Pillow's, upright, in grey or RGB. Raises StoreError."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            return _flat(ImageOps.exif_transpose(image)).convert("RGB" if channels > 1 else "L")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StoreError(f"item {item_id[:12]}: its image does not decode: {error}") from None


def _fit(image: Any, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An upright image as (C, H, W): cropped around its middle, scaled."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, np.uint8).reshape(height, width, channels).transpose(2, 0, 1)


def _flat(image: Any) -> Any:
    """An image without transparency, which lies on white then, and with 8 bits a channel."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow's own conversion would cut them at 255
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image
