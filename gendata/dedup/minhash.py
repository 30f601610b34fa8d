"""MinHash signatures of texts, cut into bands; how likely a pair is to agree in one.

MinHash: Broder, "On the resemblance and containment of documents", 1997. Banding: Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", 3.4. Hash functions: Dietzfelbinger et al., "A reliable randomized
algorithm for the closest-pair problem", 1997 (multiply, modulo 2^32), over already mixed hashes.
"""

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata.compiled import MULTIPLIER, mix
from gendata.dedup import kernels
from gendata.dedup.pairs import paired_forms, paired_shingles, paired_words
from gendata.dedup.words import Flat, Hashes, words

Keys = npt.NDArray[np.uint32]


LEAST, NONE = 8, np.uint32(0xFFFFFFFF)

SLICE = 256
"""Texts whose words are in memory at once: few enough for the cache of a processor."""


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
    """Of some texts: ``keys`` (bands, texts), ``forms``, ``signs`` and ``words`` (texts,), ``least`` (texts, LEAST).

    Two texts with an equal key in a band are candidates. ``forms`` are hashes of all words of a text in order: equal
    where texts differ in case, white space, punctuation and Unicode form alone. ``signs``: of texts of few words, a
    hash of their signs; 0 of others. ``words`` counts the words. ``least`` are the least hashes of the text's
    shingles, ascending, NONE where it has fewer.
    """

    keys: Keys
    forms: Hashes
    signs: Hashes
    words: npt.NDArray[np.int32]
    least: Keys


def shingles(texts: pa.Array, n: int, *, paired: bool = False) -> Flat:
    """The shingles of ``n`` words of texts (string or large_string), in order and with repeats.

    With ``paired`` the texts are records of prompt and reply; see ``pairs``.
    """
    found, bounds, _ = paired_words(texts) if paired else words(texts)
    flat = Flat(kernels.shingles(found, bounds, n), bounds)
    return paired_shingles(flat) if paired else flat


def sketch(texts: pa.Array, n: int, bands: int, rows: int, *, paired: bool = False) -> Sketch:
    """Sketch texts (string or large_string), or records, by shingles of ``n`` words."""
    count = len(texts)
    keys, least = np.zeros((count, bands), np.uint32), np.full((count, LEAST), NONE, np.uint32)
    made = Sketch(keys.T, np.zeros(count, np.uint64), np.zeros(count, np.uint64), np.zeros(count, np.int32), least)
    for start in range(0, count, SLICE):
        some = slice(start, start + SLICE)
        found, bounds, signs = paired_words(texts[some]) if paired else words(texts[some])
        forms, counts = kernels.forms(found, bounds), np.diff(bounds)
        made.forms[some] = paired_forms(forms) if paired else forms
        made.signs[some] = paired_forms(signs) if paired else signs
        made.words[some] = counts[::2] + counts[1::2] if paired else counts
        flat = Flat(kernels.shingles(found, bounds, n), bounds)
        flat = paired_shingles(flat) if paired else flat
        kernels.signatures(*flat, _functions(bands * rows), keys[some])
        kernels.least(*flat, least[some])
    return made


@functools.cache
def _functions(count: int) -> Keys:
    """Hash functions: odd factors, shape (count,)."""
    numbers = np.arange(1, count + 1, dtype=np.uint64) * MULTIPLIER
    return np.array([mix(number) >> np.uint64(32) for number in numbers], np.uint32) | np.uint32(1)


def shingle_sets(texts: pa.Array, n: int, *, paired: bool = False) -> Flat:
    """The sets of shingles of texts, or of records: ascending and distinct."""
    found = shingles(texts, n, paired=paired)
    return Flat(kernels.distinct(*found), found.bounds)


class Sieve(NamedTuple):
    """Lets few shingles through beside those that it is made of: a bit for all that are equal once shifted.

    And none over the ``most``: where all texts are long, their least shingles are far below most of the others.
    """

    bits: npt.NDArray[np.uint8]
    shift: int
    most: np.uint64

    @classmethod
    def of(cls, shingles: Hashes) -> "Sieve":
        """Of some shingles (any integers of 64 bits, of which the upper 32 count)."""
        width = min(max(10, (64 * len(shingles)).bit_length()), 31)
        place, bits = shingles >> np.uint64(64 - width), np.zeros(1 << (width - 3), np.uint8)
        np.bitwise_or.at(bits, place >> np.uint64(3), np.uint8(1) << (place & np.uint64(7)).astype(np.uint8))
        most = shingles.max(initial=0) | np.uint64(0xFFFFFFFF)
        return cls(bits, 64 - width, most)

    def passing(self, some: Flat) -> Flat:
        """The shingles that pass."""
        return Flat(*kernels.passing(*some, tuple(self)))
