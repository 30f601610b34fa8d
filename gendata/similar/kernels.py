"""The compiled loops over similarities (numba): what each item meets, and who then stays."""

from typing import Any

from gendata.compiled import jit

OWN, OTHER = range(2)
"""Sides of an item: matches of its own origin, and of another."""


@jit
def meet(scores: Any, others: Any, own: Any, stays: Any, levels: Any, at: int, seen: Any) -> None:
    """Items meet ``others``, which are decided: ``scores`` (items, others).

    Fills ``seen``, which is of the items alone: gone (levels, items), match and score (sides, items).
    """
    gone, match, score = seen
    for item in range(len(scores)):
        for place in range(len(others)):
            value = scores[item, place]
            if value < levels[0]:
                continue
            other = others[place]
            if own[place]:
                for level in range(len(levels)):
                    gone[level, item] |= value >= levels[level] and stays[level, other]
            side = OWN if own[place] else OTHER
            if value >= levels[at] and stays[at, other] and _better(value, other, score[side, item], match[side, item]):
                match[side, item], score[side, item] = other, value


@jit
def settle(pairs: Any, stays: Any, levels: Any, at: int, match: Any, score: Any) -> None:
    """Decide on items one after the other, by pairs with items of their origin that come before them.

    ``pairs``: items (ascending), others, scores.
    """
    items, others, scores = pairs
    for pair in range(len(items)):
        item, other, value = items[pair], others[pair], scores[pair]
        for level in range(len(levels)):
            if value >= levels[level] and stays[level, other]:
                stays[level, item] = False
                if level == at and _better(value, other, score[item], match[item]):
                    match[item], score[item] = other, value


@jit
def _better(value: Any, other: int, score: Any, match: int) -> bool:
    """The first in visiting order of equals."""
    return bool(value > score or (value == score and other < match))
