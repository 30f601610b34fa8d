"""Texts as tokens: the bytes of UTF-8, and one separator between texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SEPARATOR = 256
"""Stands before every text and after the last; a model that gives it has ended its text."""

VOCABULARY = 257


def encode(text: str) -> NDArray[np.uint16]:
    """The tokens of a text, without separator. Lone surrogates, which UTF-8 cannot hold, become ``?``."""
    return np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.uint16)


def decode(tokens: Sequence[int]) -> str:
    """The text of some tokens; bytes that are not UTF-8 become U+FFFD."""
    return bytes(t for t in tokens if t < SEPARATOR).decode("utf-8", "replace")
