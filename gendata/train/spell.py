"""Streams of tokens, of any length: what they spell and where their labels stand, in bounded memory."""

import tempfile

import numpy as np
from numpy.typing import NDArray

from gendata import files
from gendata.models.tokens import SEPARATOR, Tokenizer
from gendata.ranges import spread

CHUNK = 1 << 18
"""Tokens read at once, which bounds the memory."""

Stream = NDArray[np.uint16]


def spelled(stream: Stream, tokenizer: Tokenizer) -> Stream:
    """The bytes and separators of a stream, labels left out: mapped from a file in ``.gendata`` that has no name."""
    pieces = [*tokenizer.pieces]
    pieces[SEPARATOR] = b"|"
    lengths = np.array([len(piece) for piece in pieces])
    ends = lengths.cumsum()
    starts = ends - lengths
    table = np.frombuffer(b"".join(pieces), np.uint8).astype(np.uint16)
    table[ends[SEPARATOR] - 1] = SEPARATOR
    files.WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=files.WORK) as file:
        for start in range(0, len(stream), CHUNK):
            tokens = stream[start : start + CHUNK]
            tokens = tokens[tokens < len(pieces)]
            _, places = spread(starts[tokens], ends[tokens])
            file.write(table[places].tobytes())
        size = file.tell() // 2
        file.flush()
        return np.memmap(file, np.uint16, "r", shape=(size,)) if size else np.empty(0, np.uint16)


def label_places(stream: Stream, tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Where the labels of a stream stand: one per text."""
    starts = range(0, len(stream), CHUNK)
    found = [s + np.flatnonzero(stream[s : s + CHUNK] >= tokenizer.vocabulary) for s in starts]
    return np.concatenate([np.empty(0, np.int64), *found])
