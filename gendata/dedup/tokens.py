"""The compiled loops that cut texts into words, each a 64-bit hash; see ``words``."""

from typing import Any

import numpy as np

from gendata.compiled import MULTIPLIER, jit, mix

LONGEST_WORD, ASCII, TABLED = 40, 0x80, 0x30000
WORD, ALONE, PUNCTUATION, SPACE = range(4)  # kinds of characters: part of a word, a word of its own, separators

_SEED, _TURN, _BACK, _BITS = np.uint64(0), np.uint64(5), np.uint64(64 - 5), np.uint64(63)
_BLOCK = 64  # bytes
_ROOM = 128  # words beside one for each byte
MOST_FOLDED = 18  # characters that one is folded to
FEW = 20  # words, below which the signs of a text count
_UNFIT, _SHORT = -1, -2
_NO, _YES, _LONGEST = np.uint64(0), np.uint64(1), np.uint64(LONGEST_WORD)
_START: Any = np.int64(0)  # a plain 0 is a type of its own, for which all that it is given to is compiled once more


@jit
def noise(char: Any) -> Any:
    """A random number for a character, the same everywhere."""
    return mix((np.uint64(char) + np.uint64(1)) * MULTIPLIER)


@jit
def cut(texts: Any, normal: bool, tables: Any, bounds: Any, unfit: Any, signs: Any) -> Any:
    """The words of texts, one text after the other: text i's are from ``bounds[i]`` to ``bounds[i + 1]``.

    Fills ``bounds`` and ``unfit``: the texts that must be normalised first, unless they are ``normal``, whose words
    are missing; and ``signs`` of those that have few words, 0 for others.
    """
    data, offsets = texts
    words, end = np.empty(offsets[-1] - offsets[0] + _ROOM, np.uint64), _START
    for text in range(len(offsets) - 1):
        bytes_ = data[offsets[text] : offsets[text + 1]]
        words = _with_room(words, end, len(bytes_))
        found = _words(bytes_, normal, tables[:6], words, end)
        if found == _SHORT:
            words = _with_room(words, end, MOST_FOLDED * len(bytes_))
            found = _words(bytes_, normal, tables[:6], words, end)
        unfit[text] = found == _UNFIT
        signs[text] = _signs(bytes_, tables) if end < found < end + FEW else _NO
        end = max(end, found)
        bounds[text + 1] = end
    return words[:end]


@jit
def _with_room(words: Any, end: int, more: int) -> Any:
    """The words, with room for some more."""
    if end + more + _ROOM <= len(words):
        return words
    return np.concatenate((words[:end], np.empty(end + 2 * more + _ROOM, np.uint64)))


@jit
def _words(text: Any, normal: bool, tables: Any, words: Any, end: int) -> int:
    """Add the words of a text behind ``end``; where they end then. Or _UNFIT, or _SHORT if they have no room."""
    start = end
    at, end, value, length, longest = _ascii(text, _START, tables[0], words, end, (_SEED, _NO, _NO))
    if at < len(text):
        end, value, length, longest = _mixed(text, at, normal, tables, words, end, (value, length, longest))
    runs = longest > _LONGEST
    if end < 0 and not runs:
        return end
    if length and not runs:
        words[end] = value
        end += 1
    if runs or end == start:
        return _words_with_runs(text, normal, not runs, tables, words, start)
    for word in range(start, end):
        words[word] = mix(words[word])
    return end


@jit
def _mixed(text: Any, at: int, normal: bool, tables: Any, words: Any, end: int, state: Any) -> Any:
    """Go on with a text where it is not ASCII; where its words end, and ``state``."""
    noises, kinds, composes, classes, starts, folded = tables
    value, length, longest = state
    while at < len(text):
        mark = np.uint8(0)
        while at < len(text) and text[at] >= ASCII:
            char, size = _character(text, at)
            at += size
            first, last = 0, 1
            if char < TABLED:
                if not normal and (composes[char] or 0 < classes[char] < mark):
                    return _UNFIT, value, length, longest
                mark, first, last = classes[char], starts[char], starts[char + 1]
                if end + (last - first) + (len(text) - at) + 1 >= len(words):
                    return _SHORT, value, length, longest
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
        at, end, value, length, longest = _ascii(text, at, noises, words, end, (value, length, longest))
    return end, value, length, longest


