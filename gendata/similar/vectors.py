"""What is compared: the vectors of each item, rounded so that their products are exact, in a file.

Components are rounded to multiples of ``STEP`` = 2**-11. A product of two is then a multiple of 2**-22 and a sum of
products of unit vectors stays below 2: float32 holds every partial sum exactly. So a cosine is the same to the last bit
whatever the order of summation, the shape of a matrix product, the BLAS library and its threads, and decisions at a
threshold depend on the vectors alone. Rounding moves a cosine of 384 components by some 0.0002.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gendata.keep import Ints
from gendata.ranges import spread

Floats = npt.NDArray[np.float32]

STEP = 2.0**-11
"""What components are multiples of."""

_CHUNK = 4096
"""Items that are copied at a time."""

MOST_PARTS = 256
"""Vectors of an item at most: of more passages, runs of neighbours are averaged. Bounds what one pair costs."""


class Block(NamedTuple):
    """Some items: vectors (parts, d) in units of STEP, where each item's begin (items,), weights (parts,)."""

    vectors: Floats
    starts: Ints
    weights: npt.NDArray[np.float64]

    @property
    def single(self) -> bool:
        """Whether every item has one vector."""
        return len(self.starts) == len(self.vectors)


@dataclass(frozen=True, slots=True)
class Vectors:
    """The vectors of some items, in the order given: ``parts`` (parts, d) as multiples of STEP, a mapped file.

    Item i has the parts ``bounds[i]`` to ``bounds[i + 1]``. Other files go into ``folder``, if it is known.
    """

    parts: npt.NDArray[np.int16]
    bounds: Ints
    weights: Ints
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def size(self, items: Ints) -> int:
        """How many vectors these items have together."""
        return int((self.bounds[items + 1] - self.bounds[items]).sum())

    def take(self, items: Ints) -> Block:
        """The vectors of these items."""
        some = self.picked(items)
        return some.span(0, len(some))

    def span(self, start: int, stop: int) -> Block:
        """The vectors of the items from ``start`` to ``stop``, which are beside each other."""
        bounds = self.bounds[start : stop + 1]
        parts = slice(bounds[0], bounds[-1])
        return Block(self.parts[parts].astype(np.float32), bounds[:-1] - bounds[0], self.weights[parts].astype(float))

    def picked(self, items: Ints) -> "Vectors":
        """These items alone, in this order, in memory."""
        low, high = self.bounds[items], self.bounds[items + 1]
        _, rows = spread(low, high)
        bounds = np.concatenate(([0], np.cumsum(high - low)))
        return Vectors(self.parts[rows], bounds, self.weights[rows], self.folder)

    def arranged(self, items: Ints) -> "Vectors":
        """These items in this order, in a file that is gone with them: what is read together lies together."""
        counts = self.bounds[items + 1] - self.bounds[items]
        weights = [np.empty(0, np.int64)]
        with tempfile.TemporaryFile(dir=self.folder) as file:
            for start in range(0, len(items), _CHUNK):
                some = self.picked(items[start : start + _CHUNK])
                some.parts.tofile(file)
                weights.append(some.weights)
            file.flush()
            parts = _mapped(file, int(counts.sum()), self.parts.shape[1])
        return Vectors(parts, np.concatenate(([0], np.cumsum(counts))), np.concatenate(weights), self.folder)

    def directions(self, items: Ints) -> Floats:
        """The mean direction of each of these items, shape (items, d), rounded like a vector, in units of STEP."""
        block = self.take(items)
        if block.single:
            return block.vectors
        means = np.add.reduceat(block.vectors * block.weights[:, None], block.starts, axis=0)
        return rounded(means).astype(np.float32)


