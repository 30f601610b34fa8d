"""Measures of generated texts: variety, repetition, verbatim overlap with the training data, bits per byte."""

import bz2
import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gendata.engine import Progress
from gendata.models.tokens import SEPARATOR

_BLOCK = 1 << 20


class Overlap(NamedTuple):
    """The longest run of bytes of a text that stands in the training data, the first of equally long ones."""

    length: int
    """In bytes. 0 if the text shares no byte with any document; the rest is then 0 too."""
    offset: int
    """Where it begins in the text, in bytes."""
    document: int
    """Which training document has it, counted from 0."""
    document_offset: int
    """Where it begins in that document, in bytes."""


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct n-grams of words per n-gram, over all texts, 0 to 1; 0 where no text has n words.

    Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation Models", who divide by words.
    It falls with the number of words, so compare equal amounts. Words are what white space separates.
    """
    grams = [gram for text in texts for gram in _ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(texts: Iterable[str], n: int = 4) -> float:
    """The share of n-grams of words that the same text had before, 0 to 1: the mean over texts of n words or more.

    seq-rep-n of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training"; 0 where no text has n words.
    """
    shares = [1 - len(set(grams)) / len(grams) for text in texts if (grams := _ngrams(text, n))]
    return sum(shares) / len(shares) if shares else 0.0


def bits_per_byte(nats_per_token: float, tokens: int, n_bytes: int) -> float:
    """A mean loss over tokens as bits per byte of text, which compares models of any tokens.

    Gao et al. 2020, "The Pile", section 3.1.

    Args:
        nats_per_token: Mean cross-entropy with the natural logarithm.
        tokens: How many tokens the mean is over, separators included.
        n_bytes: Length of their texts in UTF-8.

    Raises:
        ValueError: there is no byte.
    """
    if n_bytes < 1:
        raise ValueError(f"n_bytes: must be at least 1, not {n_bytes}")
    return nats_per_token * tokens / (n_bytes * math.log(2))


def compressed(texts: Iterable[bytes]) -> dict[str, float]:
    """Bits per byte that gzip (deflate, level 9) and bz2 need for texts, one after the other; read once, not kept.

    Raises ValueError if there is no byte.
    """
    packers: dict[str, Any] = {"gzip": zlib.compressobj(9), "bz2": bz2.BZ2Compressor(9)}
    sizes, n_bytes = dict.fromkeys(packers, 0), 0
    for text in texts:
        n_bytes += len(text)
        for name, packer in packers.items():
            sizes[name] += len(packer.compress(text))
    if not n_bytes:
        raise ValueError("texts: must hold at least one byte")
    return {name: 8 * (sizes[name] + len(packer.flush())) / n_bytes for name, packer in packers.items()}


def self_bleu(texts: Iterable[str], longest: int = 4) -> float:
    """BLEU of each text with all others as its references, 0 to 1: the mean over texts of ``longest`` words or more.

    Zhu et al. 2018, "Texygen". A precision without a match counts a tenth of one (Chen & Cherry 2014, method 1); the
    reference length is the closest, the shorter of two. 0 where there are not two such texts.
    """
    counts = [[Counter(_ngrams(text, n)) for n in range(1, longest + 1)] for text in texts]
    counts = [grams for grams in counts if grams[-1]]
    if len(counts) < 2:
        return 0.0
    most: Counter[tuple[str, ...]] = Counter()  # the highest count of each n-gram in a text, and the next one
    second: Counter[tuple[str, ...]] = Counter()
    for gram, count in (pair for grams in counts for each in grams for pair in each.items()):
        most[gram], second[gram] = max(most[gram], count), max(second[gram], min(most[gram], count))
    lengths = Counter(grams[0].total() for grams in counts)
    return sum(_bleu(grams, most, second, lengths) for grams in counts) / len(counts)


def _bleu(
    grams: Sequence[Counter[tuple[str, ...]]],
    most: Counter[tuple[str, ...]],
    second: Counter[tuple[str, ...]],
    lengths: Counter[int],
) -> float:
    """Of a text that is itself one of those counted in ``most``, ``second`` and ``lengths``."""
    logs = 0.0
    for own in grams:
        matches = sum(min(n, second[gram] if most[gram] == n else most[gram]) for gram, n in own.items())
        logs += math.log((matches or 0.1) / own.total()) / len(grams)
    length = grams[0].total()
    others = lengths - Counter([length])
    closest = min(others, key=lambda other: (abs(other - length), other))
    return math.exp(logs + min(0.0, 1 - closest / length))


def documents(tokens: NDArray[np.uint16]) -> Iterator[bytes]:
    """The texts of a stream of tokens (a separator, a text, a separator, and so on), in order, as UTF-8.

    The stream may be mapped: it is read in blocks of a million tokens.
    """
    rest = b""
    for start in range(1, len(tokens), _BLOCK):  # the first token is a separator
        block = tokens[start : start + _BLOCK]
        *ended, last = np.split(block, np.flatnonzero(block == SEPARATOR) + 1)
        for part in ended:
            yield rest + part[:-1].astype(np.uint8).tobytes()
            rest = b""
        rest += last.astype(np.uint8).tobytes()


def longest_overlap(texts: Sequence[bytes], training: Iterable[bytes]) -> list[Overlap]:
    """The longest verbatim overlap of each text with the training data, exactly; it never spans two documents.

    The suffix automaton of the texts (Blumer et al. 1985) reads the training data once, byte by byte: its state is
    the longest run of bytes ending here that stands in a text. Time follows the training data, about a second
    for 2 MB, and memory the texts, about 1 kB for a byte: give samples, by the hundreds.

    Args:
        texts: Generated texts in UTF-8.
        training: The documents, one after the other.
    """
    automaton = _Automaton(texts)
    with Progress("overlap", unit="bytes") as progress:
        for number, document in enumerate(training):
            automaton.read(number, document)
            progress.add(len(document))
    return automaton.overlaps()


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.split()
    return list(zip(*(words[i:] for i in range(n)), strict=False))


class _Automaton:
    """The suffix automaton of all texts, each followed by a symbol that no document has.

    A state stands for the substrings that end at the same places of the texts; ``length`` is that of the longest,
    and ``link`` leads to the state of the longest suffix that ends at more places. State 1 is the empty string,
    and every symbol leads to it from state 0, so that no state is without a way on.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.edges = [dict.fromkeys(range(SEPARATOR + 1), 1), {}]
        self.length, self.link = [-1, 0], [0, 0]
        self.ends: list[list[int]] = []  # per text the state after each byte
        last = 1
        for text in texts:
            states = [last := self._append(last, symbol) for symbol in (*text, SEPARATOR)]
            self.ends.append(states[:-1])
        self.seen = [0] * len(self.edges)  # per state the longest of its substrings that a document has
        self.where = [(0, 0)] * len(self.edges)  # in which document, and where it ends there

    def _append(self, last: int, symbol: int) -> int:
        """The state of the string so far, once ``symbol`` follows the one of state ``last``."""
        state = self._new({}, self.length[last] + 1, 0)
        while symbol not in self.edges[last]:
            self.edges[last][symbol] = state
            last = self.link[last]
        suffix = self.edges[last][symbol]
        if self.length[suffix] > self.length[last] + 1:
            suffix = self._split(suffix, last, symbol)
        self.link[state] = suffix
        return state

    def _split(self, state: int, last: int, symbol: int) -> int:
        """Part the suffixes of ``state`` that now end at one more place from the rest: their state."""
        part = self._new(self.edges[state].copy(), self.length[last] + 1, self.link[state])
        self.link[state] = part
        while self.edges[last].get(symbol) == state:
            self.edges[last][symbol] = part
            last = self.link[last]
        return part

    def _new(self, edges: dict[int, int], length: int, link: int) -> int:
        self.edges.append(edges)
        self.length.append(length)
        self.link.append(link)
        return len(self.edges) - 1

    def read(self, number: int, document: bytes) -> None:
        """Note in every state the longest match that ends in it."""
        edges, length, link, seen, where = self.edges, self.length, self.link, self.seen, self.where
        state, matched = 1, 0
        for end, byte in enumerate(document, start=1):
            while (following := edges[state].get(byte)) is None:
                state = link[state]
                matched = length[state]
            state = following
            matched += 1
            if matched > seen[state]:
                seen[state], where[state] = matched, (number, end)

    def overlaps(self) -> list[Overlap]:
        """Per text the longest match that ends anywhere in it."""
        by_length = sorted(range(2, len(self.edges)), key=self.length.__getitem__)
        for state in reversed(by_length):  # with a string, all its suffixes were seen
            suffix = self.link[state]
            if self.seen[state] and self.seen[suffix] < self.length[suffix]:
                self.seen[suffix], self.where[suffix] = self.length[suffix], self.where[state]
        for state in by_length:  # where nothing was seen, a shorter suffix may have been
            if not self.seen[state]:
                self.seen[state], self.where[state] = self.seen[self.link[state]], self.where[self.link[state]]
        return [self._longest(states) for states in self.ends]

    def _longest(self, states: list[int]) -> Overlap:
        """Of the matches that end after each byte of a text, the longest."""
        end, state = max(enumerate(states, start=1), key=lambda at: self.seen[at[1]], default=(0, 1))
        length, (document, document_end) = self.seen[state], self.where[state]
        return Overlap(length, end - length, document, document_end - length) if length else Overlap(0, 0, 0, 0)
