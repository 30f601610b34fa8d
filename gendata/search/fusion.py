"""Blending of rankings: weighted sums of normalised scores."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
G = TypeVar("G", bound=Hashable)


def normalise(scores: Mapping[K, float]) -> dict[K, float]:
    """Scores to [0, 1]: the lowest to 0, the highest to 1. Where all are equal: 1 if positive, else 0."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high == low:
        return dict.fromkeys(scores, 1.0 if high > 0 else 0.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def blend(first: Mapping[K, float], second: Mapping[K, float], weight: float) -> dict[K, float]:
    """``weight`` x first + (1 - ``weight``) x second, each normalised over the keys of both.

    A key that a ranking lacks has the raw score 0 there: no word in common, or no likeness at all.
    """
    keys = list({**first, **second})
    a = normalise({key: first.get(key, 0.0) for key in keys})
    b = normalise({key: second.get(key, 0.0) for key in keys})
    return {key: weight * a[key] + (1 - weight) * b[key] for key in keys}


def fuse(words: Mapping[K, float], meaning: Mapping[K, float], weight: float) -> dict[K, float]:
    """The score in (0, 1) of each key of both: s(``weight`` x z(words) + (1 - ``weight``) x z(meaning)).

    z is the standard score: how many standard deviations a score lies above the mean of the candidates. Unlike min-max
    it does not hang on the one best and the one worst candidate (Lee, 1997, and Bruch et al., 2023, compare such
    normalisations). s is the logistic function of half of it, for a number that people can read; it changes no order.
    A key that a ranking lacks has the raw score 0 there.
    """
    keys = list({**words, **meaning})
    mixed = weight * _standard([words.get(key, 0.0) for key in keys])
    mixed += (1 - weight) * _standard([meaning.get(key, 0.0) for key in keys])
    return dict(zip(keys, (1 / (1 + np.exp(-mixed / 2))).tolist(), strict=True))


def _standard(scores: list[float]) -> NDArray[np.float64]:
    """Standard scores; zeros where all are equal."""
    values = np.array(scores, np.float64)
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values))


def best_by(scores: Mapping[K, float], group: Iterable[tuple[K, G]]) -> dict[G, K]:
    """For each group the key with the highest score; of equal ones the lowest key, as given in order."""
    best: dict[G, K] = {}
    for key, name in group:
        if name not in best or scores[key] > scores[best[name]]:
            best[name] = key
    return best