class VectorsWriter:
    """Writes the vectors of items, one item after the other, into a new file, which ``vectors`` maps."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts = [np.empty(0, np.int64)]
        self._weights = [np.empty(0, np.int64)]
        self.dim = 0

    def add(self, vectors: npt.NDArray[np.floating], counts: Ints, weights: Ints) -> None:
        """Some items: their vectors (parts, d), how many each has, what each part counts (its length, at least 1)."""
        self.dim = vectors.shape[1]
        if counts.max(initial=0) > MOST_PARTS:
            vectors, counts, weights = _fewer(vectors, counts, weights)
        with self._path.open("ab") as file:
            rounded(vectors).tofile(file)
        self._counts.append(counts)
        self._weights.append(weights)

    def vectors(self) -> Vectors:
        """All that was added."""
        bounds = np.concatenate(([0], np.cumsum(np.concatenate(self._counts))))
        parts = _mapped(self._path, int(bounds[-1]), self.dim)
        return Vectors(parts, bounds, np.concatenate(self._weights), self._path.parent)


def _mapped(file: Any, rows: int, dim: int) -> npt.NDArray[np.int16]:
    """A matrix in a file; as a plain array, whose parts are quicker to take than those of numpy's memmap."""
    if not rows:  # an empty file cannot be mapped
        return np.empty((0, max(dim, 1)), np.int16)
    return np.asarray(np.memmap(file, np.int16, "r", shape=(rows, dim)))


def _fewer(
    vectors: npt.NDArray[np.floating], counts: Ints, weights: Ints
) -> tuple[npt.NDArray[np.floating], Ints, Ints]:
    """The same with MOST_PARTS vectors for an item that has more: means of runs of them, weighted."""
    firsts = [
        start + (np.arange(count) if count <= MOST_PARTS else np.arange(MOST_PARTS) * count // MOST_PARTS)
        for start, count in zip((np.cumsum(counts) - counts).tolist(), counts.tolist(), strict=True)
    ]
    cuts = np.concatenate(firsts)
    sums = np.add.reduceat(vectors * weights[:, None].astype(np.float64), cuts, axis=0)
    return sums, np.minimum(counts, MOST_PARTS), np.add.reduceat(weights, cuts)


def rounded(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    """Vectors (n, d), of whatever length, as unit vectors in multiples of STEP; zero stays zero."""
    exact = np.asarray(vectors, np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", exact, exact))
    lengths = np.maximum(lengths, np.finfo(np.float64).tiny)
    steps: npt.NDArray[np.int16] = np.rint(exact / (STEP * lengths[:, None])).astype(np.int16)
    return steps


def usable(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which of the vectors (n, d) have a direction: finite, and not zero."""
    lengths = np.linalg.norm(np.asarray(vectors, np.float64), axis=1)
    return np.asarray(np.isfinite(lengths) & (lengths > 1e-6))


def compare(some: Block, others: Block) -> Floats:
    """Similarity of every item of one block to every item of another, shape (items, items).

    Of items with one vector each, the cosine. A text of several passages is in another as far as each of its passages
    has a counterpart there: the mean over its passages, weighted by their length, of the best cosine among the other's.
    The similarity is the lesser of both directions, so that a text is not similar to one that contains it and says
    much else. A mean of the passages' vectors would not do: averages of different texts on one subject are alike.
    """
    cosines = (some.vectors * np.float32(STEP**2)) @ others.vectors.T
    if some.single and others.single:
        return np.asarray(cosines)
    there = _mean(np.maximum.reduceat(cosines, others.starts, axis=1), some)
    back = _mean(np.maximum.reduceat(cosines, some.starts, axis=0).T, others).T
    return np.asarray(np.minimum(there, back), np.float32)


def _mean(best: Floats, block: Block) -> npt.NDArray[np.float64]:
    """The weighted mean of rows (parts, n) over the parts of each item: (items, n)."""
    sums = np.add.reduceat(best * block.weights[:, None], block.starts, axis=0)
    return np.asarray(sums / np.add.reduceat(block.weights, block.starts)[:, None])


def blocks(vectors: Vectors, order: Ints, most: int, cuts: Sequence[int] = ()) -> Iterable[tuple[int, int]]:
    """Spans of ``order`` with at most ``most`` parts each (or one item), that do not reach over a cut."""
    counts = (vectors.bounds[order + 1] - vectors.bounds[order]).tolist()
    start = size = 0
    ends = set(cuts)
    for at, count in enumerate(counts):
        if at > start and (size + count > most or at in ends):
            yield start, at
            start, size = at, 0
        size += count
    if counts:
        yield start, len(counts)
