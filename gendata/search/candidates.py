"""The items that any ranking found, by number, and what the rankings say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gendata.search.channels import Collected
from gendata.search.directory import Keys
from gendata.search.fusion import Scores, normalise

Numbers = NDArray[np.int64]

NONE = np.nan
"""The score of an item that is not ranked."""

_PART = 32
"""Bits of a passage's number that say which part of the item it is."""


@dataclass(frozen=True)
class Candidates:
    """Items: those of the first store by their keys, then those of the next."""

    keys: Mapping[str, Keys]
    """By store, in the order of the names; ascending."""

    @classmethod
    def of(cls, rankings: Sequence[Collected]) -> "Candidates":
        """All items of which one of the rankings has rows."""
        stores = sorted({store for found in rankings for store in found.rows})
        keys = {store: [found.keys(store) for found in rankings if store in found.rows] for store in stores}
        return cls({store: np.unique(np.concatenate(some)) for store, some in keys.items()})

    def __len__(self) -> int:
        return sum(map(len, self.keys.values()))

    def item(self, number: int) -> tuple[str, int]:
        """The store of an item, and its key."""
        for store, keys in self.keys.items():
            if number < len(keys):
                return store, int(keys[number])
            number -= len(keys)
        raise IndexError(number)

    def first(self, scores: Scores, n: int) -> list[int]:
        """The ``n`` items with the highest scores; of equal ones first the lower key, then the first store."""
        keys = np.concatenate([np.empty(0, np.uint64), *self.keys.values()])
        order: list[int] = np.lexsort((keys, -scores)).tolist()  # NONE comes last
        return order[: min(n, ranked(scores))]

    def scores(self, found: Collected) -> Scores:
        """Of each item the score of its best row."""
        best = np.full(len(self), -np.inf)
        np.maximum.at(best, self._numbers(found), found.scores)
        best[np.isneginf(best)] = NONE
        return best

    def parts(self, *rankings: tuple[Collected, float]) -> Numbers:
        """The best passage of each item by the sum of rankings with these weights, the first of equals; else -1."""
        rows = [self._numbers(found) << _PART | found.parts for found, _ in rankings]
        passages = np.unique(np.concatenate(rows))
        total = np.zeros(len(passages))
        for (found, weight), own in zip(rankings, rows, strict=True):
            scores = np.zeros(len(passages))
            scores[np.searchsorted(passages, own)] = found.scores
            total += weight * normalise(scores)
        numbers = passages >> _PART
        order = np.lexsort((passages, -total, numbers))
        items, first = np.unique(numbers[order], return_index=True)
        best = np.full(len(self), -1)
        best[items] = passages[order][first] & (1 << _PART) - 1
        return best

    def _numbers(self, found: Collected) -> Numbers:
        """The item of each row."""
        numbers, offset = {}, 0
        for store, keys in self.keys.items():
            if store in found.rows:
                numbers[store] = offset + np.searchsorted(keys, found.keys(store))
            offset += len(keys)
        return np.concatenate([np.empty(0, np.int64), *(numbers[store] for store in found.rows)])


def ranked(scores: Scores) -> int:
    """How many items are ranked."""
    return int((~np.isnan(scores)).sum())


def place(scores: Scores, number: int) -> int | None:
    """The place of an item, from 1; of equal scores the lower number comes first. None where it is not ranked."""
    own = scores[number]
    return None if np.isnan(own) else 1 + int((scores > own).sum() + (scores[:number] == own).sum())
