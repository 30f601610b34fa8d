"""MinHash signatures of texts, cut into bands; how likely a pair is to agree in one.

MinHash: Broder, "On the resemblance and containment of documents", 1997. Banding: Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", 3.4. Hash functions: Dietzfelbinger et al., "A reliable randomized
algorithm for the closest-pair problem", 1997 (multiply, modulo 2^32), over already mixed hashes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata.dedup import kernels
from gendata.dedup.words import Buffers, Hashes, Ints, normalised, tables

Keys = npt.NDArray[np.uint32]


LEAST, NONE = 8, np.uint32(0xFFFFFFFF)


def chance(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of this Jaccard similarity agrees in all rows of at least one band."""
    return float(1 - (1 - similarity**rows) ** bands)


def banding(threshold: float, permutations: int, recall: float) -> tuple[int, int]:
    """Bands and rows: the most rows (fewest wrong candidates) that still find pairs at the threshold.

    Raises ValueError if ``permutations`` are too few for the recall.
    """
    for rows in range(permutations, 0, -1):
        bands = permutations // rows
        if chance(threshold, bands, rows) >= recall:
            return bands, rows
    raise ValueError(f"permutations: {permutations} are too few for recall {recall} at threshold {threshold}")


def curve(bands: int, rows: int) -> dict[str, float]:
    """The chance that a pair is compared, by its similarity from 0.1 to 1."""
    return {f"{similarity / 10:.1f}": round(chance(similarity / 10, bands, rows), 4) for similarity in range(1, 11)}


class Sketch(NamedTuple):
    """Of some texts: ``keys`` (bands, texts), ``forms`` and ``words`` (texts,), ``least`` (texts, LEAST).

    Two texts with an equal key in a band are candidates. ``forms`` are hashes of all words of a text in order: equal
    where texts differ in case, white space, punctuation and Unicode form alone. ``words`` counts them. ``least`` are
    the least hashes of the text's shingles, ascending, NONE where it has fewer.
    """

    keys: Keys
    forms: Hashes
    words: npt.NDArray[np.int32]
    least: Keys


def sketch(texts: pa.Array, n: int, bands: int, rows: int) -> Sketch:
    """Sketch texts (string or large_string) by shingles of ``n`` words."""
    found = _sketch(texts, n, bands, rows, False)
    again = np.flatnonzero(found.words < 0)
    if len(again):
        more = _sketch(normalised(texts.take(pa.array(again))), n, bands, rows, True)
        found.keys[:, again], found.forms[again] = more.keys, more.forms
        found.words[again], found.least[again] = more.words, more.least
    return found


def _sketch(texts: pa.Array, n: int, bands: int, rows: int, normal: bool) -> Sketch:
    count = len(texts)
    made = Sketch(
        keys=np.empty((bands, count), np.uint32),
        forms=np.zeros(count, np.uint64),
        words=np.empty(count, np.int32),
        least=np.full((count, LEAST), NONE, np.uint32),
    )
    kernels.sketch(tuple(Buffers.of(texts)), normal, tuple(tables()), n, _functions(bands * rows), tuple(made))
    return made


def _functions(count: int) -> Keys:
    """Hash functions: odd factors, shape (count,)."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * kernels.MULTIPLIER
    return np.array([kernels.mix(number) >> np.uint64(32) for number in numbers], np.uint32) | np.uint32(1)


class Sets(NamedTuple):
    """The shingle sets of some texts: text i's are ``shingles[bounds[i]:bounds[i + 1]]``, ascending and distinct."""

    shingles: Hashes
    bounds: Ints


def shingle_sets(texts: pa.Array, n: int) -> Sets:
    """The sets of shingles of ``n`` words of texts (string or large_string)."""
    bounds = np.zeros(len(texts) + 1, np.int64)
    shingles, done = kernels.sets(tuple(Buffers.of(texts)), False, tuple(tables()), n, bounds)
    if not done:  # all anew: few arrays hold one text that must be normalised and many that need not
        shingles, _ = kernels.sets(tuple(Buffers.of(normalised(texts))), True, tuple(tables()), n, bounds)
    return Sets(shingles, bounds)


class Sieve(NamedTuple):
    """Lets few shingles through beside those that it is made of: a bit for all that are equal once shifted."""

    bits: npt.NDArray[np.uint8]
    shift: int

    @classmethod
    def of(cls, shingles: Hashes) -> "Sieve":
        """Of some shingles (any integers of 64 bits, of which the upper 32 count)."""
        width = min(max(10, (64 * len(shingles)).bit_length()), 31)
        filled = np.zeros(1 << width, bool)
        filled[shingles >> np.uint64(64 - width)] = True
        return cls(np.packbits(filled, bitorder="little"), 64 - width)

    def passing(self, texts: pa.Array, n: int) -> tuple[Sets, Ints]:
        """The shingles that pass, ascending and distinct; and how many each text has, with repeats (texts,)."""
        bounds, counts = np.zeros(len(texts) + 1, np.int64), np.zeros(len(texts), np.int64)
        asked = tuple(tables()), n, tuple(self), bounds, counts
        found, done = kernels.passing(tuple(Buffers.of(texts)), False, *asked)
        if not done:
            found, _ = kernels.passing(tuple(Buffers.of(normalised(texts))), True, *asked)
        return Sets(found, bounds), counts
