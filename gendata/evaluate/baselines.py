"""The simplest models that know the label: what a family of images has to be better than.

Both draw from a Gaussian per class: of every pixel alone, or along the class's principal components. The second gets
mean and covariance right, which is all that a Fréchet distance in pixels would see; it has no idea of an edge.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Images (n, C, H, W), in memory or mapped."""

Sampler = Callable[[Pixels, NDArray[np.int64], NDArray[np.int64], np.random.Generator], Pixels]
"""Called with training images, their classes, the classes (n,) that are wanted, and chance; gives n images."""

COMPONENTS = 50
"""Principal components of a class: of digits they hold nine tenths of the variance."""

_ROWS = 1000
"""Training images of a class that are looked at, the first ones: an eigenproblem of this size takes half a second."""


def gaussians(
    train: Pixels, known: NDArray[np.int64], wanted: NDArray[np.int64], random: np.random.Generator
) -> Pixels:
    """Images of the wanted classes from a Gaussian per class and pixel. See ``Sampler``."""
    made = np.empty((len(wanted), *train.shape[1:]), np.uint8)
    for at, values in _classes(train, known, wanted):
        made[at] = _images(random.normal(values.mean(axis=0), values.std(axis=0), (len(at), values.shape[1])), train)
    return made


def pca_gaussians(
    train: Pixels, known: NDArray[np.int64], wanted: NDArray[np.int64], random: np.random.Generator
) -> Pixels:
    """Images of the wanted classes from a Gaussian in the space of each class's principal components. See ``Sampler``.

    With the centred rows X (n, d) and XXᵀ / (n - 1) = U diag(v) Uᵀ, the component u_j's direction, scaled by its
    deviation, is Xᵀu_j / sqrt(n - 1): no matrix of d x d is made, and nothing is divided by a small v.
    """
    made = np.empty((len(wanted), *train.shape[1:]), np.uint8)
    for at, values in _classes(train, known, wanted):
        mean = values.mean(axis=0)
        centred = (values - mean) / np.sqrt(max(len(values) - 1, 1))
        vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, :COMPONENTS]
        # an eigenvector has no sign of its own: its largest entry is positive, so that libraries agree on the images
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        noise = random.normal(size=(len(at), vectors.shape[1]))
        made[at] = _images(mean + noise @ (vectors.T @ centred), train)
    return made


def _classes(
    train: Pixels, known: NDArray[np.int64], wanted: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Per wanted class: where it is wanted, and training images of it as rows of values (n, C * H * W)."""
    for label in np.unique(wanted):
        rows = train[np.flatnonzero(known == label)[:_ROWS]]
        yield np.flatnonzero(wanted == label), rows.reshape(len(rows), -1).astype(np.float64)


def _images(values: NDArray[np.float64], like: Pixels) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8).reshape(-1, *like.shape[1:])
