"""Blending of rankings: weighted sums of normalised scores. All scores are arrays (n,), the same item at each place."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]


def normalise(scores: Scores) -> Scores:
    """Scores to [0, 1]: the lowest to 0, the highest to 1. Where all are equal: 1 if positive, else 0."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return np.where(scores > 0, 1.0, 0.0) if high == low else (scores - low) / (high - low)


def blend(first: Scores, second: Scores, weight: float) -> Scores:
    """``weight`` x first + (1 - ``weight``) x second, each normalised."""
    return weight * normalise(first) + (1 - weight) * normalise(second)


def fuse(words: Scores, meaning: Scores, weight: float) -> Scores:
    """The scores in (0, 1) of both: s(``weight`` x z(words) + (1 - ``weight``) x z(meaning)).

    z is the standard score: how many standard deviations a score lies above the mean of the candidates. Unlike min-max
    it does not hang on the one best and the one worst candidate (Lee, 1997, and Bruch et al., 2023, compare such
    normalisations). s is the logistic function of half of it, for a number that people can read; it changes no order.
    """
    mixed = weight * _standard(words) + (1 - weight) * _standard(meaning)
    fused: Scores = 1 / (1 + np.exp(-mixed / 2))
    return fused


def _standard(scores: Scores) -> Scores:
    """Standard scores; zeros where all are equal."""
    spread = scores.std() if len(scores) else 0.0
    return (scores - scores.mean()) / spread if spread > 1e-12 else np.zeros(len(scores))
