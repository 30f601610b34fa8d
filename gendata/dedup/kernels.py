"""The compiled loops over texts (numba): words, shingles, signatures, sets; whole numbers alone.

In one file: numba keeps what it compiled until that function's own file changes, whatever it calls.
"""

from typing import Any

import numpy as np

from gendata.compiled import jit as jit

LONGEST_WORD, ASCII, TABLED = 40, 0x80, 0x30000
WORD, ALONE, PUNCTUATION, SPACE = range(4)  # kinds of characters: part of a word, a word of its own, separators


_SEED, _TURN = np.uint64(0xCBF29CE484222325), 5
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@jit
def mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014): every input bit reaches every output bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@jit
def noise(char: Any) -> Any:
    """A random number for a character, the same everywhere."""
    return mix((np.uint64(char) + np.uint64(1)) * MULTIPLIER)


@jit
def _longer(value: Any, noise: Any) -> Any:
    """The hash of a word that is longer by a character (a cyclic polynomial, Cohen 1997): two short steps a letter."""
    return (value << np.uint64(_TURN) | value >> np.uint64(64 - _TURN)) ^ noise


@jit
def _character(data: Any, at: int) -> Any:
    """The character at a byte, and how many bytes it has. The bytes are UTF-8: Arrow has checked them."""
    first = np.uint32(data[at])
    if first < ASCII:
        return first, 1
    second = np.uint32(data[at + 1]) & np.uint32(0x3F)
    if first < 0xE0:
        return (first & np.uint32(0x1F)) << np.uint32(6) | second, 2
    third = np.uint32(data[at + 2]) & np.uint32(0x3F)
    if first < 0xF0:
        return (first & np.uint32(0x0F)) << np.uint32(12) | second << np.uint32(6) | third, 3
    fourth = np.uint32(data[at + 3]) & np.uint32(0x3F)
    high = (first & np.uint32(0x07)) << np.uint32(18) | second << np.uint32(12)
    return high | third << np.uint32(6) | fourth, 4


@jit
def _is_ascii(data: Any, start: int, stop: int) -> Any:
    every = np.uint8(0)
    for at in range(start, stop):
        every |= data[at]
    return every < ASCII


@jit
def _most_words(data: Any, start: int, stop: int, tables: Any) -> int:
    """How many words a text has at most: as many as characters, once folded."""
    starts, at, count = tables[5], start, 0
    while at < stop:
        char, size = _character(data, at)
        at += size
        count += starts[char + 1] - starts[char] if char < TABLED else 1
    return count


@jit
def word_hashes(data: Any, start: int, stop: int, normal: bool, tables: Any, words: Any) -> Any:
    """The words of the text ``data[start:stop]`` as hashes: an array that holds them, and how many they are.

    -1: it must be normalised first, unless it is ``normal``. ``words`` is used where it suffices.
    """
    if len(words) < stop - start or not _is_ascii(data, start, stop):
        room = _most_words(data, start, stop, tables)
        if len(words) < room:
            words = np.empty(room, np.uint64)
    count = _hash_words(data, start, stop, normal, False, tables, words)
    if count == 0:
        count = _hash_words(data, start, stop, normal, True, tables, words)
    return words, count


@jit
def _hash_words(  # noqa: C901  a call per letter would cost more than the letter
    data: Any, start: int, stop: int, normal: bool, characters: bool, tables: Any, words: Any
) -> int:
    """Fill ``words``; with ``characters`` each character that is not white space is a word."""
    letters, noises, kinds, composes, classes, starts, folded = tables
    recent = np.empty(LONGEST_WORD, np.uint32)
    count, length, value, at, before = 0, 0, _SEED, start, np.uint8(0)
    while at < stop:
        if data[at] < ASCII and length <= LONGEST_WORD and not characters:  # what most bytes are, on a short way
            letter = letters[data[at]]
            if letter and length < LONGEST_WORD:
                recent[length] = letter
                value = _longer(value, noises[data[at]])
                length, at, before = length + 1, at + 1, np.uint8(0)
                continue
            if not letter:
                if length:
                    words[count] = mix(value)
                    count += 1
                length, value, at, before = 0, _SEED, at + 1, np.uint8(0)
                continue
        char, size = _character(data, at)
        at += size
        first, last = 0, 1
        if char < TABLED:
            if not normal and (composes[char] or 0 < classes[char] < before):
                return -1
            before = classes[char]
            first, last = starts[char], starts[char + 1]
        for place in range(first, last):
            one = folded[place] if char < TABLED else char
            kind = kinds[one] if one < TABLED else ALONE if one < 0x40000 else WORD
            if characters and kind != SPACE:
                kind = ALONE
            if kind == WORD and length < LONGEST_WORD:
                recent[length] = one
                value = _longer(value, noise(one))
                length += 1
                continue
            if kind == WORD:  # a longer run: each character is a word
                if length == LONGEST_WORD:
                    for i in range(LONGEST_WORD):
                        words[count] = mix(_longer(_SEED, noise(recent[i])))
                        count += 1
                    length += 1
            else:
                if 0 < length <= LONGEST_WORD:
                    words[count] = mix(value)
                    count += 1
                length, value = 0, _SEED
            if kind <= ALONE:
                words[count] = mix(_longer(_SEED, noise(one)))
                count += 1
    if 0 < length <= LONGEST_WORD:
        words[count] = mix(value)
        count += 1
    return count


