"""What comes of the texts of buckets, visited in the order of the keep policy.

Each text is compared with those before it that stay and share a bucket with it: so many near-copies of one text cost
one comparison each. But of many texts of one template, alike to just under the threshold, all stay, and there would be
as many comparisons as pairs. A bucket is crowded once more than CROWD of its texts stay; in it

* a match is looked up: of two texts that match, whose shingles are put into one order, the rare ones first, the first
  few have one in common (prefix filtering: Chaudhuri et al. 2006; its bounds: Xiao et al. 2008, "PPJoin"). What a text
  of a template has for itself is rare;
* a group is looked for among texts that do not share one already: most often that is one comparison.

Neither misses what comparing all would find. Before two sets are compared, parity bits of their shingles rule most
pairs out (Sandes et al. 2017, bitmap filter).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gendata.dedup import visit_kernels
from gendata.dedup.lsh import Buckets, Codes
from gendata.dedup.words import Hashes
from gendata.keep import Ints, Verdicts, code

CROWD = 256
"""Texts of a bucket that stay, above which it is crowded."""

_BITS, _MOST_WORDS = 12, 64  # for each shingle of a typical text, and of parities: half a kilobyte a text
_REASONS = np.array([code("normalised"), code("near-text")], np.int8)  # by BY_FORM and BY_SHINGLES


class Located(NamedTuple):
    """The shingle sets of texts: text i's are ``shingles[firsts[i]:lasts[i]]``, ascending and distinct."""

    shingles: Hashes
    firsts: Ints
    lasts: Ints


class Outcome(NamedTuple):
    """What becomes of the texts of buckets, by their places; -1 stands for none.

    ``best``: what a text is merged into, with the ``score``, and how they match (a place in ``_REASONS``);
    ``rival``: the best match of another origin; ``parent``: a forest whose trees are groups; ``compared``: pairs (1,).
    """

    best: Codes
    score: npt.NDArray[np.float64]
    match: npt.NDArray[np.int8]
    rival: Codes
    parent: Codes
    compared: Ints

    @classmethod
    def empty(cls, count: int) -> "Outcome":
        """Nothing merged yet."""
        best, rival = np.full((2, count), -1, np.int32)
        each = np.arange(count, dtype=np.int32)
        return cls(best, np.zeros(count), np.zeros(count, np.int8), rival, each, np.zeros(1, np.int64))

    def tell(self, verdicts: Verdicts, items: Ints) -> None:
        """Hand it on; ``items`` are the numbers of the texts."""
        merged, rivalled = np.flatnonzero(self.best >= 0), np.flatnonzero(self.rival >= 0)
        verdicts.stays_as[items[merged]] = items[self.best[merged]]
        verdicts.score[items[merged]] = self.score[merged]
        verdicts.reason[items[merged]] = _REASONS[self.match[merged]]
        verdicts.conflict[items[rivalled]] = items[self.rival[rivalled]]
        verdicts.join(items, items[self.parent])


class Crowds(NamedTuple):
    """What the texts of crowded buckets are found by; -1 stands for none.

    ``may`` (texts,): whether one may come into a crowded bucket; ``counts``: how many shingles of such texts fall on
    each part of the range of hashes; ``indexed`` (texts,). ``heads`` (2, parts): the last entry of each part, of short
    and of long prefixes; ``lengths`` (2, parts): how many there are; ``entries`` (3, entries): its text, the entry
    before, and the place in the prefix. ``groups`` (3, places): of a member of a bucket, by its place, the next one of
    its group; and, of a group's first, the first of the next group, and its last member. ``firsts`` (buckets,): the
    first group's. ``keys``: room for the shingles of one text; ``state``: entries so far, the text whose shingles are
    in ``keys``, the bits that number the parts of ``heads``.
    """

    may: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.uint32]
    indexed: npt.NDArray[np.bool_]
    heads: Codes
    lengths: Codes
    entries: Codes
    groups: Codes
    firsts: Codes
    keys: Hashes
    state: Ints

    @classmethod
    def room(cls, found: Buckets, sizes: Ints, threshold: float) -> "Crowds":
        """Room for all that may come; ``sizes`` (texts,) of the sets."""
        may, large = np.zeros(len(found.texts), bool), np.diff(found.room) > CROWD
        some = int(large.any())
        if some:
            may[np.repeat(np.arange(len(may)), np.diff(found.starts))[large[found.buckets]]] = True
        total = int(sizes[may].sum())
        bits = min(max(8, total.bit_length() - 3), 24)
        entries = 2 * int(np.sum(sizes[may] * (1 - threshold) + 2))  # no less than both prefixes of each text
        return cls(
            may=may,
            counts=np.zeros(some << (bits + 1), np.uint32),
            indexed=np.zeros(some * len(may), bool),
            heads=np.full((2, some << bits), -1, np.int32),
            lengths=np.zeros((2, some << bits), np.int32),
            entries=np.empty((3, entries), np.int32),
            groups=np.full((3, some * len(found.buckets)), -1, np.int32),
            firsts=np.full(some * len(large), -1, np.int32),
            keys=np.empty(int(sizes[may].max(initial=0)), np.uint64),
            state=np.array([0, -1, bits]),
        )


def visit(
    found: Buckets,
    sets: Located,
    forms: tuple[Hashes, Hashes],
    ranks: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]],
    thresholds: tuple[float, float],
    *,
    paired: bool = False,
) -> Outcome:
    """Judge the texts of buckets in their order.

    Args:
        found: the buckets; texts come in the order of the keep policy.
        sets: the shingles of the texts of buckets.
        forms: their forms and signs, as in ``Sketch``.
        ranks: their origins, and their roles.
        thresholds: of sharing a group, and of a match.
        paired: whether they are records, whose similarity is the lower of two parts.
    """
    outcome, sizes = Outcome.empty(len(found.texts)), sets.lasts - sets.firsts
    typical = int(sizes.mean()) if len(sizes) else 0
    parities = visit_kernels.parities(*sets, min(max(1, _BITS * typical // 64), _MOST_WORDS))
    facts = (tuple(sets), parities, forms, ranks[0], (*thresholds, paired))
    crowds = Crowds.room(found, sizes, thresholds[1])
    visit_kernels.visit(tuple(found), facts, ranks[1], tuple(outcome), (crowds, CROWD))
    return outcome
