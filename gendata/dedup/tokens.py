"""The compiled loops that cut texts into words, each a 64-bit hash; see ``words``."""

from typing import Any

import numpy as np

from gendata.dedup.compiled import MULTIPLIER, jit, mix

LONGEST_WORD, ASCII, TABLED = 40, 0x80, 0x30000
WORD, ALONE, PUNCTUATION, SPACE = range(4)  # kinds of characters: part of a word, a word of its own, separators

_SEED, _TURN, _BACK = np.uint64(0xCBF29CE484222325), np.uint64(5), np.uint64(64 - 5)
_ROOM = 64  # over a word for each byte that is to come: more than any character is folded to
_UNFIT, _LONG = -1, -2
_NO, _YES, _MOST = np.uint64(0), np.uint64(1), np.uint64(LONGEST_WORD)


@jit
def noise(char: Any) -> Any:
    """A random number for a character, the same everywhere."""
    return mix((np.uint64(char) + np.uint64(1)) * MULTIPLIER)


@jit
def cut(texts: Any, normal: bool, tables: Any, bounds: Any, unfit: Any) -> Any:
    """The words of texts, one text after the other: text i's are from ``bounds[i]`` to ``bounds[i + 1]``.

    Fills ``bounds`` and ``unfit``: the texts that must be normalised first, unless they are ``normal``, whose words
    are missing.
    """
    data, offsets = texts
    words, end = np.empty(offsets[-1] - offsets[0] + _ROOM, np.uint64), 0
    for text in range(len(offsets) - 1):
        bytes_ = data[offsets[text] : offsets[text + 1]]
        words, found = _words(bytes_, normal, tables, words, end)
        if found == _LONG:
            words, found = _words_with_runs(bytes_, normal, False, tables, words, end)
        elif found == end:
            words, found = _words_with_runs(bytes_, normal, True, tables, words, end)
        unfit[text] = found == _UNFIT
        end = max(end, found)
        bounds[text + 1] = end
    return words[:end]


@jit
def _words(text: Any, normal: bool, tables: Any, words: Any, end: int) -> Any:
    """Add the words of a text behind ``end``; the array, and where they end.

    Or _UNFIT, or _LONG if it has a run of over LONGEST_WORD characters.
    """
    words = _with_room(words, end, len(text))
    start = end
    at, end, value, length, longest = _ascii(text, 0, tables[0], words, end, (_SEED, _NO, _NO))
    if at < len(text):
        words, end, value, length, longest = _mixed(text, at, normal, tables, words, end, (value, length, longest))
        if end == _UNFIT:
            return words, _UNFIT
    if longest > _MOST:
        return words, _LONG
    if length:
        words[end] = value
        end += 1
    for word in range(start, end):
        words[word] = mix(words[word])
    return words, end


@jit
def _mixed(text: Any, at: int, normal: bool, tables: Any, words: Any, end: int, state: Any) -> Any:
    """Go on with a text where it is not ASCII; what comes of it, and of the word at hand."""
    noises, kinds, composes, classes, starts, folded = tables
    value, length, longest = state
    mark, before = np.uint8(0), at
    while at < len(text):
        mark = mark if at == before else np.uint8(0)
        char, size = _character(text, at)
        at += size
        if not normal and char < TABLED and (composes[char] or 0 < classes[char] < mark):
            return words, _UNFIT, value, length, longest
        mark = classes[char] if char < TABLED else np.uint8(0)
        first, last = (starts[char], starts[char + 1]) if char < TABLED else (0, 1)
        words = _with_room(words, end, len(text) - at)
        for place in range(first, last):
            one = folded[place] if char < TABLED else char
            kind = _kind(one, kinds)
            if kind == WORD:
                value, length = _longer(value, noise(one)), length + _YES
                longest = max(longest, length)
                continue
            if length:
                words[end] = value
                end += 1
            if kind == ALONE:
                words[end] = _longer(_SEED, noise(one))
                end += 1
            value, length = _SEED, _NO
        before = at
        at, end, value, length, longest = _ascii(text, at, noises, words, end, (value, length, longest))
    return words, end, value, length, longest


@jit
def _ascii(text: Any, at: int, noises: Any, words: Any, end: int, state: Any) -> Any:
    """Go on with a text as far as it is ASCII.

    No branch depends on where words end: what has been read of one is written after each letter, and stays where the
    next is none.

    Returns:
        Where it stops, where the words end, and ``state``: the hash of the word at hand, its length, and the longest.
    """
    value, length, longest = state
    before = np.uint64(length != 0)
    while at < len(text) and text[at] < ASCII:
        letter = noises[text[at]]
        inside = np.uint64(letter != 0)
        words[end] = value
        ended: Any = np.int64(before & (inside ^ _YES))
        end += ended
        before, mask = inside, _NO - inside
        value = (_longer(value, letter) & mask) | (_SEED & ~mask)
        length = (length + _YES) & mask
        longest = max(longest, length)
        at += 1
    return at, end, value, length, longest


@jit
def _words_with_runs(text: Any, normal: bool, characters: bool, tables: Any, words: Any, end: int) -> Any:
    """The same, where a character of a longer run is a word; with ``characters`` each that is not white space."""
    _, kinds, composes, classes, starts, folded = tables
    recent = np.empty(LONGEST_WORD, np.uint32)
    length, at, mark = 0, 0, np.uint8(0)
    while at < len(text):
        char, size = _character(text, at)
        at += size
        if not normal and char < TABLED and (composes[char] or 0 < classes[char] < mark):
            return words, _UNFIT
        mark = classes[char] if char < TABLED else np.uint8(0)
        first, last = (starts[char], starts[char + 1]) if char < TABLED else (0, 1)
        words = _with_room(words, end + length, len(text) - at)
        for place in range(first, last):
            one = folded[place] if char < TABLED else char
            kind = _kind(one, kinds)
            if kind == WORD and length < LONGEST_WORD and not characters:
                recent[length] = one
                length += 1
                continue
            if 0 < length <= LONGEST_WORD:
                end = _flushed(recent[:length], kind == WORD, words, end)
            length = length + 1 if kind == WORD else 0
            if kind <= ALONE or (characters and kind != SPACE):
                words[end] = mix(_longer(_SEED, noise(one)))
                end += 1
    if 0 < length <= LONGEST_WORD:
        end = _flushed(recent[:length], False, words, end)
    return words, end


@jit
def _flushed(recent: Any, apart: bool, words: Any, end: int) -> int:
    """Add characters as one word, or each ``apart``; where the words end then."""
    value = _SEED
    for char in recent:
        value = _longer(_SEED if apart else value, noise(char))
        if apart:
            words[end] = mix(value)
            end += 1
    if not apart:
        words[end] = mix(value)
        end += 1
    return end


@jit
def _with_room(words: Any, end: int, bytes_: int) -> Any:
    """The words, with room for as many as there are bytes to come, and those of the character at hand."""
    if end + bytes_ + _ROOM <= len(words):
        return words
    return np.concatenate((words[:end], np.empty(end + 2 * bytes_ + 2 * _ROOM, np.uint64)))


@jit
def _kind(char: Any, kinds: Any) -> Any:
    """The kind of a folded character."""
    return kinds[char] if char < TABLED else ALONE if char < 0x40000 else WORD


@jit
def _longer(value: Any, noise: Any) -> Any:
    """The hash of a word that is longer by a character (a cyclic polynomial, Cohen 1997): two short steps a letter."""
    return (value << _TURN | value >> _BACK) ^ noise


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
