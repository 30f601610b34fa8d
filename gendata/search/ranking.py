"""The best rows of one ranking: exact at the cut (ties included) and exact under any filter."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Key: TypeAlias = tuple[str, int]
"""(id, part) of a passage; part 0 for an image."""

Ranker: TypeAlias = Callable[[str | None, int], pa.Table]
"""(filter in Lance SQL or None, limit) to the best rows: columns id, part, score; any order."""

_SLACK = 50
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

    def apply(self, rows: pa.Table) -> pa.Table:
        """The rows whose ids take part."""
        if self.ids is not None:
            rows = rows.filter(pc.is_in(rows.column("id"), value_set=self.ids))
        if self.without is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows.column("id"), value_set=self.without)))
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


def top(ranker: Ranker, where: Filter, depth: int) -> dict[Key, float]:
    """The ``depth`` best rows under the filter, by score, then id and part.

    Rows are fetched until one scores below the last that is kept: rows that tie at the cut are all
    seen, so that the result does not depend on their order in the index.
    """
    pushed, left = where.split()
    limit = depth + _SLACK
    while True:
        rows = ranker(pushed, limit)
        scores = rows.column("score").to_numpy()
        kept = left.apply(rows)
        best = np.sort(kept.column("score").to_numpy())[::-1]
        if len(scores) < limit or (len(best) > depth and best[depth - 1] > scores.min()):
            break
        limit *= 4
    return dict(sorted(_pairs(kept), key=lambda pair: (-pair[1], pair[0]))[:depth])


def scores_of(ranker: Ranker, ids: Iterable[str], total: int) -> dict[Key, float]:
    """The scores of all rows of these items in a table with ``total`` rows; rows that do not match have none."""
    found: dict[Key, float] = {}
    left = iter(sorted(set(ids)))
    while chunk := list(islice(left, PUSHED_IDS)):
        found.update(_pairs(ranker(among(chunk), total)))
    return found


def _pairs(rows: pa.Table) -> Iterator[tuple[Key, float]]:
    columns = (rows.column(name).to_pylist() for name in ("id", "part", "score"))
    return (((i, part), score) for i, part, score in zip(*columns, strict=True))
