"""Intervals of 95 %, and what limits what they say: few seeds by Student's t, shares by counts, items by resampling."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_RESAMPLES = 1000
_SEEDS, _ROWS = 3, 5
"""Fewer say nothing of how much they spread."""


class Interval(NamedTuple):
    """Of an effect; ``limit`` is why it decides nothing whatever its ends are, and empty where they may be believed."""

    low: float
    high: float
    limit: str = ""

    def __neg__(self) -> "Interval":
        return Interval(-self.high, -self.low, self.limit)

    @property
    def middle(self) -> float:
        """Halfway between its ends."""
        return (self.low + self.high) / 2

    def above(self, floor: float) -> "Interval":
        """Of the effect less a number."""
        return Interval(self.low - floor, self.high - floor, self.limit)

    def limited(self, reason: str) -> "Interval":
        """The same that decides nothing for one more reason; an empty one is none."""
        return Interval(self.low, self.high, "; ".join(part for part in (self.limit, reason) if part))


UNKNOWN = (-math.inf, math.inf)


def exact(value: float) -> Interval:
    """Of what was counted and not sampled."""
    return Interval(value, value)


def mean_interval(values: Sequence[float], unit: str = "seeds") -> Interval:
    """Of the mean of values of independent seeds, by Student's t; without end for fewer than two."""
    n = len(values)
    if n < 2:
        return Interval(*UNKNOWN, _few_seeds(n, unit))
    half = t_quantile(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return _judged(float(np.mean(values)) - half, float(np.mean(values)) + half, _few_seeds(n, unit))


def difference(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Of the mean of ``a`` less that of ``b``, by Welch's t, its degrees of freedom rounded down.

    Without end where a side has fewer than two seeds.
    """
    n = min(len(a), len(b))
    if n < 2:
        return Interval(*UNKNOWN, _few_seeds(n))
    parts = [float(np.var(side, ddof=1)) / len(side) for side in (a, b)]
    gap, total = float(np.mean(a) - np.mean(b)), sum(parts)
    half = 0.0
    if total:
        freedom = total**2 / sum(p**2 / (len(side) - 1) for p, side in zip(parts, (a, b), strict=True))
        half = t_quantile(max(1, math.floor(freedom + 1e-9))) * math.sqrt(total)
    return _judged(gap - half, gap + half, _few_seeds(n))


def shares(p: float, n: int, q: float, m: int) -> Interval:
    """Of the share ``p`` of n less ``q`` of m, by Agresti & Caffo 2000: one success and one failure added to each."""
    a, b = ((p * n + 1) / (n + 2), n + 2), ((q * m + 1) / (m + 2), m + 2)
    half = 1.96 * math.sqrt(sum(share * (1 - share) / count for share, count in (a, b)))
    return Interval(a[0] - b[0] - half, a[0] - b[0] + half, _few_rows(min(n, m)))


def bootstrap(statistic: Callable[..., float], *samples: NDArray[np.floating], seed: int = 0) -> Interval:
    """Of a statistic of samples, each resampled by rows (Efron & Tibshirani 1993, the percentile interval)."""
    random = np.random.default_rng(seed)
    found = [statistic(*(s[random.integers(0, len(s), len(s))] for s in samples)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return _judged(float(low), float(high), _few_rows(min(map(len, samples))))


def _judged(low: float, high: float, limit: str) -> Interval:
    """With what is to be said of it: a tie without spread is no evidence of equality."""
    return Interval(low, high, limit or ("a tie without any spread" if low == high == 0 else ""))


def _few_seeds(n: int, unit: str = "seeds") -> str:
    return f"{n} of at least {_SEEDS} {unit}" if n < _SEEDS else ""


def _few_rows(n: int) -> str:
    return f"{n} of at least {_ROWS} rows" if n < _ROWS else ""


def t_quantile(freedom: int) -> float:
    """The t that 95 % of Student's distribution lie within on both sides, for a whole number of degrees of freedom."""
    low, high = 0.0, 100.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < LEVEL else (low, middle)
    return low


def _within(t: float, freedom: int) -> float:
    """The probability of -t to t: the finite sums of Abramowitz & Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine**2 * k / (k + 1)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
