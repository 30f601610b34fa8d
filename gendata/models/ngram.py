"""N-gram models of bytes: the baselines that a text model has to beat, counted exactly whatever the order.

Witten-Bell interpolation (Witten & Bell 1991, "The zero-frequency problem"; Chen & Goodman 1999, section 2.5): a
context h that was followed c(h) times, by t(h) different tokens, gives t(h) / (c(h) + t(h)) of its mass to the order
below, and the lowest order to an even guess. Nothing to tune, no token is impossible.

Streams may be memory-mapped: they are read in chunks, and what is counted is the n-grams that a held-out text asks for
and no others. Memory follows the held-out text, not the training data; more of it goes through in parts.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gendata.models.tokens import SEPARATOR, VOCABULARY

CHUNK = 1 << 20
"""Tokens read at once, of either text, which bounds the memory."""

_BITS, _LONGEST = 9, 7
"""Of a token, and the most of them in one number of 64."""

Stream = NDArray[np.integer]
Keys = NDArray[np.int64]


def loss(train: Stream, held_out: Stream, order: int) -> float:
    """Mean nats per token of ``held_out`` (M,) under the model of ``train`` (N,) of an order from 1 to 7.

    What stands before the first token of either is separators. Raises ValueError without tokens.
    """
    if not len(held_out):
        raise ValueError("tokens: must be at least one, not none")
    if not 1 <= order <= _LONGEST:
        raise ValueError(f"order: must be between 1 and {_LONGEST}, not {order}")
    total = sum(-float(np.log(_probabilities(train, held_out, at, order)).sum()) for at in _chunks(held_out))
    return total / len(held_out)


def _chunks(stream: Stream) -> Iterator[slice]:
    for start in range(0, len(stream), CHUNK):
        yield slice(start, min(start + CHUNK, len(stream)))


def _grams(stream: Stream, at: slice, length: int) -> Keys:
    """The ``length`` tokens that end at each position of ``at``, as one number each."""
    padded = np.full(at.stop - at.start + length - 1, SEPARATOR, np.int64)
    first = max(at.start - length + 1, 0)
    padded[len(padded) - (at.stop - first) :] = stream[first : at.stop]
    keys = np.zeros(at.stop - at.start, np.int64)
    for offset in range(length):
        keys = keys << _BITS | padded[offset : offset + len(keys)]
    return keys


def _probabilities(train: Stream, held_out: Stream, at: slice, order: int) -> NDArray[np.float64]:
    """Of each held-out token of a chunk after those before it."""
    probabilities = np.full(at.stop - at.start, 1 / VOCABULARY)
    for length in range(1, order + 1):
        follows, together, kinds = _counts(train, _grams(held_out, at, length), length)
        mixed = (follows + kinds * probabilities) / np.maximum(together + kinds, 1)
        probabilities = np.where(kinds > 0, mixed, probabilities)
    return probabilities


def _counts(train: Stream, grams: Keys, length: int) -> tuple[Keys, Keys, Keys]:
    """For each n-gram: how often it stands in ``train``, how often its context, and with how many different tokens."""
    contexts = np.unique(grams >> _BITS)
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for at in _chunks(train):
        new = _grams(train, at, length)
        near = np.searchsorted(contexts, new >> _BITS).clip(max=len(contexts) - 1)
        found, times = np.unique(new[contexts[near] == new >> _BITS], return_counts=True)
        keys, where = np.unique(np.concatenate((keys, found)), return_inverse=True)
        counts = np.bincount(where, np.concatenate((counts, times)), len(keys)).astype(np.int64)
    follows = np.where(np.isin(grams, keys), np.append(counts, 0)[np.searchsorted(keys, grams)], 0)
    first, last = (np.searchsorted(keys >> _BITS, grams >> _BITS, side) for side in ("left", "right"))
    sums = np.concatenate(([0], counts.cumsum()))
    return follows, sums[last] - sums[first], last - first
