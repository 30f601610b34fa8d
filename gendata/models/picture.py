"""Samples as one picture: a grid that people look at."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from PIL import Image

_CELL = 56
"""Pixels that a cell has at least: smaller images are enlarged by whole factors."""

_GAP = 2


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """Images (n, C, H, W) in [-1, 1] as uint8 (n, H, W, C)."""
    scaled = images.detach().cpu().clamp(-1, 1).add(1).mul(127.5).round()
    array: NDArray[np.uint8] = scaled.permute(0, 2, 3, 1).contiguous().numpy().astype(np.uint8)
    return array


def to_image(pixels: NDArray[np.uint8]) -> "Image.Image":
    """An image (H, W, C) with 1 or 3 channels for Pillow."""
    from PIL import Image

    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def grid(images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], columns: int = 0) -> bytes:
    """Images (n, H, W, C) in rows as a PNG; about square without ``columns``."""
    from PIL import Image

    height, width = images[0].shape[:2]
    factor = max(1, _CELL // max(height, width))
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    step_x, step_y = width * factor + _GAP, height * factor + _GAP
    sheet = Image.new("RGB", (columns * step_x - _GAP, rows * step_y - _GAP), "white")
    for i, pixels in enumerate(images):
        cell = to_image(pixels).resize((width * factor, height * factor), Image.Resampling.NEAREST)
        sheet.paste(cell, (i % columns * step_x, i // columns * step_y))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
