"""How close two sets of images are, by their features: distances of distributions, and neighbourhoods of points.

All are in units of the features that they are given, and all but the kernel distance are biased by the number of
rows: compare only values of equal numbers, and with the value of real against other real images.
"""

from collections.abc import Iterator
from typing import NamedTuple

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


def kernel_distance(
    a: Features, b: Features, subsets: int = 50, size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The kernel distance (KID) of two sets: mean and standard deviation over random subsets.

    Bińkowski et al. 2018, "Demystifying MMD GANs": the squared maximum mean discrepancy in the kernel (xy / d + 1)³, by
    the estimator without bias, which is why it may be below 0. Unlike the Fréchet distance it does not fall with the
    number of rows, and it sees more than means and covariances.

    Args:
        a: Features (n, d).
        b: Features (m, d).
        subsets: How many pairs of subsets.
        size: Rows of a subset; at most half of the smaller set, so that the subsets differ.
        seed: Of the choice of rows.

    Raises:
        ValueError: a set has fewer than four rows, so no two subsets of two.
    """
    size = min(size, len(a) // 2, len(b) // 2)
    if size < 2:
        raise ValueError(f"features: at least 4 rows, not {min(len(a), len(b))}")
    random = np.random.default_rng(seed)

    def some(features: Features) -> NDArray[np.float64]:
        return features[np.sort(random.choice(len(features), size, replace=False))].astype(np.float64)

    found = [_squared_mmd(some(a), some(b)) for _ in range(subsets)]
    return float(np.mean(found)), float(np.std(found))


class Neighbourhoods(NamedTuple):
    """Shares of points in each other's neighbourhoods, 0 to 1; density may be above 1."""

    precision: float
    """Of fakes that are in the ball of a real row: what looks real."""
    recall: float
    """Of real rows that are in the ball of a fake: what is reached."""
    density: float
    """Real balls that a fake is in, in the mean, divided by ``k``: precision that one outlier does not raise."""
    coverage: float
    """Of real rows whose ball holds a fake: recall that needs no neighbourhoods of fakes."""


def neighbourhoods(real: Features, fake: Features, k: int = 3) -> Neighbourhoods:
    """Precision, recall, density and coverage.

    A row's ball reaches to its k-th nearest neighbour in its own set. Precision and recall are those of Kynkäänniemi et
    al. 2019, "Improved Precision and Recall Metric for Assessing Generative Models"; density and coverage those of
    Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for Generative Models".

    Args:
        real: Features (n, d).
        fake: Features (m, d).
        k: Which neighbour bounds the ball around a row; 3 in the first paper, 5 in the second.

    Raises:
        ValueError: a set has no k-th neighbour, which takes k + 1 rows.
    """
    for features in (real, fake):
        if len(features) <= k:
            raise ValueError(f"features: more than k = {k} rows, not {len(features)}")
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    balls, reached = np.zeros(len(fake), np.int64), np.zeros(len(real), bool)
    for start, squared in _squared_distances(fake, real):
        inside = squared <= real_radii
        balls[start : start + len(squared)] = inside.sum(axis=1)
        reached |= inside.any(axis=0)
    recalled = [(squared <= fake_radii).any(axis=1) for _, squared in _squared_distances(real, fake)]
    return Neighbourhoods(
        precision=float(np.mean(balls > 0)),
        recall=float(np.mean(np.concatenate(recalled))),
        density=float(np.mean(balls) / k),
        coverage=float(np.mean(reached)),
    )


def _moments(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean (d,), and an R (min(n, d), d) such that RᵀR is the covariance."""
    if len(features) < 2:
        raise ValueError(f"features: at least 2 rows, not {len(features)}")
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    return mean, np.linalg.qr((values - mean) / np.sqrt(len(values) - 1)).R


def _squared_mmd(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The estimate without bias of two sets of equally many rows (m, d): no row is compared with itself."""
    m, d = a.shape
    within = 0.0
    for rows in (a, b):
        kernel = (rows @ rows.T / d + 1) ** 3
        within += (kernel.sum() - np.trace(kernel)) / (m * (m - 1))
    return float(within - 2 * ((a @ b.T / d + 1) ** 3).mean())


def _squared_radii(features: Features, k: int) -> NDArray[np.float64]:
    """The squared distance (n,) of each row to its k-th nearest neighbour."""
    radii = np.empty(len(features))
    for start, squared in _squared_distances(features, features):
        rows = np.arange(len(squared))
        squared[rows, start + rows] = np.inf  # a row is no neighbour of itself
        radii[start : start + len(squared)] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return radii


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
