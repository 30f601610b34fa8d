"""One number in [0, 1] by which to sort, so that the odd items come up first. Not a filter.

Texts: ``gopher.text_quality``. Images: the geometric mean of four signals, so that one that is
absent (a blank or wholly blurred image) gives 0:

- resolution: sqrt(width * height) / 512, at most 1
- entropy of the grey histogram in 256 bins / 8 bits (Shannon 1948)
- contrast: standard deviation of grey / 64, at most 1 (RMS contrast, Peli 1990)
- sharpness: v / (v + 100), v the variance of the Laplacian of grey (Pech-Pacheco et al. 2000); 100
  is a customary threshold for blur

The last three are taken at 512 pixels on the longer side at most. Noise counts as sharp, and a
clean drawing has little entropy: compare like with like. Texts and images do not compare. Records
and audio have none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata.tag.gopher import text_quality
from gendata.tag.pixels import grey

READS = ("text", "data")
ADDS = ("quality",)

FULL_SIDE = 512
FULL_CONTRAST = 64.0
HALF_SHARPNESS = 100.0


def tag(batch: pa.RecordBatch) -> Mapping[str, Sequence[Any]]:
    """Column ``quality``; see ``shard.Tagger``. Stop words are asked for where ``lang`` is en."""
    langs = batch["lang"].to_pylist() if "lang" in batch.schema.names else [None] * batch.num_rows
    scores: list[float | None] = []
    for modality, lang, text, data in zip(
        batch["modality"].to_pylist(), langs, batch["text"], batch["data"], strict=True
    ):
        if modality == "text" and text.is_valid:
            scores.append(text_quality(text.as_py(), english=lang == "en"))
        elif modality == "image" and data.is_valid:
            scores.append(image_quality(data.as_py()))
        else:
            scores.append(None)
    return {"quality": scores}


def image_quality(data: bytes) -> float | None:
    """The score of an image file; None if Pillow cannot read it."""
    values, pixels = grey(data, FULL_SIDE)
    if values is None or pixels is None:
        return None
    resolution = min(1.0, pixels**0.5 / FULL_SIDE)
    contrast = min(1.0, float(values.std(dtype=np.float64)) / FULL_CONTRAST)
    variance = laplacian_variance(values)
    signals = (resolution, entropy(values) / 8, contrast, variance / (variance + HALF_SHARPNESS))
    return float(np.prod(signals) ** (1 / len(signals)))


def entropy(values: npt.NDArray[np.float32]) -> float:
    """Shannon entropy of the histogram of grey values (height, width), in bits: 0 to 8."""
    counts = np.bincount(values.astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / values.size
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # a blank image has 0, not -0


def laplacian_variance(values: npt.NDArray[np.float32]) -> float:
    """Variance of the 4-neighbour Laplacian over the inner pixels of (height, width); 0 if none."""
    if min(values.shape) < 3:
        return 0.0
    inner = values[1:-1, 1:-1]
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * inner
    return float(laplacian.var(dtype=np.float64))
