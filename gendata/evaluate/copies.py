"""Copies among images: the nearest training image of each sample, near-duplicates, and a picture of the pairs.

The distance of two images is the root mean squared difference of their values, from 0 (equal) to 1 (black
against white): L2 in pixels. It sees copies, not what is moved or recoloured. How near is too near is learned
from held-out images, as in Meehan et al. 2020, "A Non-Parametric Test to Detect Data-Copying in Generative Models".
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
"""Images (n, C, H, W), in memory or mapped: only blocks are read."""

_BLOCK_VALUES = 1 << 22
"""Values of a block of images held as float64 (32 MB)."""
_BLOCK_ROWS = 2048
"""Images in a block, so that the distances of two blocks take 32 MB at most."""

_CELL = 56  # least side in pixels of an image in the picture
_GAP, _LINE, _GREY = 4, 1, 128  # widths of what separates pairs, and the two of a pair; its shade


def nearest(queries: Pixels, training: Pixels) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest training image of each query, exactly; of equally near ones the first.

    Args:
        queries: Images (n, C, H, W).
        training: Images (m, C, H, W).

    Returns:
        Positions in ``training`` (n,), and root mean squared differences (n,) from 0 to 1.

    Raises:
        ValueError: there is no training image, or the images differ in shape.
    """
    if queries.shape[1:] != training.shape[1:]:
        raise ValueError(f"training: images of shape {queries.shape[1:]}, not {training.shape[1:]}")
    return _nearest(queries, training, itself=True)


def near_duplicate_rate(images: Pixels, threshold: float) -> float:
    """The share of images (n, C, H, W) that have another one within ``threshold``, 0 to 1.

    It rises with the number of images: compare it with that of as many real ones.

    Raises:
        ValueError: there are fewer than two images.
    """
    _, distances = _nearest(images, images, itself=False)
    return float((distances <= threshold).mean())


def birthday_support(images: Pixels, threshold: float) -> float | None:
    """How many images a sampler can make, as its pairs within ``threshold`` tell: n (n - 1) / 2 for every such pair.

    Arora & Zhang 2018, "Do GANs actually learn the distribution?" (arXiv 1706.08224): of n draws among N equally likely
    images, n (n - 1) / 2N pairs are equal, as with birthdays. None where no pair is, which n draws of more than about
    n² / 2 images often give; of a sampler that gives one image alone it is 1.

    Args:
        images: Samples (n, C, H, W).
        threshold: The distance within which two count as one; compare with that of as many real images.

    Raises:
        ValueError: there are fewer than two images.
    """
    if len(images) < 2:
        raise ValueError(f"images: at least 2, not {len(images)}")
    largest = (threshold * 255) ** 2 * np.prod(images.shape[1:]) * (1 + 1e-12)  # a squared distance is a whole number
    pairs = 0
    for first, block in _blocks(images):
        for start, rows in _blocks(images[: first + len(block)]):
            within = _squared_distances(rows, block) <= largest
            pairs += int((within & (np.arange(len(rows))[:, None] + start < np.arange(len(block)) + first)).sum())
    return len(images) * (len(images) - 1) / 2 / pairs if pairs else None


def duplicate_threshold(held_out: Pixels, training: Pixels, share: float = 0.01) -> float:
    """The distance from which on an image is no near-duplicate, learned from real images that are none.

    It is the least distance within which at least ``share`` of the real held-out images have a training image,
    so that a near-duplicate is as near as only that share of the real are by chance. Samples that copy nothing
    are within it at about that rate; of fewer than 1 / ``share`` held-out images it is the nearest.

    Args:
        held_out: Real images (n, C, H, W) that are not in ``training``.
        training: Real images (m, C, H, W).
        share: Above 0 and at most 1.

    Raises:
        ValueError: ``share`` is out of range, one of the sets is empty, or the images differ in shape.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: must be above 0 and at most 1, not {share}")
    if not len(held_out):
        raise ValueError("held_out: at least 1 image, not 0")
    _, distances = nearest(held_out, training)
    return float(np.quantile(distances, share, method="inverted_cdf"))


def neighbours_picture(samples: Pixels, neighbours: Pixels, columns: int = 10) -> Image.Image:
    """Samples, each above its neighbour, in rows of ``columns`` pairs with grey between the pairs.

    Args:
        samples: Images (n, C, H, W), C 1 or 3, n at least 1.
        neighbours: Images of the same shape; the i-th stands below the i-th sample.
        columns: Pairs in a row.

    Returns:
        A picture of mode L or RGB; small images are enlarged by a whole factor, each pixel to a square.
    """
    n, channels, height, width = samples.shape
    scale = max(1, -(-_CELL // max(height, width)))
    columns = min(columns, n)
    rows = -(-n // columns)
    high, wide = height * scale, width * scale
    cells = np.full((rows * columns, channels, _GAP + 2 * high + _LINE, _GAP + wide), _GREY, np.uint8)
    cells[:n, :, _GAP : _GAP + high, _GAP:] = samples.repeat(scale, axis=2).repeat(scale, axis=3)
    cells[:n, :, -high:, _GAP:] = neighbours.repeat(scale, axis=2).repeat(scale, axis=3)
    grid = cells.reshape(rows, columns, *cells.shape[1:]).transpose(0, 3, 1, 4, 2)
    grid = grid.reshape(rows * cells.shape[2], columns * cells.shape[3], channels)
    grid = np.pad(grid, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=_GREY)
    return Image.fromarray(grid[:, :, 0] if channels == 1 else grid)


def _nearest(queries: Pixels, others: Pixels, *, itself: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest of ``others`` and its distance; without ``itself`` the i-th is no neighbour of the i-th."""
    if len(others) < (1 if itself else 2):
        raise ValueError(f"images: too few to have a neighbour: {len(others)}")
    index = np.zeros(len(queries), np.int64)
    least = np.full(len(queries), np.inf)
    for first, block in _blocks(others):  # outermost: the larger set is read once
        for start, rows in _blocks(queries):
            squared = _squared_distances(rows, block)
            if not itself and start == first:  # the blocks of one set are cut alike
                np.fill_diagonal(squared, np.inf)
            near = squared.argmin(axis=1)
            found = squared[np.arange(len(rows)), near]
            better = np.flatnonzero(found < least[start : start + len(rows)])
            index[start + better] = first + near[better]
            least[start + better] = found[better]
    return index, np.sqrt(least / np.prod(queries.shape[1:])) / 255


def _blocks(images: Pixels) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Images as float64 rows of values: (first, block (rows, C * H * W)), block after block."""
    values = int(np.prod(images.shape[1:]))
    step = min(_BLOCK_ROWS, max(1, _BLOCK_VALUES // values))
    for start in range(0, len(images), step):
        yield start, images[start : start + step].reshape(-1, values).astype(np.float64)


def _squared_distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances (n, m) of rows of whole numbers up to 255.

    Exact: all terms are whole numbers below 2**53, so no order of summation rounds. In float32 this would take half
    the time, and a second look at all that rounding leaves in doubt.
    """
    squared: NDArray[np.float64] = a @ b.T
    squared *= -2
    squared += (a**2).sum(axis=1)[:, None]
    squared += (b**2).sum(axis=1)
    return squared
