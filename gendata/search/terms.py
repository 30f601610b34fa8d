"""Phrases in quotes, and words with a minus: what a query demands beside what it is about.

Everything else of a query is words, whatever it holds: no text is a syntax error. A phrase is taken
literally, but for case and white space; a word is taken as the index has it, by its stem.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_PART = re.compile(r"""(?<!\S)(-?)(?:"([^"]*+)"|“([^”]*+)”)(?!\S)|(?<!\S)-([^\W\d_]\S*)""")
"""``"a phrase"``, ``-"a phrase"`` or ``-word``, each standing alone; ``-1``, ``--flag``, ``well-known`` are words."""

_BATCH, _TEXTS = 1024, 64
"""Rows that are read at a time: of ids, and of whole texts."""


@dataclass(frozen=True)
class Terms:
    """A query taken apart."""

    text: str
    """What is ranked: the query without its quotes and without what it excludes."""
    phrases: tuple[str, ...] = ()
    """Each must occur in an item."""
    without: tuple[str, ...] = ()
    """Words that must not occur in an item ..."""
    without_phrases: tuple[str, ...] = ()
    """... and phrases."""

    def restrict(self, table: Any) -> tuple[pa.Array | None, pa.Array | None]:
        """The ids of a store's items that hold every phrase, and of those that hold what is excluded; None: no limit.

        Args:
            table: the store's items, with a full-text index on ``text``.
        """
        held: set[str] | None = None
        for phrase in self.phrases:
            found = set(_with_phrase(table, phrase))
            held = found if held is None else held & found
        barred = {i for word in self.without for i in _with_word(table, word)}
        barred |= {i for phrase in self.without_phrases for i in _with_phrase(table, phrase)}
        return (
            None if held is None else pa.array(sorted(held), pa.string()),
            pa.array(sorted(barred), pa.string()) if barred else None,
        )


def parse(query: str) -> Terms:
    """A query taken apart; a quote that is not closed is a word, and so are quotes around no letter or digit."""
    phrases, without, without_phrases = list[str](), list[str](), list[str]()

    def take(part: re.Match[str]) -> str:
        minus, straight, curly, word = part.groups()
        if word:
            (without if re.fullmatch(r"\w+", word) else without_phrases).append(word)
            return " "
        phrase = " ".join((straight or curly or "").split())
        if not re.search(r"\w", phrase):
            return part.group()
        (without_phrases if minus else phrases).append(phrase)
        return " " if minus else f" {phrase} "

    text = _PART.sub(take, query)
    if not (phrases or without or without_phrases):
        return Terms(query)
    return Terms(" ".join(text.split()), tuple(phrases), tuple(without), tuple(without_phrases))


def literal(phrase: str) -> re.Pattern[str]:
    """Matches a phrase in any case and across any white space, but not inside longer words."""
    words = r"\s+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){words}(?!\w)" if phrase[-1:].isalnum() else rf"(?<!\w){words}", re.IGNORECASE)


def _with_word(table: Any, word: str) -> Iterator[str]:
    from lance.query import MatchQuery

    found = 0
    for batch in _batches(table, MatchQuery(word, "text"), ["id", "_score"], _BATCH):
        found += batch.num_rows
        yield from batch["id"].to_pylist()
    if not found:  # the index knows no stop words
        yield from _with_phrase(table, word)


def _with_phrase(table: Any, phrase: str) -> Iterator[str]:
    """Candidates have every word of the phrase; if there is none, it may be of stop words alone: all are looked at."""
    from lance.query import FullTextOperator, MatchQuery

    words = MatchQuery(phrase, "text", operator=FullTextOperator.AND)
    pattern, candidates = literal(phrase), 0
    for batch in _batches(table, words, ["id", "text", "_score"], _TEXTS):
        candidates += batch.num_rows
        yield from _matching(batch, pattern)
    if not candidates:
        for batch in table.to_batches(columns=["id", "text"], batch_size=_TEXTS):
            for word in phrase.split():  # most texts go without a look by Python's slower expression
                batch = batch.filter(pc.match_substring(batch["text"], word, ignore_case=True))
            yield from _matching(batch, pattern)


def _batches(table: Any, words: Any, columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
    every = table.count_rows()
    yield from table.to_batches(columns=columns, full_text_query=words, limit=every, batch_size=size)


def _matching(batch: pa.RecordBatch, pattern: re.Pattern[str]) -> Iterator[str]:
    for item_id, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
        if pattern.search(text):
            yield item_id
