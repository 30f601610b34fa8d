"""Who would stay: items in visiting order, each compared with those before it that stay, for several thresholds.

An item goes if and only if it reaches the threshold with an item of its own origin that stays. Of a block of items and
those decided before it only the maxima of each row are kept, and pairs of a block alone are listed, so that memory is
bounded however many pairs there are. All items lie in shelves, one for each part of the partition; threads take the
parts side by side, each with BLAS on one thread. Products are exact and maxima have no order: the result is
the same for any number of threads.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from gendata import engine
from gendata.keep import Ints
from gendata.similar.kernels import OTHER, OWN, meet, settle
from gendata.similar.partition import Partition
from gendata.similar.vectors import Block, Floats, Vectors, blocks, compare

BLOCK, CHUNK = 4096, 4096
"""Vectors of the items that are judged at a time, and of those that they are compared with at a time."""

ROWS = 1024
"""Items of a block that are compared at a time."""


@dataclass(frozen=True, slots=True)
class Found:
    """Per item in visiting order.

    ``match`` is the item (its place in the order) that stays for it at the threshold, -1 if it stays itself; ``score``
    the similarity to it. ``rival`` is the best match of another origin that stays, -1 if none, and its score.
    ``going`` is how many items go at each of the thresholds that were asked for.
    """

    match: Ints
    score: Floats
    rival: Ints
    rival_score: Floats
    going: dict[float, int]


class _Shelves:
    """All items by the part in which they lie, in visiting order within each; what is read together lies together."""

    def __init__(self, vectors: Vectors, order: Ints, home: npt.NDArray[np.int32]) -> None:
        self.items = np.argsort(home, kind="stable")
        self._vectors = vectors.arranged(order[self.items])
        self._starts = np.searchsorted(home[self.items], np.arange(int(home.max(initial=-1)) + 2))

    def lots(self, part: int, stop: int) -> Iterator[tuple[Ints, Block]]:
        """The items of a part that come before ``stop``, with their vectors, some CHUNK of these at a time."""
        at, last = int(self._starts[part]), int(self._starts[part + 1])
        end, bounds = at + int(np.searchsorted(self.items[at:last], stop)), self._vectors.bounds
        while at < end:
            full = int(np.searchsorted(bounds, bounds[at] + CHUNK, "right")) - 1
            after = min(max(full, at + 1), end)
            yield self.items[at:after], self._vectors.span(at, after)
            at = after


class _Task(NamedTuple):
    """Items of a block, in visiting order, their vectors, and a part that they probe."""

    items: Ints
    part: int
    block: Vectors
    start: int
    stop: int


class _Seen(NamedTuple):
    """What the items of a task met: gone (levels, items), match and score (sides, items); and pairs in the block."""

    gone: npt.NDArray[np.bool_]
    match: Ints
    score: Floats
    pairs: list[tuple[Ints, Ints, Floats]]


class _Judge:
    """The decisions on all items before a block."""

    def __init__(
        self, shelves: _Shelves, origins: npt.NDArray[np.int8], levels: tuple[float, ...], threshold: float
    ) -> None:
        self.shelves, self.origins = shelves, origins
        self.levels = np.array(levels, np.float32)
        self.at = int(np.searchsorted(self.levels, np.float32(threshold)))
        self.stays = np.ones((len(levels), len(origins)), bool)
        self.match, self.score = np.full((2, len(origins)), -1), np.zeros((2, len(origins)), np.float32)

    def see(self, task: _Task) -> _Seen:
        """Compare the items of a task; changes nothing."""
        asked, count = task.block.take(task.items - task.start), len(task.items)
        gone = np.zeros((len(self.levels), count), bool)
        match, score = np.full((2, count), -1), np.zeros((2, count), np.float32)
        pairs = [(task.items[:0], task.items[:0], score[OWN, :0])]
        for others, vectors in self.shelves.lots(task.part, task.stop):
            scores = compare(asked, vectors)
            decided = int(np.searchsorted(others, task.start))
            own = self.origins[others[:decided]] == self.origins[task.start]
            meet(scores, others[:decided], own, self.stays, self.levels, self.at, (gone, match, score))
            beside = others[decided:]
            if len(beside):
                near = scores[:, decided:]
                one, two = np.nonzero((near >= self.levels[0]) & (beside < task.items[:, None]))
                pairs.append((task.items[one], beside[two], near[one, two]))
        return _Seen(gone, match, score, pairs)

    def merge(self, items: Ints, seen: _Seen) -> None:
        """Keep the best: the first in visiting order of equals."""
        self.stays[:, items] &= ~seen.gone
        for side in (OWN, OTHER):
            match, score = self.match[side], self.score[side]
            new = (seen.match[side] >= 0) & (
                (seen.score[side] > score[items])
                | (seen.score[side] == score[items]) & (seen.match[side] < match[items])
            )
            match[items[new]], score[items[new]] = seen.match[side][new], seen.score[side][new]

    def judge(self, tasks: list[_Task], workers: int) -> None:
        """Decide on the items of a block."""
        seen = list(engine.imap_threads(self.see, tasks, workers))
        for task, one in zip(tasks, seen, strict=True):
            self.merge(task.items, one)
        pairs = zip(*(some for one in seen for some in one.pairs), strict=True)
        items, others, scores = (np.concatenate(column) for column in pairs)
        turn = np.lexsort((others, items))
        settle(
            (items[turn], others[turn], scores[turn]),
            self.stays,
            self.levels,
            self.at,
            self.match[OWN],
            self.score[OWN],
        )


def judge(
    vectors: Vectors,
    order: Ints,
    origins: npt.NDArray[np.int8],
    parts: Partition,
    threshold: float,
    levels: tuple[float, ...] = (),
    workers: int = 0,
) -> Found:
    """Decide on items at a threshold, and count how many would go at others.

    Args:
        vectors: of the items, by number.
        order: the items in visiting order, those of one origin together.
        origins: rank of the origin of each, in that order.
        parts: which are compared, in that order.
        threshold: similarity from which an item goes.
        levels: the other thresholds.
        workers: threads; 0 means every core.
    """
    levels = tuple(sorted({*levels, threshold}))
    state = _Judge(_Shelves(vectors, order, parts.home), origins, levels, threshold)
    cuts = (np.flatnonzero(np.diff(origins)) + 1).tolist()
    with threadpool_limits(1, "blas"):
        for start, stop in blocks(vectors, order, BLOCK, cuts):
            block = vectors.picked(order[start:stop])
            by_part = _by_part(parts.probes[start:stop])
            tasks = [
                _Task(start + some[at : at + ROWS], part, block, start, stop)
                for part, some in by_part
                for at in range(0, len(some), ROWS)
            ]
            state.judge(tasks, workers)
    going = {level: int((~stays).sum()) for level, stays in zip(levels, state.stays, strict=True)}
    return Found(state.match[OWN], state.score[OWN], state.match[OTHER], state.score[OTHER], going)


def _by_part(parts: npt.NDArray[np.int32]) -> list[tuple[int, Ints]]:
    """The parts that rows (items, n) name, and the rows that name each."""
    rows = np.repeat(np.arange(len(parts)), parts.shape[1])
    flat = parts.ravel()
    by_part = np.argsort(flat, kind="stable")
    some, starts = np.unique(flat[by_part], return_index=True)
    return list(zip(some.tolist(), np.split(rows[by_part], starts[1:]), strict=True)) if flat.size else []
