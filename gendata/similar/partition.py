"""Which items are compared: all with all, or, of many, those that lie in the same parts of the space.

A partition by spherical k-means, as SemDeDup uses it (Abbas et al. 2023, arXiv 2303.09540). There a pair is found if
both items have the same nearest centroid; here an item is compared with those of its ``PROBES`` nearest centroids, as
inverted files do (Jégou et al. 2011), since a pair often lies on both sides of a border. Deterministic: the start is an
even sample of the items in the order of the keep policy, and centroids are rounded as vectors are.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from gendata import engine
from gendata.keep import Ints
from gendata.similar.vectors import Floats, Vectors, rounded

EXACT = 20_000
"""Vectors up to which all items are compared with all."""

LIST = 400
"""Vectors that a part holds on average."""

_FEWEST = 8
"""Items that a part holds on average at least."""

PROBES = 7
"""Parts that an item is compared with: then 99.4 % of the pairs at 0.8 and 99.98 % at 0.9 meet, in 100,000 mixtures of
real vectors (``python -m benchmarks.similar``)."""

_SAMPLE, _ROUNDS, _CHUNK = 40, 6, 2048


class Partition(NamedTuple):
    """Of items in visiting order: the part of each, and the parts that it is compared with (items, probes)."""

    home: npt.NDArray[np.int32]
    probes: npt.NDArray[np.int32]

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return int(self.home.max(initial=-1)) + 1


def partition(vectors: Vectors, order: Ints, exact: int = EXACT, workers: int = 0) -> Partition:
    """Parts of the items ``order``; one part if they have no more than ``exact`` vectors.

    ``workers`` are threads, 0 means every core; BLAS takes one for each.
    """
    size = vectors.size(order)
    if size <= exact or len(order) < 2 * _FEWEST:
        return Partition(np.zeros(len(order), np.int32), np.zeros((len(order), 1), np.int32))
    parts = min(math.ceil(size / LIST), len(order) // _FEWEST)
    count = min(PROBES, parts)
    with threadpool_limits(1, "blas"):
        centroids = _centroids(vectors, order, parts, workers)

        def probed(start: int) -> npt.NDArray[np.int32]:
            return _nearest(vectors.directions(order[start : start + _CHUNK]) @ centroids.T, count)

        probes = np.concatenate(list(engine.imap_threads(probed, range(0, len(order), _CHUNK), workers)))
    return Partition(probes[:, 0].copy(), probes)


def _centroids(vectors: Vectors, order: Ints, parts: int, workers: int) -> Floats:
    """Spherical k-means on an even sample of the items: (parts, d)."""
    size = min(len(order), parts * _SAMPLE)
    sample = vectors.directions(order[np.arange(size) * len(order) // size])
    centroids = sample[np.arange(parts) * size // parts]
    for _ in range(_ROUNDS):

        def nearest(start: int, centroids: Floats = centroids) -> Ints:
            found: Ints = np.argmax(sample[start : start + _CHUNK] @ centroids.T, axis=1)
            return found

        homes = np.concatenate(list(engine.imap_threads(nearest, range(0, size, _CHUNK), workers)))
        by_part = np.argsort(homes, kind="stable")
        some, starts = np.unique(homes[by_part], return_index=True)
        sums = np.add.reduceat(sample[by_part].astype(np.float64), starts, axis=0)  # exact: of whole numbers
        centroids = centroids.copy()
        centroids[some] = rounded(sums)
    return centroids


def _nearest(near: Floats, count: int) -> npt.NDArray[np.int32]:
    """The columns of the highest values of each row, the highest first, of equals the first."""
    found = np.sort(np.argpartition(-near, count - 1, axis=1)[:, :count], axis=1)
    ranked = np.argsort(-np.take_along_axis(near, found, axis=1), axis=1, kind="stable")
    return np.take_along_axis(found, ranked, axis=1).astype(np.int32)
