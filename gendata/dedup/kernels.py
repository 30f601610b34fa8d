"""The compiled loops over the words of texts: forms, shingles, signatures, sets; whole numbers alone.

All take hashes of some texts, one text after the other: text i's are from ``bounds[i]`` to ``bounds[i + 1]``.
"""

from typing import Any

import numpy as np

from gendata.compiled import MULTIPLIER, jit, mix, sort

_HALF = np.uint64(32)
_EVERY: Any = np.int64(1 << 32)  # above all hashes
_LOW = 3  # times as many hashes as are asked for that are looked at first
_CROWDED = 32  # hashes in one part of the range, from which insertion is slow


@jit
def forms(words: Any, bounds: Any) -> Any:
    """A hash of all words of each text in their order."""
    found = np.empty(len(bounds) - 1, np.uint64)
    for text in range(len(found)):
        form = np.uint64(bounds[text + 1] - bounds[text])
        for at in range(bounds[text], bounds[text + 1]):
            form = form * MULTIPLIER + words[at]
        found[text] = mix(form)
    return found


@jit
def shingles(words: Any, bounds: Any, n: int) -> Any:
    """The shingles of ``n`` words, in order and with repeats, in the place of the words; changes ``bounds``.

    A text of fewer words is one shingle.
    """
    end, start = 0, 0
    for text in range(len(bounds) - 1):
        stop = bounds[text + 1]
        size = min(n, stop - start)
        value, power = np.uint64(0), np.uint64(1)
        for at in range(start, start + size):
            value, power = value * MULTIPLIER + words[at], power * MULTIPLIER
        for at in range(start, stop - size + (size > 0)):  # from one to the next in two steps (Karp and Rabin 1987)
            first = words[at]
            words[end] = mix(value)
            end += 1
            if at + size < stop:
                value = value * MULTIPLIER + words[at + size] - first * power
        start, bounds[text + 1] = stop, end
    return words[:end]


@jit
def signatures(shingles: Any, bounds: Any, functions: Any, keys: Any) -> None:
    """Fill ``keys`` (texts, bands) of the texts that have shingles."""
    bands = keys.shape[1]
    rows = len(functions) // bands
    least = np.empty(len(functions), np.uint32)
    for text in range(len(bounds) - 1):
        start, count = bounds[text], bounds[text + 1] - bounds[text]
        if not count:
            continue
        _signature(shingles[start : start + count], functions, least)
        for band in range(bands):
            key = np.uint64(band)
            for row in range(band * rows, (band + 1) * rows):
                key = (key + np.uint64(least[row])) * MULTIPLIER
                key ^= key >> _HALF
            keys[text, band] = np.uint32(mix(key) >> _HALF)


@jit
def _signature(shingles: Any, functions: Any, least: Any) -> None:
    """The least hash of shingles under each function."""
    last = len(shingles) - 1
    least[:] = np.uint32(0xFFFFFFFF)
    for at in range(0, len(shingles), 4):  # four at a time, the last perhaps twice: one load of a function serves all
        a, b = np.uint32(shingles[at] >> _HALF), np.uint32(shingles[min(at + 1, last)] >> _HALF)
        c, d = np.uint32(shingles[min(at + 2, last)] >> _HALF), np.uint32(shingles[min(at + 3, last)] >> _HALF)
        for function in range(len(least)):
            factor = functions[function]
            one, two = np.uint32(a * factor), np.uint32(b * factor)
            three, four = np.uint32(c * factor), np.uint32(d * factor)
            one = one if one < two else two
            three = three if three < four else four
            one = one if one < three else three
            least[function] = one if one < least[function] else least[function]


