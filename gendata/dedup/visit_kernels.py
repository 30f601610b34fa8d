"""The compiled loops over the texts of buckets; see ``visit``."""

from typing import Any

import numpy as np

from gendata.compiled import jit, join, root, sort
from gendata.keep import PROBE, REFERENCE

BY_FORM, BY_SHINGLES = range(2)  # how two texts match

_REPLIES = np.uint64(1 << 63)
_ROUNDED = 1e-6  # more than rounding takes away
_COUNT, _MOST = np.uint64(40), np.uint64((1 << 24) - 1)  # where the count stands in a key, and the most it may be
_SHORT, _LONG = range(2)
_NEXT, _NEXT_GROUP, _LAST = range(3)


@jit
def visit(found: Any, facts: Any, roles: Any, outcome: Any, crowding: Any) -> None:
    """Judge the texts of buckets in their order; see ``visit``."""
    texts, starts, buckets, room = found
    (crowds, crowd), best = crowding, outcome[0]
    inside = np.empty(len(buckets), np.int32), np.zeros(len(room), np.int64), room  # those that stay, how many, where
    met = np.full(len(texts), -1, np.int32), np.empty(len(texts), np.int32)  # by which text seen last, and those near
    rivals = np.zeros(len(texts))
    for text in range(len(texts)):
        own = buckets[starts[text] : starts[text + 1]]
        if roles[text] != REFERENCE:
            near = _near(text, own, inside, facts, met, crowding)
            _compare(text, near, facts, rivals, outcome)
            for bucket in own:
                if inside[1][bucket] > crowd:
                    _join_groups(text, bucket, inside[0], (met[0], rivals), facts, outcome, crowds)
        if best[text] < 0 and roles[text] != PROBE:
            _add(text, own, inside, facts, outcome[4], crowding)


@jit
def _near(text: int, own: Any, inside: Any, facts: Any, met: Any, crowding: Any) -> Any:
    """The texts that stay to compare a text with, of its ``own`` buckets."""
    (members, filled, room), (seen, near), (crowds, crowd) = inside, met, crowding
    count, crowded = 0, 0
    for bucket in own:
        if filled[bucket] > crowd:
            crowded += filled[bucket]
        else:
            count = _meet(text, members[room[bucket] : room[bucket] + filled[bucket]], seen, near, count)
    if crowded and _entries(text, facts, crowds) < crowded:
        return near[: _look_up(text, facts, crowds, seen, near, count)]
    for bucket in own if crowded else own[:0]:  # what is not rare is in most prefixes
        count = _meet(text, members[room[bucket] : room[bucket] + filled[bucket]], seen, near, count)
    return near[:count]


@jit
def _add(text: int, own: Any, inside: Any, facts: Any, parent: Any, crowding: Any) -> None:
    """Add a text that stays to its own buckets; the first one too many makes all of a bucket be indexed."""
    (members, filled, room), (crowds, crowd) = inside, crowding
    for bucket in own:
        start, end = room[bucket], room[bucket] + filled[bucket]
        members[end] = text
        filled[bucket] += 1
        if filled[bucket] > crowd:
            for place in range(start if filled[bucket] == crowd + 1 else end, end + 1):
                _enter(place, bucket, members, facts, parent, crowds)


@jit
def _meet(text: int, others: Any, seen: Any, near: Any, count: int) -> int:
    """Add others that a text has not seen to those ``near``; how many these are then."""
    for other in others:
        if seen[other] != text:
            seen[other], near[count] = text, other
            count += 1
    return count


@jit
def _compare(text: int, others: Any, facts: Any, rivals: Any, outcome: Any) -> None:
    """Compare a text with others, and tell the outcome."""
    (shingles, firsts, lasts), parities, (forms, signs), origins, thresholds = facts
    best, score, match, rival, parent, compared = outcome
    own = shingles[firsts[text] : lasts[text]]
    compared[0] += len(others)
    for other in others:
        same, how = 1.0, BY_FORM
        if forms[other] != forms[text]:  # where they share a group already, only a match matters
            least = thresholds[1] if root(parent, other) == root(parent, text) else thresholds[0]
            theirs = shingles[firsts[other] : lasts[other]]
            apart = _apart(len(own) + len(theirs), least)
            may = _differ(parities[text], parities[other]) <= apart
            same = _similarity(own, theirs, least, thresholds[2]) if may else 0.0
            how = BY_SHINGLES
        if same >= thresholds[0]:
            join(parent, text, other)
        differ = signs[text] and signs[other] and signs[text] != signs[other]
        if same < thresholds[1] or differ:  # x > 0 is like x < 0, and shares its group, but says something else
            continue
        if origins[other] != origins[text]:
            if _better(same, 0, other, rivals[text], 0, rival[text]):
                rival[text], rivals[text] = other, same
        elif _better(same, how, other, score[text], match[text], best[text]):
            best[text], score[text], match[text] = other, same, how


@jit
def _better(same: float, how: int, other: int, score: float, best_how: int, best: int) -> bool:
    """Whether a match is better than the best so far: more similar, then of equal form, then earlier in order."""
    if best < 0 or same != score:
        return best < 0 or same > score
    return how < best_how or (how == best_how and other < best)


