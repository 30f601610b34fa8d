"""X1: how many values an image and a text have, what a general compressor leaves, and what neighbours say of it.

Intrinsic dimension is that of TwoNN (Facco et al. 2017, "Estimating the intrinsic dimension of datasets by minimal
neighborhood information"): in d dimensions the second neighbour is farther than the first by a ratio of which the
logarithm has the mean 1 / d. It is of points, so a text is its counts of hashed byte pairs: another figure of texts
would have another dimension.
"""

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gendata.compare import sample, stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding

READS = ("vae", "transformer")
_ITEMS, _HASHED = 1000, 512
_NEAR = 3
"""Points that a second neighbour takes."""
_TWIN = 1e-9
"""Share of the mean square below which two points are one, up to rounding."""


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of X1."""
    train = evidence.images("vae").pixels["train"]
    images = [image.tobytes() for image in train[sample.some(len(train), _ITEMS)]]
    texts = sample.texts(evidence.texts("transformer").bytes_of("train"), _ITEMS)
    effects = []
    for what, size in (
        ("values of an item (pixels, bytes)", len),
        ("bits of an item after zlib", lambda item: 8 * len(zlib.compress(item, 9))),
    ):
        a, b = (np.array([size(item) for item in items], np.float64) for items in (images, texts))
        gap = stats.bootstrap(lambda x, y: float(np.median(x) - np.median(y)), a, b)
        sides = {"image": float(np.median(a)), "text": float(np.median(b))}
        over = f"bootstrap of medians over {len(a)} images and {len(b)} texts"
        effects.append(Effect(f"{what}, median", sides, gap, over))
    ratios = [neighbour_ratios(_points(images, 0)), neighbour_ratios(_points(texts, _HASHED))]
    if all(len(side) for side in ratios):
        gap = stats.bootstrap(lambda x, y: 1 / float(x.mean()) - 1 / float(y.mean()), *ratios)
        sides = {name: 1 / float(side.mean()) for name, side in zip(("image", "text"), ratios, strict=True)}
        over = f"bootstrap over {len(ratios[0])} images and {len(ratios[1])} texts"
        effects.append(Effect("intrinsic dimension (TwoNN) of pixels, of counts of byte pairs", sides, gap, over))
    return {"X1": Finding(tuple(effects), "of the images at the size of params.yaml, and the texts, of this project")}


def _points(items: list[bytes], hashed: int) -> NDArray[np.float64]:
    """The bytes of each item, or the roots of the shares of so many hashed byte pairs in it."""
    if not hashed:
        return np.stack([np.frombuffer(item, np.uint8) for item in items]).astype(np.float64)
    rows = [np.frombuffer(item, np.uint8).astype(np.int64) for item in items]
    counts = [np.bincount((x[:-1] * 31 + x[1:]) % hashed, minlength=hashed) / max(1, len(x) - 1) for x in rows]
    return np.sqrt(np.stack(counts))


def neighbour_ratios(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the distance of the second neighbour over that of the first, of each point (n, d).

    Points that have a twin are left out.
    """
    squares = np.square(points).sum(1)
    far = np.maximum(squares[:, None] + squares[None] - 2 * points @ points.T, 0)
    np.fill_diagonal(far, np.inf)
    if len(points) < _NEAR:
        return np.empty(0)
    first, second = np.partition(far, 1, axis=1)[:, :2].T
    apart = first > _TWIN * squares.mean()
    ratios: NDArray[np.float64] = 0.5 * np.log(second[apart] / first[apart])
    return ratios
