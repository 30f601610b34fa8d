"""The words of texts and their shingles, as hashes, from Arrow's buffers: no Python object per text.

A text's **words**, after NFKC and casefolding, are its runs of characters that are neither white space nor punctuation
(of any script, with signs of mathematics and currencies; emoji are words). What cannot be seen, as soft hyphens and
joiners, is left out. Each character of a script written without spaces (Chinese, Japanese, Thai, Lao, Tibetan, Burmese,
Khmer) is a word of its own, and so is each character of a run of more than 40 (DNA, base64). A text that has
punctuation only is taken character by character. Its **shingles** are all sequences of n words; a text of fewer words
is one shingle. Words and shingles are 64-bit hashes: two that differ fall together with probability 2^-64.

Of texts of fewer than 20 words the **signs** count, too, with their place: those of mathematics and currencies, ``# % &
* / @ ^`` and the backslash, a minus and a decimal point. ``x > 0`` and ``x < 0``, C++ and C# have the same words and
say something else; in longer texts a sign is no more than an edit.

NFKC goes character by character as long as no character of a text may compose with the one before it or change
places with it (the quick check of UAX #15); the texts where one may are normalised by Python first.
"""

import functools
import re
import unicodedata
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata.dedup.tokens import ALONE, ASCII, PUNCTUATION, SPACE, TABLED, WORD, cut, noise

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_UNSPACED = (  # first and last of ranges
    *("\u0e00\u0eff", "\u0f00\u0fff", "\u1000\u109f", "\u1780\u17ff", "\u2e80\u2fdf", "\u3005\u3007", "\u3040\u312f"),
    *("\u31a0\u31ff", "\u3400\u4dbf", "\u4e00\u9fff", "\uf900\ufaff", "\U00020000\U0002ffff"),
)
_PUNCTUATION = ("\x00/", ":@", "[`", "{\xa9", "\xab\xb4", "\xb6\xb9", "\xbb\xbf", "\u200b\u200b")
_SEPARATES = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc"})  # categories; other symbols are words
_SIGNS = frozenset({"Sm", "Sc"})  # categories: of mathematics, currencies
_SIGNS_OF_ASCII = "#%&*/@\\^"
_UNSEEN = "\xad\u061c\u200c-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
"""Soft hyphens, joiners and marks of direction: no part of a word, and no end of one."""


class Tables(NamedTuple):
    """What becomes of each character below 0x30000.

    ``noises``: what a letter or digit of ASCII is hashed by, 0 for what is no part of a word; ``kinds`` (of a folded
    character); ``composes``: whether it may with the one before; ``classes``: canonical combining; and what it is
    folded to, ``folded[starts[c]:starts[c + 1]]``; and which (folded) ones are ``signs``.
    """

    noises: Hashes
    kinds: npt.NDArray[np.uint8]
    composes: npt.NDArray[np.bool_]
    classes: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int32]
    folded: npt.NDArray[np.uint32]
    signs: npt.NDArray[np.bool_]


@functools.cache
def tables() -> Tables:
    """Made from Python's own tables, in a tenth of a second."""
    kinds = np.full(TABLED, WORD, np.uint8)
    for ranges, kind in ((_UNSPACED, ALONE), (_PUNCTUATION, PUNCTUATION)):
        for pair in ranges:
            kinds[ord(pair[0]) : ord(pair[1]) + 1] = kind
    characters = [chr(c) if not 0xD800 <= c < 0xE000 else " " for c in range(TABLED)]  # Arrow holds no surrogates
    kinds[[c for c, one in enumerate(characters) if unicodedata.category(one) in _SEPARATES]] = PUNCTUATION
    kinds[[c for c, one in enumerate(characters) if one.isspace()]] = SPACE
    pairs = ((c, unicodedata.decomposition(c).split()) for c in characters if unicodedata.normalize("NFC", c) == c)
    composing = {int(pair[1], 16) for _, pair in pairs if len(pair) == 2 and not pair[0].startswith("<")}
    composing |= {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}  # vowels and finals of Hangul
    normal = [unicodedata.normalize("NFKC", character) for character in characters]
    marked = (any(ord(c) in composing or unicodedata.combining(c) for c in text[1:]) for text in normal)
    composes = np.fromiter(marked, bool, TABLED) | [ord(text[0]) in composing for text in normal]
    composes[sorted(composing)] = True
    classes = np.fromiter(map(unicodedata.combining, characters), np.uint8, TABLED)
    unseen = re.compile(f"[{_UNSEEN}]")
    folded = [unseen.sub("", text.casefold()) for text in normal]
    noises = np.array([noise(ord(folded[c])) if kinds[c] == WORD else 0 for c in range(ASCII)], np.uint64)
    starts = np.concatenate(([0], np.cumsum([len(text) for text in folded]))).astype(np.int32)
    every = np.array([ord(c) for text in folded for c in text], np.uint32)
    signs = np.array([unicodedata.category(c) in _SIGNS or c in _SIGNS_OF_ASCII for c in characters])
    return Tables(noises, kinds, composes, classes, starts, every, signs)


class Flat(NamedTuple):
    """Hashes of some texts, one text after the other: text i's are ``hashes[bounds[i]:bounds[i + 1]]``."""

    hashes: Hashes
    bounds: Ints


class Words(NamedTuple):
    """The words of some texts, as in Flat; and ``signs`` (texts,), a hash of a text's, 0 where it has many words."""

    hashes: Hashes
    bounds: Ints
    signs: Hashes


def words(texts: pa.Array) -> Words:
    """The words of texts (string or large_string); of a null, none."""
    bounds, unfit, signs = (
        np.zeros(len(texts) + 1, np.int64),
        np.zeros(len(texts), bool),
        np.zeros(len(texts), np.uint64),
    )
    found = cut(_buffers(texts), False, tuple(tables()), bounds, unfit, signs)
    if unfit.any():  # all anew: few batches hold one text that must be normalised and many that need not
        found = cut(_buffers(_normalised(texts)), True, tuple(tables()), bounds, unfit, signs)
    return Words(found, bounds, signs)


def _buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], Ints]:
    """UTF-8 bytes, and offsets (texts + 1,)."""
    if texts.null_count:
        texts = pc.fill_null(texts, "")
    _, offsets, data = texts.buffers()
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    places = np.frombuffer(offsets, kind)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"", np.uint8), places.astype(np.int64)


def _normalised(texts: pa.Array) -> pa.Array:
    """Texts in NFKC; Arrow's own function for it does not compose."""
    return pa.array([unicodedata.normalize("NFKC", text or "") for text in texts.to_pylist()], pa.large_string())
