"""Where the words of a query stand in a text, for people to see: words by their stem, phrases whole."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from gendata.search.terms import literal, parse

_STOP = "a an and are as at be but by for if in into is it no not of on or such that the their then there these they"
STOP_WORDS = frozenset(f"{_STOP} this to was will with".split())
"""English words that the full-text index leaves out; all other words of a query were looked for."""

_WORD = re.compile(r"[^\W_]+")
_VOWEL = re.compile(r"[aeiouy]")


class Mark(NamedTuple):
    """A match: code points of the text, and the part of the query that it matches."""

    start: int
    end: int
    term: str


@dataclass(frozen=True)
class Marker:
    """What to look for in the texts that a query found."""

    phrases: tuple[str, ...]
    stems: frozenset[str]

    @classmethod
    def of(cls, query: str) -> "Marker":
        """The phrases of a query and the stems of its other words; what it excludes is in no text anyway."""
        terms = parse(query)
        rest = terms.text
        for phrase in terms.phrases:
            rest = literal(phrase).sub(" ", rest, count=1)
        words = {word.lower() for word in _WORD.findall(rest)}
        return cls(terms.phrases, frozenset(map(stem, words - STOP_WORDS)))

    def find(self, text: str) -> list[Mark]:
        """The matches in a text, in its order; none overlaps another."""
        found = [Mark(*m.span(), phrase) for phrase in self.phrases for m in literal(phrase).finditer(text)]
        words = (Mark(*m.span(), stem(m[0])) for m in _WORD.finditer(text))
        found += [mark for mark in words if mark.term in self.stems]
        apart: list[Mark] = []
        for mark in sorted(found, key=lambda m: (m.start, -m.end)):
            if not apart or mark.start >= apart[-1].end:
                apart.append(mark)
        return apart


def stem(word: str) -> str:
    """A word without plain English endings: step 1 of Porter's stemmer (1980), and a final e.

    The index has the whole stemmer, out of reach from here: it also takes "generation" for "generate".
    """
    word = word.lower()
    if word.endswith(("sses", "ies")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us")):
        word = word[:-1]
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and _VOWEL.search(rest) and not word.endswith("eed"):
            doubled = rest[-2:-1] == rest[-1] and rest[-1] not in "lsz"
            word = rest[:-1] if doubled else rest
            break
    if word.endswith("y") and _VOWEL.search(word[:-1]):
        word = word[:-1] + "i"
    return word.removesuffix("e") if len(word) > 2 else word