@jit
def _enter(place: int, bucket: int, members: Any, facts: Any, parent: Any, crowds: Any) -> None:
    """Index the member of a crowded bucket that is at a place, and put it into its group."""
    heads, entries, keys, state = crowds.heads, crowds.entries, crowds.keys, crowds.state
    groups, firsts, text = crowds.groups, crowds.firsts, members[place]
    if not crowds.indexed[text]:
        size = _order(text, facts, crowds)
        for kind in (_SHORT, _LONG):
            for at in range(_prefix(size, facts[4][1], kind)):
                if keys[at] >> _COUNT > 1:  # no other text has a shingle that occurs once
                    part = _part(keys[at], state)
                    entries[0, state[0]], entries[1, state[0]], entries[2, state[0]] = text, heads[kind, part], at
                    heads[kind, part] = state[0]
                    crowds.lengths[kind, part] += 1
                    state[0] += 1
        crowds.indexed[text] = True
    first = firsts[bucket]
    while first >= 0 and root(parent, members[first]) != root(parent, text):
        first = groups[_NEXT_GROUP, first]
    groups[_NEXT, place] = -1
    if first >= 0:
        groups[_NEXT, groups[_LAST, first]] = place
        groups[_LAST, first] = place
    else:
        groups[_NEXT_GROUP, place], groups[_LAST, place] = firsts[bucket], place
        firsts[bucket] = place


@jit
def _entries(text: int, facts: Any, crowds: Any) -> int:
    """How many entries there are to look at."""
    size, total = _order(text, facts, crowds), 0
    for kind in (_SHORT, _LONG):
        for key in crowds.keys[: _prefix(size, facts[4][1], kind)]:
            total += int(crowds.lengths[1 - kind, _part(key, crowds.state)]) if key >> _COUNT > 1 else 0
    return total


@jit
def _look_up(text: int, facts: Any, crowds: Any, seen: Any, near: Any, count: int) -> int:
    """Add the indexed texts that may match to those ``near``; how many these are then."""
    firsts, lasts = facts[0][1], facts[0][2]
    heads, entries, keys, state = crowds.heads, crowds.entries, crowds.keys, crowds.state
    size, threshold = _order(text, facts, crowds), facts[4][1]
    for kind in (_SHORT, _LONG):  # the short prefix of the smaller set and the long one of the other have one in common
        for at in range(_prefix(size, threshold, kind)):
            entry = heads[1 - kind, _part(keys[at], state)] if keys[at] >> _COUNT > 1 else -1
            while entry >= 0:
                other, before, place = entries[0, entry], entries[1, entry], entries[2, entry]
                theirs = lasts[other] - firsts[other]
                common = min(size - at, theirs - place)  # at most: all before are in one of both alone
                if seen[other] != text and size + theirs - 2 * common <= _apart(size + theirs, threshold):
                    seen[other], near[count] = text, other
                    count += 1
                entry = before
    return count


@jit
def _join_groups(text: int, bucket: int, members: Any, met: Any, facts: Any, outcome: Any, crowds: Any) -> None:
    """Compare a text with the members of each group of a crowded bucket until it is of that group."""
    (seen, rivals), groups, parent = met, crowds.groups, outcome[4]
    first = crowds.firsts[bucket]
    while first >= 0:
        place = first
        while place >= 0 and root(parent, members[first]) != root(parent, text):
            if seen[members[place]] != text:
                seen[members[place]] = text
                _compare(text, members[place : place + 1], facts, rivals, outcome)
            place = groups[_NEXT, place]
        first = groups[_NEXT_GROUP, first]


@jit
def _order(text: int, facts: Any, crowds: Any) -> int:
    """Put a text's shingles into ``keys``, the rare ones first; how many there are.

    A key is the count, cut off, over the upper bits of the hash. Shingles with equal keys are taken for one, which
    they hardly ever are: that would cost a comparison.
    """
    shingles, firsts, lasts = facts[0]
    may, counts, keys, state = crowds.may, crowds.counts, crowds.keys, crowds.state
    shift = np.uint64(63 - state[2])
    if state[1] < 0:
        for one in range(len(may)):
            if may[one]:
                for value in shingles[firsts[one] : lasts[one]]:
                    counts[value >> shift] += np.uint32(1)
    size: int = lasts[text] - firsts[text]
    if state[1] != text:
        for at in range(size):
            value = shingles[firsts[text] + at]
            keys[at] = min(np.uint64(counts[value >> shift]), _MOST) << _COUNT | value >> np.uint64(64) - _COUNT
        sort(keys[:size])
        state[1] = text
    return size


@jit
def _part(key: Any, state: Any) -> Any:
    """The part of ``heads`` that a key falls on."""
    return np.int64((key & np.uint64((1 << 40) - 1)) >> np.uint64(40 - state[2]))


@jit
def _prefix(size: int, threshold: float, kind: int) -> int:
    """How many of a set's elements to look at for all sets that are no smaller (_SHORT), or no larger (_LONG)."""
    share = 2 * threshold / (1 + threshold) if kind == _SHORT else threshold
    return min(size, size - int(np.ceil(size * share - _ROUNDED)) + 1)


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
    return int((1 - least) / (1 + least) * total + _ROUNDED)


@jit
def parities(shingles: Any, firsts: Any, lasts: Any, words: int) -> Any:
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