@jit
def _ascii(text: Any, at: int, noises: Any, words: Any, end: int, state: Any) -> Any:
    """Go on with a text as far as it is ASCII.

    Returns:
        Where it stops, where the words end, and ``state``: the hash of the word at hand, its length, and the longest.
    """
    value, before, longest = state
    some = text[at : _ascii_stop(text, at)]
    found = _ends(some, noises, words[end:], value, before)
    longest = max(longest, _settled(some, noises, words[end:], found + 1, before))
    value, length, place = words[end + found], _NO, len(some)
    while place > 0 and noises[some[place - 1]]:
        place, length = place - 1, length + _YES
    length += before if place == 0 else _NO
    return at + len(some), end + found, value if length else _SEED, length, longest


@jit
def _ascii_stop(text: Any, at: int) -> int:
    """Where a text is no longer ASCII."""
    while at + _BLOCK <= len(text):
        every = np.uint8(0)
        for byte in text[at : at + _BLOCK]:  # without a way out, so that many are looked at at once
            every |= byte
        if every >= ASCII:
            break
        at += _BLOCK
    while at < len(text) and text[at] < ASCII:
        at += 1
    return at


@jit
def _ends(text: Any, noises: Any, words: Any, value: Any, length: Any) -> Any:
    """Where words end in ASCII: ``words[2 k]`` is the hash of all letters before that of word k, ``words[2 k + 1]`` it.

    No branch depends on where they end, and no letter waits for the hash of those before it: each is turned by its
    place. The letters at the end stand behind the last word, and are not counted. ``value``, ``length``: of the word
    at hand.
    """
    total, turn, before, end = value << _TURN | value >> _BACK, _NO, np.uint64(length != 0), _NO
    for place in range(np.uint64(len(text))):
        letter = noises[text[place]]
        words[end], words[end + _YES] = total, np.uint64(place)
        inside = np.uint64(letter != 0)
        end += (before & (inside ^ _YES)) << _YES
        total ^= letter << turn | letter >> (np.uint64(64) - turn & _BITS)
        before, turn = inside, (turn - _TURN) & _BITS
    words[end], words[end + _YES] = total, np.uint64(len(text))
    return np.int64(end >> _YES)


@jit
def _settled(text: Any, noises: Any, words: Any, count: int, length: Any) -> Any:
    """Hashes of words from what ``_ends`` left, in its place; the most letters of one that may be too long."""
    before, last, longest = _NO, _NO, _NO
    for word in range(count):
        total, place = words[2 * word], words[2 * word + 1]
        turn = _TURN * (place - _YES) & _BITS
        value = total ^ before
        words[word] = value << turn | value >> (np.uint64(64) - turn & _BITS)
        if place - last + length > _LONGEST:
            letters, first = _NO, np.int64(place)
            while first > 0 and noises[text[first - 1]]:
                first, letters = first - 1, letters + _YES
            longest = max(longest, letters + (length if first == 0 else _NO))
        before, last = total, place
    return longest


@jit
def _words_with_runs(text: Any, normal: bool, characters: bool, tables: Any, words: Any, end: int) -> int:
    """As ``_words``, where a character of a longer run is a word; with ``characters`` each that is not white space."""
    _, kinds, composes, classes, starts, folded = tables
    recent = np.empty(LONGEST_WORD, np.uint32)
    length, at, mark = 0, 0, np.uint8(0)
    while at < len(text):
        char, size = _character(text, at)
        at += size
        if not normal and char < TABLED and (composes[char] or 0 < classes[char] < mark):
            return _UNFIT
        mark = classes[char] if char < TABLED else np.uint8(0)
        first, last = (starts[char], starts[char + 1]) if char < TABLED else (0, 1)
        if end + LONGEST_WORD + (last - first) + (len(text) - at) >= len(words):
            return _SHORT
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
    return end


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
def _signs(text: Any, tables: Any) -> Any:
    """A hash of the signs in a text, each with the number of words before it; not 0."""
    _, kinds, _, _, starts, folded, signs = tables
    value, words, at = _SEED, _NO, 0
    last, inside, before, digit, decimal = np.uint32(0), False, False, False, False  # the character before, and its own
    while at < len(text):
        char, size = _character(text, at)
        at += size
        first, end = (starts[char], starts[char + 1]) if char < TABLED else (0, 1)
        for place in range(first, end):
            one = folded[place] if char < TABLED else char
            kind, number = _kind(one, kinds), 48 <= one <= 57
            if number and ((last == 45 and not before) or (decimal and (last == 44 or last == 46))):
                value = mix(value ^ noise(45 if last == 45 else 46) + words)  # a minus; a decimal point or comma
            if one < TABLED and signs[one]:
                value = mix(value ^ noise(one) + words)
            if kind == ALONE or (kind == WORD and not inside):
                words += _YES
            last, before, decimal = one, inside, digit
            inside, digit = kind == WORD, number
    return value | _YES


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
