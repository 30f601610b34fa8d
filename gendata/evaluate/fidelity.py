"""How close two sets of images are, by their features: the Fréchet distance, precision and recall.

All three are in units of the features that they are given, and all three are biased by the number of rows:
compare only values of equal numbers, and with the value of real against other real images.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]
"""One row per image (n, d)."""

_BLOCK = 1 << 22
"""Distances held at once (32 MB)."""

_ROUNDING = 1e-13
"""Squared distances below this share of the squared norms are what rounding left of equal points."""


def frechet_distance(a: Features, b: Features) -> float:
    """The Fréchet distance d² of the Gaussians with the means and covariances of two sets.

    |mean_a - mean_b|² + tr(A) + tr(B) - 2 tr((AB)^½), in squared units of the features; with the features of
    Inception this is the FID: Heusel et al. 2017, "GANs Trained by a Two Time-Scale Update Rule Converge to a
    Local Nash Equilibrium". 0 for equal sets. It falls with the number of rows.

    Args:
        a: Features (n, d); n may be smaller than d.
        b: Features (m, d).

    Raises:
        ValueError: a set has fewer than two rows, so no covariance.
    """
    mean_a, root_a = _moments(a)
    mean_b, root_b = _moments(b)
    # A = RᵀR and B = SᵀS: then tr((AB)^½) is the sum of the singular values of RSᵀ, and no matrix root,
    # which is ill-conditioned for covariances of low rank, has to be taken
    cross = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    distance = ((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * cross
    return max(0.0, float(distance))


def precision_recall(real: Features, fake: Features, k: int = 3) -> tuple[float, float]:
    """The share of fakes that look real, and the share of the real that the fakes reach, each 0 to 1.

    Kynkäänniemi et al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models": a set
    covers every point that is no further from one of its rows than that row is from its k-th nearest neighbour.

    Args:
        real: Features (n, d).
        fake: Features (m, d).
        k: Which neighbour bounds the ball around a row; the paper's 3.

    Raises:
        ValueError: a set has no k-th neighbour, which takes k + 1 rows.
    """
    for features in (real, fake):
        if len(features) <= k:
            raise ValueError(f"features: more than k = {k} rows, not {len(features)}")
    return _covered(fake, real, k), _covered(real, fake, k)


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (d,), and an R (min(n, d), d) such that RᵀR is the covariance."""
    if len(features) < 2:
        raise ValueError(f"features: at least 2 rows, not {len(features)}")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    return mean, np.linalg.qr((values - mean) / np.sqrt(len(values) - 1)).R


def _covered(points: Features, manifold: Features, k: int) -> float:
    """The share of points that are in one of the balls around the rows of the manifold."""
    radii = np.empty(len(manifold))
    for start, squared in _squared_distances(manifold, manifold):
        rows = np.arange(len(squared))
        squared[rows, start + rows] = np.inf  # a row is no neighbour of itself
        radii[start : start + len(squared)] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    inside = sum(int((squared <= radii).any(axis=1).sum()) for _, squared in _squared_distances(points, manifold))
    return inside / len(points)


def _squared_distances(a: Features, b: Features) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Squared distances of the rows of ``a`` to all of ``b``: (first row, block (rows, m)), block after block."""
    centre = b.mean(axis=0, dtype=np.float64)  # small norms lose fewer digits to the subtraction below
    other = b - centre
    other_norms = (other**2).sum(axis=1)
    step = max(1, _BLOCK // len(b))
    for start in range(0, len(a), step):
        rows = a[start : start + step] - centre
        norms = (rows**2).sum(axis=1)[:, None] + other_norms
        squared = norms - 2 * rows @ other.T
        yield start, np.where(squared > _ROUNDING * norms, squared, 0.0)