@jit
def shingle_hashes(words: Any, count: int, n: int) -> int:
    """The shingles of words, in order and with repeats, in the place of the words; how many."""
    n = min(n, count)
    for at in range(count - n + 1):
        value = words[at]
        for i in range(1, n):
            value = value * MULTIPLIER + words[at + i]
        words[at] = mix(value)
    return count - n + 1 if count else 0


@jit
def signature(shingles: Any, count: int, functions: Any, least: Any) -> None:
    """The least hash of ``count`` shingles under each function, in ``least``."""
    half = np.uint64(32)
    least[:] = np.uint32(0xFFFFFFFF)
    for at in range(0, count, 4):  # four at a time, the last perhaps twice: one load of a function serves them all
        a, b = np.uint32(shingles[at] >> half), np.uint32(shingles[min(at + 1, count - 1)] >> half)
        c, d = np.uint32(shingles[min(at + 2, count - 1)] >> half), np.uint32(shingles[min(at + 3, count - 1)] >> half)
        for function in range(len(least)):
            factor = functions[function]
            one, two = np.uint32(a * factor), np.uint32(b * factor)
            three, four = np.uint32(c * factor), np.uint32(d * factor)
            one = one if one < two else two
            three = three if three < four else four
            one = one if one < three else three
            least[function] = one if one < least[function] else least[function]


@jit
def sketch(texts: Any, normal: bool, tables: Any, n: int, functions: Any, made: Any) -> None:
    """Fill ``made``: keys (bands, texts), forms and counts of words (texts,), least (texts, some)."""
    data, offsets = texts
    keys, forms, counts, least_shingles = made
    rows = len(functions) // len(keys)
    words = np.empty(256, np.uint64)
    least = np.empty(len(functions), np.uint32)
    for text in range(len(forms)):
        words, count = word_hashes(data, offsets[text], offsets[text + 1], normal, tables, words)
        counts[text] = count
        if count <= 0:
            continue
        form = np.uint64(count)
        for at in range(count):
            form = form * MULTIPLIER + words[at]
        forms[text] = mix(form)
        count = shingle_hashes(words, count, n)
        _least_shingles(words, count, least_shingles[text])
        signature(words, count, functions, least)
        for band in range(len(keys)):
            key = np.uint64(band)
            for row in range(band * rows, (band + 1) * rows):
                key = mix(key * MULTIPLIER + np.uint64(least[row]))
            keys[band, text] = np.uint32(key >> np.uint64(32))


@jit
def _least_shingles(shingles: Any, count: int, least: Any) -> None:
    """The least distinct hashes of shingles, ascending; the rest of ``least`` stays as it is."""
    found, last = 0, len(least) - 1
    for at in range(count):
        value = np.uint32(shingles[at] >> np.uint64(32))
        if found > last and value >= least[last]:
            continue
        place = 0
        while place < found and least[place] < value:
            place += 1
        if place < found and least[place] == value:
            continue
        for later in range(min(found, last), place, -1):
            least[later] = least[later - 1]
        least[place] = value
        found = min(found + 1, last + 1)


@jit
def passing(texts: Any, normal: bool, tables: Any, n: int, sieve: Any, bounds: Any, counts: Any) -> Any:
    """The texts' shingles whose bit is set, distinct, one text after the other. And whether all is well: see ``sets``.

    ``sieve``: a bit for all hashes that are equal once shifted, and how far to shift. Fills ``bounds``, and
    ``counts`` of all shingles.
    """
    data, offsets = texts
    bits, shift = sieve
    words, found, end = np.empty(256, np.uint64), np.empty(256, np.uint64), 0
    for text in range(len(offsets) - 1):
        words, count = word_hashes(data, offsets[text], offsets[text + 1], normal, tables, words)
        if count < 0:
            return found[:0], False
        count = shingle_hashes(words, count, n)
        counts[text] = count
        for at in range(count):
            bit = words[at] >> np.uint64(shift)
            if bits[bit >> np.uint64(3)] >> (bit & np.uint64(7)) & np.uint64(1):
                if end == len(found):
                    end = _distinct(found, bounds[text], end)
                if 2 * end > len(found):
                    found = _grown(found, end, 4 * end)
                found[end] = words[at]
                end += 1
        end = _distinct(found, bounds[text], end)
        bounds[text + 1] = end
    return found[:end], True


@jit
def _grown(values: Any, end: int, room: int) -> Any:
    return np.concatenate((values[:end], np.empty(room - end, np.uint64)))


@jit
def _distinct(values: Any, start: int, end: int) -> int:
    """Sort values from ``start`` to ``end`` and drop repeats; where they end then."""
    some, kept = values[start:end], start
    some.sort()
    for at in range(len(some)):
        if at == 0 or some[at] != values[kept - 1]:
            values[kept] = some[at]
            kept += 1
    return kept


@jit
def sets(texts: Any, normal: bool, tables: Any, n: int, bounds: Any) -> Any:
    """The shingle sets of texts, ascending, one after the other; fills ``bounds``. And whether all is well.

    It is not if a text must be normalised first.
    """
    data, offsets = texts
    words, found, end = np.empty(256, np.uint64), np.empty(256, np.uint64), 0
    for text in range(len(offsets) - 1):
        words, count = word_hashes(data, offsets[text], offsets[text + 1], normal, tables, words)
        if count < 0:
            return found[:0], False
        count = shingle_hashes(words, count, n)
        if end + count > len(found):
            found = _grown(found, end, 2 * (end + count))
        found[end : end + count] = words[:count]
        end = _distinct(found, end, end + count)
        bounds[text + 1] = end
    return found[:end], True
