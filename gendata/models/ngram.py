"""Unigram and bigram models of tokens: the baselines that a text model has to beat.

Witten-Bell interpolation (Witten & Bell 1991, "The zero-frequency problem"; Chen & Goodman 1999, section 2.5): a
context h that was followed c(h) times, by t(h) different tokens, gives t(h) / (c(h) + t(h)) of its mass to the order
below. Nothing to tune, no token is impossible.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gendata.models.tokens import SEPARATOR, VOCABULARY

CHUNK = 1 << 20
"""Tokens counted at once, which bounds the memory."""


@dataclass(frozen=True)
class NGram:
    """A fitted model."""

    probabilities: NDArray[np.float64]
    """(257, 257): of a token (column) after the one before it (row); a unigram's rows are all the same."""

    def nats_per_token(self, tokens: NDArray[np.integer]) -> float:
        """Mean negative log-likelihood; the first token follows a separator. Raises ValueError without tokens."""
        if not len(tokens):
            raise ValueError("tokens: must be at least one, not none")
        return float(-(pairs(tokens) * np.log(self.probabilities)).sum() / len(tokens))


def fit(tokens: NDArray[np.integer], order: Literal[1, 2]) -> NGram:
    """The model of this order for a row of tokens (N,), which may be memory-mapped."""
    counts = pairs(tokens)
    unigram = interpolate(counts.sum(axis=0), np.full(VOCABULARY, 1 / VOCABULARY))
    if order == 1:
        return NGram(np.tile(unigram, (VOCABULARY, 1)))
    return NGram(np.stack([interpolate(row, unigram) for row in counts]))


def interpolate(counts: NDArray[np.int64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities (V,) of what follows one context, from its counts (V,) and the order below (V,)."""
    kinds = np.count_nonzero(counts)
    if not kinds:
        return below
    return np.asarray((counts + kinds * below) / (counts.sum() + kinds))


def pairs(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
    """How often each token (column) follows each (row): (257, 257); the first token follows a separator."""
    counts, before = np.zeros(VOCABULARY * VOCABULARY, np.int64), SEPARATOR
    for start in range(0, len(tokens), CHUNK):
        chunk = np.asarray(tokens[start : start + CHUNK], np.int64)
        previous = np.concatenate(([before], chunk[:-1]))
        counts += np.bincount(previous * VOCABULARY + chunk, minlength=len(counts))
        before = int(chunk[-1])
    return counts.reshape(VOCABULARY, VOCABULARY)
