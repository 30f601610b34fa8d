"""How much a text looks like prose: the rules of Gopher as one smooth score.

Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher",
appendix A1.1, states limits beyond which a web page is dropped. Here each rule gives 1 inside its
limit and falls linearly to 0 (at twice an upper limit, at zero for a lower one), and the score is
the product. The share of rules passed was tried and left: its mean is 0.87 to 0.93 for lists of
keywords, text with symbols strewn in and hex dumps, as they fail one or two rules of sixteen, where
the product's is 0.02 at most; abstracts and excerpts of books have a median of 1 with both.

What differs from the paper: repeated lines and n-grams are looked at by their worst rule, so that
one repetition is not counted ten times; an n-gram that occurs once is no repetition; stop words
are asked of English texts of at least STOP_FROM words only; word rules are left out for scripts
without spaces; a text may be short (the paper wants 50 words); only the first SAMPLE code points
are read. A heuristic for looking, not a filter: tables, code and verse score low and may be good.
"""

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gendata.tag.words import tokens

SAMPLE = 50_000
STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
STOP_FROM = 20
TOP_NGRAM: Mapping[int, float] = {2: 0.20, 3: 0.18, 4: 0.16}
"""n -> share of the characters in words that the most frequent n-gram may take."""
REPEATED_NGRAMS: Mapping[int, float] = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
"""n -> share of the characters in words that repeated n-grams may cover."""
REPEATED_LINES = 0.30

_BULLETS = ("•", "‣", "●", "◦", "-", "*")
_ELLIPSIS = ("...", "…")
_SYMBOLS = re.compile(r"#|\.\.\.|…")
_WORD_EDGE = "\"'“”‘’.,;:!?()[]"
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003fffd]"
)
"""Thai, Lao, Tibetan, Burmese, Khmer, kana, ideographs."""


def text_quality(text: str, *, english: bool) -> float | None:
    """The score, 0 to 1; None for a text without a word.

    Args:
        text: Any text.
        english: Whether the rule of stop words holds.
    """
    words = tokens(text[:SAMPLE])
    if not words:
        return None
    score = line_score(text[:SAMPLE]) * repetition_score(words)
    score *= _at_most(len(_SYMBOLS.findall(text[:SAMPLE])) / len(words), 0.1)
    if 2 * sum(len(_UNSPACED.findall(word)) for word in words) < sum(map(len, words)):
        score *= word_score(words, english=english)
    return score


def word_score(words: list[str], *, english: bool) -> float:
    """Mean word length 3 to 10, 80 % of words with a letter, two stop words."""
    mean = sum(map(len, words)) / len(words)
    score = min(1.0, mean / 3) * _at_most(mean, 10)
    score *= min(1.0, sum(any(map(str.isalpha, word)) for word in words) / len(words) / 0.8)
    if english and len(words) >= STOP_FROM:
        score *= min(1.0, len(STOP_WORDS.intersection(word.lower().strip(_WORD_EDGE) for word in words)) / 2)
    return score


def line_score(text: str) -> float:
    """At most 90 % of lines begin with a bullet, 30 % end in an ellipsis, 30 % are repeated."""
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    if not lines:
        return 1.0
    bullets = sum(line.startswith(_BULLETS) for line in lines) / len(lines)
    ellipses = sum(line.endswith(_ELLIPSIS) for line in lines) / len(lines)
    # one bulleted line is no list: a dialogue, a signature
    listed = min(1.0, (1 - bullets) / 0.1) if len(lines) > 1 else 1.0
    return listed * _at_most(ellipses, 0.3) * _at_most(1 - len(set(lines)) / len(lines), REPEATED_LINES)


def repetition_score(words: list[str]) -> float:
    """The worst of the rules on repeated n-grams of words (lower case), n from 2 to 10."""
    ids: dict[str, int] = {}
    word_ids = np.array([ids.setdefault(word.lower(), len(ids)) for word in words], dtype=np.int64)
    lengths = np.array([len(word) for word in words], dtype=np.int64)
    score, grams = 1.0, word_ids
    for n in range(2, min(len(words), max(REPEATED_NGRAMS)) + 1):
        # (n-1)-gram and word as one number: exact, as there are at most SAMPLE of each
        pairs = grams[: len(words) - n + 1] * len(ids) + word_ids[n - 1 :]
        _, first, grams, counts = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
        if n in TOP_NGRAM:
            score = min(score, _at_most(_top_share(lengths, first, counts, n), TOP_NGRAM[n]))
        if n in REPEATED_NGRAMS:
            score = min(score, _at_most(_repeated_share(lengths, first, n), REPEATED_NGRAMS[n]))
    return score


def _top_share(
    lengths: npt.NDArray[np.int64], first: npt.NDArray[np.intp], counts: npt.NDArray[np.intp], n: int
) -> float:
    """Share of characters in the n-gram that takes the most; first (grams,), counts (grams,)."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    taken = (ends[first + n] - ends[first]) * counts * (counts > 1)
    return float(taken.max() / ends[-1])


def _repeated_share(lengths: npt.NDArray[np.int64], first: npt.NDArray[np.intp], n: int) -> float:
    """Share of characters in words that an n-gram covers which was there before."""
    repeated = np.ones(len(lengths) - n + 1, dtype=bool)
    repeated[first] = False
    covered = np.zeros(len(lengths), dtype=bool)
    for shift in range(n):
        covered[shift : shift + len(repeated)] |= repeated
    return float(lengths[covered].sum() / lengths.sum())


def _at_most(value: float, limit: float) -> float:
    """1 up to the limit, 0 from twice the limit."""
    return float(min(1.0, max(0.0, 2 - value / limit)))
