"""Items by chance: rows lie by source, and within it often by label, so that the first ones are a sample of nothing."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gendata.compare.evidence import MissingError
from gendata.models.tokens import SEPARATOR
from gendata.train.data import TextData

_CONTEXT, _LEAST = 64, 3
"""Tokens of a window at most, and of what windows are cut from at least."""


def some(count: int, k: int, seed: int = 0) -> NDArray[np.int64]:
    """At most k of ``count`` positions, each once, in a random order."""
    chosen: NDArray[np.int64] = np.random.default_rng(seed).permutation(count)[:k]
    return chosen


def texts(stream: NDArray[np.uint16], k: int, seed: int = 0) -> list[bytes]:
    """At most k texts of a stream of bytes and separators, as UTF-8, in a random order."""
    return [piece[1:].astype(np.uint8).tobytes() for _, piece in zip(range(k), _pieces(stream, seed), strict=False)]


def excerpt(stream: NDArray[np.uint16], n: int, seed: int = 0) -> NDArray[np.uint16]:
    """So many tokens of a stream: whole texts in a random order, the last one cut; of a shorter stream all."""
    taken, left = list[NDArray[np.uint16]](), n
    for piece in _pieces(stream, seed):
        taken.append(piece[:left])
        left -= len(taken[-1])
        if not left:
            break
    return np.concatenate([*taken, stream[:0]])


def windows(data: TextData, n: int) -> Tensor:
    """So many windows (n, T) of the held-out split at random places. Raises MissingError where it is too short."""
    stream = data.streams[data.held_out]
    if len(stream) < _LEAST:
        raise MissingError("the held-out split has too few tokens for a window")
    held_out = TextData({"train": stream}, min(data.context, _CONTEXT), data.tokenizer, data.classes)
    return held_out.batch(0, 0, n)["tokens"][:, :-1]


def _pieces(stream: NDArray[np.uint16], seed: int) -> Iterator[NDArray[np.uint16]]:
    """The texts of a stream (a separator, a text, and so on; a separator at its end), each after its separator."""
    ends = np.flatnonzero(stream == SEPARATOR)
    inside = len(stream) - (len(ends) > 0 and ends[-1] == len(stream) - 1)
    bounds = np.unique(np.concatenate([[0], ends[ends < inside], [inside]]))
    for i in some(len(bounds) - 1, len(bounds) - 1, seed):
        yield stream[bounds[i] : bounds[i + 1]]
