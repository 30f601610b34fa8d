"""Which texts to compare: buckets of equal band keys."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.compiled import jit
from gendata.dedup.minhash import Keys
from gendata.keep import Ints

Codes = npt.NDArray[np.int32]


class Buckets(NamedTuple):
    """The buckets that several texts share.

    ``texts``: the texts that are in one, ascending. Text ``texts[i]`` is in ``buckets[starts[i]:starts[i + 1]]``;
    bucket b has room for its texts from ``room[b]`` to ``room[b + 1]``.
    """

    texts: Codes
    starts: Ints
    buckets: Codes
    room: Ints


def buckets(band: Callable[[int], Keys], bands: int, count: int, workers: int) -> Buckets:
    """Buckets of ``count`` texts; ``band`` gives their keys (texts,) in one of the bands."""
    texts, numbers, sizes, offset = [np.empty(0, np.int32)], [np.empty(0, np.int32)], [np.zeros(1, np.int64)], 0
    room = 1 << max(4, (2 * count).bit_length())
    for of_text, filled in engine.imap_threads(lambda one: _shared(band(one), room), range(bands), workers):
        inside = np.flatnonzero(of_text >= 0).astype(np.int32)
        texts.append(inside)
        numbers.append(of_text[inside] + np.int32(offset))
        sizes.append(filled)
        offset += len(filled)
    every, number = np.concatenate(texts), np.concatenate(numbers)
    found, per_text = np.unique(every, return_counts=True)
    by_text = np.argsort(every, kind="stable")
    return Buckets(found, np.concatenate(([0], np.cumsum(per_text))), number[by_text], np.cumsum(np.concatenate(sizes)))


@jit
def _shared(keys: Any, room: int) -> Any:
    """The bucket of each text by its key, numbered as they first occur, -1 where no other has it; texts per bucket.

    ``room`` is a power of two, over the number of keys.
    """
    first, mask = np.full(room, -1, np.int32), np.uint32(room - 1)
    leader, counts = np.empty(len(keys), np.int32), np.zeros(len(keys), np.int32)
    for text in range(len(keys)):
        slot = keys[text] & mask
        while first[slot] >= 0 and keys[first[slot]] != keys[text]:
            slot = (slot + np.uint32(1)) & mask
        if first[slot] < 0:
            first[slot] = text
        leader[text] = first[slot]
        counts[first[slot]] += 1
    buckets, sizes, found = np.full(len(keys), -1, np.int32), np.zeros(len(keys), np.int64), 0
    for text in range(len(keys)):
        if leader[text] == text and counts[text] > 1:
            buckets[text] = found
            sizes[found] = counts[text]
            found += 1
        elif leader[text] != text:
            buckets[text] = buckets[leader[text]]
    return buckets, sizes[:found]
