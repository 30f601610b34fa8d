"""The best rows of one ranking: exact at the cut (ties included) and exact under any filter."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gendata.search.directory import Directory, Keys, Places, keys_of


class Rows(NamedTuple):
    """Rows of a table and their scores, in any order."""

    places: Places
    scores: NDArray[np.float64]

    @classmethod
    def joined(cls, several: "Iterable[Rows]") -> "Rows":
        """The rows of at least one, one after the other."""
        places, scores = zip(*several, strict=True)
        return cls(np.concatenate(places), np.concatenate(scores))

    def only(self, taken: NDArray[np.bool_]) -> "Rows":
        """Those that are taken."""
        return Rows(self.places[taken], self.scores[taken])


class Ranking(Protocol):
    """A way to rank the rows of a table."""

    @property
    def directory(self) -> Directory:
        """Of the table."""
        ...

    @property
    def reach(self) -> int:
        """So many rows cost little more than few."""
        ...

    def best(self, where: str | None, limit: int) -> Rows:
        """The ``limit`` best rows under a filter in the SQL of Lance."""
        ...

    def scores(self, places: Places) -> Rows:
        """Those of these rows that are ranked at all."""
        ...


_SLACK = 10
"""Rows that are fetched beyond the cut: ties there seldom take another round."""

PUSHED_IDS = 10_000
"""Most ids that are pushed into a filter as ``id IN (...)``: measured 0.1-0.2 s over 100,000 rows. A larger
set is applied to the ranked rows instead, which is as exact and needs no long expression."""


@dataclass(frozen=True)
class Filter:
    """Which rows take part: a condition over Lance columns, a set of ids (None: all), and ids that do not (None)."""

    columns: str | None = None
    ids: pa.Array | None = None
    without: pa.Array | None = None

    def split(self) -> "tuple[str | None, Filter]":
        """What is pushed into Lance, and what is left for the ranked rows."""
        pushed, ids, without = self.columns, self.ids, self.without
        if ids is not None and len(ids) <= PUSHED_IDS:
            pushed, ids = both(pushed, among(ids.to_pylist())), None
        if without is not None and len(without) <= PUSHED_IDS:
            pushed, without = both(pushed, f"NOT {among(without.to_pylist())}"), None
        return pushed, Filter(ids=ids, without=without)

    def apply(self, rows: Rows, directory: Directory) -> Rows:
        """The rows whose ids take part."""
        for ids, inside in ((self.ids, True), (self.without, False)):
            if ids is not None:
                taken = np.isin(directory.keys[rows.places], keys_of(ids), invert=not inside)
                rows = rows.only(taken)
        return rows


def quote(value: str) -> str:
    """A string literal of Lance SQL; lone surrogates, which nothing stored can hold, become ``?``."""
    return "'" + value.encode("utf-8", "replace").decode().replace("'", "''") + "'"


def among(ids: Iterable[str]) -> str:
    """``id IN (...)``; false for no ids."""
    listed = ", ".join(quote(i) for i in ids)
    return f"id IN ({listed})" if listed else "false"


def both(*conditions: str | None) -> str | None:
    """The conjunction of the conditions that are given."""
    return " AND ".join(f"({c})" for c in conditions if c) or None


class Top(NamedTuple):
    """The best rows of a ranking."""

    best: Rows
    """By score, then key and part."""
    seen: Rows
    """All rows that were looked at."""
    whole: bool
    """Whether these are all rows that are ranked and take part."""


def top(ranking: Ranking, where: Filter, depth: int) -> Top:
    """The ``depth`` best rows under the filter.

    Rows are fetched until one scores below the last that is kept: rows that tie at the cut are all
    seen, so that the result does not depend on their order in the index.
    """
    pushed, left = where.split()
    limit = max(depth + _SLACK, ranking.reach)
    while True:
        rows = ranking.best(pushed, limit)
        kept = left.apply(rows, ranking.directory)
        whole, enough = len(rows.scores) < limit, len(kept.scores) > depth
        cut = -np.partition(-kept.scores, depth - 1)[depth - 1] if enough else -np.inf
        if whole or (enough and cut > rows.scores.min()):
            break
        limit *= 4
    first = kept.only(kept.scores >= cut)
    keys, parts = (column[first.places] for column in (ranking.directory.keys, ranking.directory.parts))
    order = np.lexsort((parts, keys, -first.scores))[:depth]
    return Top(Rows(first.places[order], first.scores[order]), kept, whole)


def scores_of(ranking: Ranking, keys: Keys, known: Top | None = None) -> Rows:
    """All rows of these items, each of which takes part; rows that are not ranked are left out.

    Args:
        ranking: of their table.
        keys: of the items.
        known: what ``top`` found: where that is whole, the ranking need not be asked again.
    """
    places = ranking.directory.of(keys)
    if known is None or not known.whole:
        return ranking.scores(places)
    return known.seen.only(np.isin(known.seen.places, places))
