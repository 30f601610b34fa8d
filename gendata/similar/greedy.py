"""Who would stay: items in visiting order, each compared with those before it that stay, for several thresholds.

An item goes if and only if it reaches the threshold with an item of its own origin that stays. No pair is stored: of a
block of items and those before it only the maxima of each row are kept, so that memory is bounded however many pairs
there are. The items that stay lie in shelves, one for each part of the partition.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gendata.keep import Ints
from gendata.similar.partition import Partition
from gendata.similar.vectors import Floats, Vectors, blocks, compare

BLOCK, CHUNK = 1024, 4096
"""Vectors of the items that are judged at a time, and of those that they are compared with at a time."""


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


class _Judge:
    """The maxima of the items of one block, and the decisions on all before."""

    def __init__(self, origins: npt.NDArray[np.int8], threshold: float, levels: tuple[float, ...]) -> None:
        self.levels = np.array(sorted({*levels, threshold}), np.float32)
        self.at = int(np.searchsorted(self.levels, np.float32(threshold)))
        self.origins = origins
        self.stays = np.ones((len(self.levels), len(origins)), bool)
        self.match, self.rival = np.full(len(origins), -1), np.full(len(origins), -1)
        self.score, self.rival_score = np.zeros((2, len(origins)), np.float32)

    def met(self, items: Ints, others: Ints, scores: Floats) -> None:
        """Items of one origin were compared with ``others``, which are decided: (items, others)."""
        top = scores.max(axis=1)
        own = self.origins[others] == self.origins[items[0]]
        for level, least in enumerate(self.levels):
            rows = np.flatnonzero((top >= least) & (self.stays[level, items] | (level == self.at)))
            there = np.flatnonzero(self.stays[level, others] & own) if rows.size else rows
            if there.size:
                near = scores[np.ix_(rows, there)]
                self.stays[level, items[rows]] &= near.max(axis=1) < least
                if level == self.at:
                    _better(self.match, self.score, items[rows], others[there], near, least)
        rows = np.flatnonzero(top >= self.levels[self.at])
        there = np.flatnonzero(self.stays[self.at, others] & ~own) if rows.size else rows
        if there.size:
            near = scores[np.ix_(rows, there)]
            _better(self.rival, self.rival_score, items[rows], others[there], near, self.levels[self.at])


def _better(match: Ints, score: Floats, items: Ints, others: Ints, near: Floats, least: np.float32) -> None:
    """Keep the best of ``near`` (items, others) that reaches ``least``: the first in visiting order of equals."""
    best = near.argmax(axis=1)
    top = near[np.arange(len(items)), best]
    new = (top >= least) & ((top > score[items]) | ((top == score[items]) & (others[best] < match[items])))
    match[items[new]], score[items[new]] = others[best[new]], top[new]


def judge(
    vectors: Vectors,
    order: Ints,
    origins: npt.NDArray[np.int8],
    parts: Partition,
    threshold: float,
    levels: tuple[float, ...] = (),
) -> Found:
    """Decide on items at a threshold, and count how many would go at others.

    Args:
        vectors: of the items, by number.
        order: the items in visiting order, those of one origin together.
        origins: rank of the origin of each, in that order.
        parts: which are compared, in that order.
        threshold: similarity from which an item goes.
        levels: the other thresholds.
    """
    state = _Judge(origins, threshold, levels)
    shelves = [_Shelf() for _ in range(parts.parts)]
    cuts = (np.flatnonzero(np.diff(origins)) + 1).tolist()
    for start, stop in blocks(vectors, order, BLOCK, cuts):
        here, block = np.arange(start, stop), vectors.take(order[start:stop])
        for part, some in _by_part(parts.probes[start:stop]):
            asked = block if len(some) == len(here) else vectors.take(order[here[some]])
            for others in shelves[part].lots:
                state.met(here[some], others, compare(asked, vectors.take(order[others])))
        _among(state, here, compare(block, block))
        stay = np.flatnonzero(state.stays[:, start:stop].any(axis=0))
        for part, some in _by_part(parts.home[start:stop][stay][:, None]):
            kept = here[stay[some]]
            shelves[part].put(kept, vectors.size(order[kept]))
    going = {float(level): int((~state.stays[i]).sum()) for i, level in enumerate(sorted({*levels, threshold}))}
    return Found(state.match, state.score, state.rival, state.rival_score, going)


def _by_part(parts: npt.NDArray[np.int32]) -> list[tuple[int, Ints]]:
    """The parts that rows (items, n) name, and the rows that name each."""
    rows = np.repeat(np.arange(len(parts)), parts.shape[1])
    flat = parts.ravel()
    by_part = np.argsort(flat, kind="stable")
    some, starts = np.unique(flat[by_part], return_index=True)
    return list(zip(some.tolist(), np.split(rows[by_part], starts[1:]), strict=True)) if flat.size else []


def _among(state: _Judge, here: Ints, scores: Floats) -> None:
    """The items of a block among themselves, one after the other."""
    scores = np.tril(scores, -1)
    for row in np.flatnonzero(scores.max(axis=1) >= state.levels[0]).tolist():
        state.met(here[row : row + 1], here[:row], scores[row : row + 1, :row])