@jit
def least(shingles: Any, bounds: Any, found: Any) -> None:
    """Fill ``found`` (texts, some) with the least distinct hashes of each text, ascending; the rest stays as it is."""
    low = np.empty(0, np.uint32)
    for text in range(len(bounds) - 1):
        some = shingles[bounds[text] : bounds[text + 1]]
        if len(some) >= len(low):
            low = np.empty(2 * len(some) + 1, np.uint32)
        most = (_LOW * found.shape[1] << 32) // max(1, len(some))  # hashes are spread evenly: few are as low
        count = _ascending(low[: _below(some, most, low)], found[text])
        if count < found.shape[1] and most >> 32 == 0:  # many repeats
            _ascending(low[: _below(some, _EVERY, low)], found[text])


@jit
def _below(shingles: Any, most: int, low: Any) -> int:
    """Put the hashes that are not above ``most`` into ``low``; how many they are."""
    count = 0
    for shingle in shingles:
        value = np.int64(shingle >> _HALF)
        low[count] = value
        passes: Any = np.int64(value <= most)
        count += passes
    return count


@jit
def _ascending(hashes: Any, row: Any) -> int:
    """Fill a row with the least distinct hashes, as far as there are some; how many there are."""
    last, count = len(row) - 1, 0
    for value in hashes:
        if count > last and value >= row[last]:
            continue
        place = 0
        while place < count and row[place] < value:
            place += 1
        if place < count and row[place] == value:
            continue
        for later in range(min(count, last), place, -1):
            row[later] = row[later - 1]
        row[place] = value
        count = min(count + 1, last + 1)
    return count


@jit
def distinct(shingles: Any, bounds: Any) -> Any:
    """The sets of shingles, ascending and without repeats, in their place; changes ``bounds``."""
    end, start, spare, ends = 0, 0, np.empty(0, np.uint64), np.empty(0, np.int64)
    for text in range(len(bounds) - 1):
        some = shingles[start : bounds[text + 1]]
        if len(some) > len(spare):
            spare, ends = np.empty(2 * len(some), np.uint64), np.empty(4 * len(some) + 1, np.int64)
        _sort(some, spare, ends)
        first = end
        for value in some:
            if end == first or value != shingles[end - 1]:
                shingles[end] = value
                end += 1
        start, bounds[text + 1] = bounds[text + 1], end
    return shingles[:end]


@jit
def _sort(hashes: Any, spare: Any, ends: Any) -> None:
    """Sort hashes, which are spread evenly: by their upper bits, then by insertion. ``spare``, ``ends``: room."""
    bits = 1
    while 1 << bits < len(hashes):
        bits += 1
    shift, most = np.uint64(64 - bits), 0
    ends[: (1 << bits) + 1] = 0
    for value in hashes:
        ends[np.int64(value >> shift) + 1] += 1
    for bucket in range(1 << bits):
        most = max(most, ends[bucket + 1])
        ends[bucket + 1] += ends[bucket]
    if most > _CROWDED:  # repeats, mostly
        sort(hashes)
        return
    for value in hashes:
        part: Any = np.int64(value >> shift)
        spare[ends[part]] = value
        ends[part] += 1
    for at in range(len(hashes)):
        value, place = spare[at], at
        while place > 0 and hashes[place - 1] > value:
            hashes[place] = hashes[place - 1]
            place -= 1
        hashes[place] = value


@jit
def passing(shingles: Any, bounds: Any, sieve: Any) -> Any:
    """The shingles whose bit is set, and their bounds.

    ``sieve``: a bit for all hashes that are equal once shifted, how far to shift, and the most that passes.
    """
    bits, shift, most = sieve
    found, ends, end = np.empty(1024, np.uint64), np.zeros(len(bounds), np.int64), 0
    for text in range(len(bounds) - 1):
        for at in range(bounds[text], bounds[text + 1]):
            value = shingles[at]
            if value > most:
                continue
            bit = value >> np.uint64(shift)
            found[end] = value
            passes: Any = bits[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7)) & np.uint8(1)
            end += passes
            if end == len(found):
                found = np.concatenate((found, np.empty(end, np.uint64)))
        ends[text + 1] = end
    return found[:end], ends
