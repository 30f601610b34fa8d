"""Which texts to compare, and what comes of it: buckets of equal band keys, visited in the order of the keep policy."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.compiled import jit, join, root
from gendata.dedup.minhash import Keys
from gendata.dedup.words import Hashes
from gendata.keep import PROBE, REFERENCE, Ints, Verdicts, code

Codes = npt.NDArray[np.int32]

_BY_FORM, _BY_SHINGLES = range(2)
_REPLIES = np.uint64(1 << 63)
_BITS, _MOST_WORDS = 12, 64  # for each shingle of a typical text, and of parities: half a kilobyte a text
_REASONS = np.array([code("normalised"), code("near-text")], np.int8)


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


def visit(
    found: Buckets,
    sets: Located,
    forms: Hashes,
    ranks: tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]],
    thresholds: tuple[float, float],
    *,
    paired: bool = False,
) -> Outcome:
    """Judge the texts of buckets in their order, each by those before it that stay and share a bucket with it.

    So many near-copies of one text cost one comparison each. Of many texts alike to just under the threshold, which
    all stay, each pair is met; parity bits of their shingles rule most out (Sandes et al. 2017, bitmap filter).

    Args:
        found: the buckets; texts come in the order of the keep policy.
        sets: the shingles of the texts of buckets.
        forms: of them, as in ``Sketch``.
        ranks: their origins, and their roles.
        thresholds: of sharing a group, and of a match.
        paired: whether they are records, whose similarity is the lower of two parts.
    """
    outcome = Outcome.empty(len(found.texts))
    typical = int((sets.lasts - sets.firsts).mean()) if len(sets.firsts) else 0
    parities = _parities(*sets, min(max(1, _BITS * typical // 64), _MOST_WORDS))
    _visit(tuple(found), tuple(sets), parities, forms, ranks, (*thresholds, paired), tuple(outcome))
    return outcome


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


@jit
def _similarity(a: Any, b: Any, least: float, paired: bool) -> float:
    """That of two sets, or the lower of those of their parts; 0 where it is below ``least``."""
    if not paired:
        return _jaccard(a, b, least)
    i, j = _replies(a), _replies(b)
    prompts = _jaccard(a[:i], b[:j], least)
    return min(prompts, _jaccard(a[i:], b[j:], least)) if prompts else 0.0


@jit
def _replies(hashes: Any) -> int:
    """Where those of the reply begin in an ascending set; ``np.searchsorted`` takes a second and a half to compile."""
    low, high = 0, len(hashes)
    while low < high:
        at = (low + high) >> 1
        if hashes[at] < _REPLIES:
            low = at + 1
        else:
            high = at
    return low


@jit
def _jaccard(a: Any, b: Any, least: float) -> float:
    """The Jaccard similarity of two ascending sets without repeats; 0 where it is below ``least``."""
    total, i, j, common = len(a) + len(b), 0, 0, 0
    if total and min(len(a), len(b)) / max(len(a), len(b)) < least:
        return 0.0  # |A and B| <= min and |A or B| >= max; a quotient, rounded as that of the sets is: without loss
    apart = _apart(total, least)
    while i < len(a) and j < len(b):
        if i + j - 2 * common > apart:
            return 0.0
        x, y = a[i], b[j]
        common += x == y
        i += x <= y
        j += y <= x
    similarity = common / (total - common)
    return similarity if similarity >= least else 0.0


@jit
def _apart(total: int, least: float) -> int:
    """How many elements of two sets that have ``total`` may be in one alone."""
    return int((1 - least) / (1 + least) * total + 1e-6)  # more than rounding takes away


@jit
def _parities(shingles: Any, firsts: Any, lasts: Any, words: int) -> Any:
    """Bits (texts, words) of sets: whether an odd number of their elements falls on each."""
    bits = np.zeros((len(firsts), words), np.uint64)
    for text in range(len(firsts)):
        for at in range(firsts[text], lasts[text]):
            place = shingles[at] % np.uint64(64 * words)
            bits[text, np.int64(place >> np.uint64(6))] ^= np.uint64(1) << (place & np.uint64(63))
    return bits


@jit
def _differ(a: Any, b: Any) -> Any:
    """How many bits of two sets' parities differ: no more than elements are in one set alone."""
    count = np.int64(0)
    for word in range(len(a)):
        x = a[word] ^ b[word]
        x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
        x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
        x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        count += np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))
    return count


@jit
def _visit(  # noqa: C901  a call per pair would cost more than the rest
    found: Any, located: Any, parities: Any, forms: Any, ranks: Any, thresholds: Any, outcome: Any
) -> None:
    """Judge the texts of buckets in their order; see ``visit``."""
    texts, starts, buckets, room = found
    shingles, firsts, lasts = located
    origins, roles = ranks
    best, score, match, rival, parent, compared = outcome
    members, filled = np.empty(len(buckets), np.int32), np.zeros(len(room), np.int64)
    seen, rivals = np.full(len(texts), -1, np.int32), np.zeros(len(texts))
    for text in range(len(texts)):
        own = shingles[firsts[text] : lasts[text]]
        for at in range(starts[text], starts[text + 1] if roles[text] != REFERENCE else starts[text]):
            bucket = buckets[at]
            for other in members[room[bucket] : room[bucket] + filled[bucket]]:
                if seen[other] == text:
                    continue
                seen[other] = text
                compared[0] += 1
                same, how = 1.0, _BY_FORM
                if forms[other] != forms[text]:  # where they share a group already, only a match matters
                    least = thresholds[1] if root(parent, other) == root(parent, text) else thresholds[0]
                    theirs = shingles[firsts[other] : lasts[other]]
                    apart = _apart(len(own) + len(theirs), least)
                    may = _differ(parities[text], parities[other]) <= apart
                    same = _similarity(own, theirs, least, thresholds[2]) if may else 0.0
                    how = _BY_SHINGLES
                if same >= thresholds[0]:
                    join(parent, text, other)
                if same < thresholds[1]:
                    continue
                if origins[other] != origins[text]:
                    if _better(same, 0, other, rivals[text], 0, rival[text]):
                        rival[text], rivals[text] = other, same
                elif _better(same, how, other, score[text], match[text], best[text]):
                    best[text], score[text], match[text] = other, same, how
        if best[text] < 0 and roles[text] != PROBE:
            for at in range(starts[text], starts[text + 1]):
                members[room[buckets[at]] + filled[buckets[at]]] = text
                filled[buckets[at]] += 1


@jit
def _better(same: float, how: int, other: int, score: float, best_how: int, best: int) -> bool:
    """Whether a match is better than the best so far: more similar, then of equal form, then earlier in order."""
    if best < 0 or same != score:
        return best < 0 or same > score
    return how < best_how or (how == best_how and other < best)
