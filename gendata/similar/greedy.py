"""Who would stay: items in visiting order, each compared with those before it that stay, for several thresholds.

An item goes if and only if it reaches the threshold with an item of its own origin that stays. Of a block of items and
those decided before it only the maxima of each row are kept, and pairs of a block alone are listed, so that memory is
bounded however many pairs there are. The items that stay lie in shelves, one for each part of the partition; threads
take the parts side by side, each with BLAS on one thread. Products are exact and maxima have no order: the result is
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
from gendata.similar.vectors import Floats, Vectors, blocks, compare

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


class _Shelf:
    """The items of a part that stay at some threshold, in visiting order, in lots of some CHUNK vectors."""

    def __init__(self) -> None:
        self.lots: list[Ints] = []
        self._room = 0

    def put(self, items: Ints, size: int) -> None:
        """Add items that have ``size`` vectors together."""
        if size <= self._room:
            self.lots[-1] = np.concatenate((self.lots[-1], items))
            self._room -= size
        else:
            self.lots.append(items)
            self._room = CHUNK - size


class _Task(NamedTuple):
    """Items of a block, the shelf of a part that they probe, and the items of the block that lie in that part."""

    items: Ints
    shelf: _Shelf
    beside: Ints


class _Seen(NamedTuple):
    """What the items of a task met: gone (levels, items), match and score (sides, items); and pairs in the block."""

    gone: npt.NDArray[np.bool_]
    match: Ints
    score: Floats
    pairs: tuple[Ints, Ints, Floats]


class _Judge:
    """The decisions on all items before a block."""

    def __init__(
        self,
        vectors: Vectors,
        order: Ints,
        origins: npt.NDArray[np.int8],
        levels: tuple[float, ...],
        threshold: float,
    ) -> None:
        self.vectors, self.order, self.origins = vectors, order, origins
        self.levels = np.array(levels, np.float32)
        self.at = int(np.searchsorted(self.levels, np.float32(threshold)))
        self.stays = np.ones((len(levels), len(origins)), bool)
        self.match, self.score = np.full((2, len(origins)), -1), np.zeros((2, len(origins)), np.float32)

    def see(self, task: _Task) -> _Seen:
        """Compare the items of a task; changes nothing."""
        asked, count = self.vectors.take(self.order[task.items]), len(task.items)
        gone = np.zeros((len(self.levels), count), bool)
        match, score = np.full((2, count), -1), np.zeros((2, count), np.float32)
        for others in task.shelf.lots:
            scores = compare(asked, self.vectors.take(self.order[others]))
            own = self.origins[others] == self.origins[task.items[0]]
            meet(scores, others, own, self.stays, self.levels, self.at, (gone, match, score))
        pairs = task.items[:0], task.items[:0], score[OWN, :0]
        if len(task.beside):
            scores = compare(asked, self.vectors.take(self.order[task.beside]))
            one, two = np.nonzero((scores >= self.levels[0]) & (task.beside < task.items[:, None]))
            pairs = task.items[one], task.beside[two], scores[one, two]
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
        items, others, scores = (np.concatenate(column) for column in zip(*(one.pairs for one in seen), strict=True))
        turn = np.lexsort((others, items))
        pairs = items[turn], others[turn], scores[turn]
        settle(pairs, self.stays, self.levels, self.at, self.match[OWN], self.score[OWN])


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
    state = _Judge(vectors, order, origins, levels, threshold)
    shelves = [_Shelf() for _ in range(parts.parts)]
    cuts = (np.flatnonzero(np.diff(origins)) + 1).tolist()
    with threadpool_limits(1, "blas"):
        for start, stop in blocks(vectors, order, BLOCK, cuts):
            state.judge(list(_tasks(parts, start, stop, shelves)), workers)
            stay = start + np.flatnonzero(state.stays[:, start:stop].any(axis=0))
            for part, some in _by_part(parts.home[stay][:, None]):
                shelves[part].put(stay[some], vectors.size(order[stay[some]]))
    going = {level: int((~stays).sum()) for level, stays in zip(levels, state.stays, strict=True)}
    return Found(state.match[OWN], state.score[OWN], state.match[OTHER], state.score[OTHER], going)


def _tasks(parts: Partition, start: int, stop: int, shelves: list[_Shelf]) -> Iterator[_Task]:
    """All comparisons of a block."""
    at_home = dict(_by_part(parts.home[start:stop][:, None]))
    nobody = np.empty(0, np.int64)
    for part, some in _by_part(parts.probes[start:stop]):
        for at in range(0, len(some), ROWS):
            yield _Task(start + some[at : at + ROWS], shelves[part], start + at_home.get(part, nobody))


def _by_part(parts: npt.NDArray[np.int32]) -> list[tuple[int, Ints]]:
    """The parts that rows (items, n) name, and the rows that name each."""
    rows = np.repeat(np.arange(len(parts)), parts.shape[1])
    flat = parts.ravel()
    by_part = np.argsort(flat, kind="stable")
    some, starts = np.unique(flat[by_part], return_index=True)
    return list(zip(some.tolist(), np.split(rows[by_part], starts[1:]), strict=True)) if flat.size else []
