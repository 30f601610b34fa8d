"""Phrases in quotes, and words with a minus: what a query demands beside what it is about.

Everything else of a query is words, whatever it holds: no text is a syntax error. A phrase is taken
literally, but for case and white space; a word is taken as the index has it, by its stem.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

_PART = re.compile(r"""(?<!\S)(-?)(?:"([^"]*\w[^"]*)"|“([^”]*\w[^”]*)”)(?!\S)|(?<!\S)-([^\W\d_]\S*)""")
"""``"a phrase"``, ``-"a phrase"`` or ``-word``, each standing alone; ``-1``, ``--flag``, ``well-known`` are words."""

_BATCH = 1024


@dataclass(frozen=True)
class Terms:
    """A query taken apart."""

    text: str
    """What is ranked: the query without its quotes and without what it excludes."""
    phrases: tuple[str, ...] = ()
    """Each must occur in an item, in one passage of it."""
    without: tuple[str, ...] = ()
    """Words that must not occur in an item ..."""
    without_phrases: tuple[str, ...] = ()
    """... and phrases."""

    def restrict(self, table: Any) -> tuple[pa.Array | None, pa.Array | None]:
        """The ids of a store's items that hold every phrase, and of those that hold what is excluded; None: no limit.

        Args:
            table: the store's passages, with a full-text index on ``text``.
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
    """A query taken apart; one that only excludes is taken as words, as is a quote that is not closed."""
    phrases, without, without_phrases = list[str](), list[str](), list[str]()

    def take(part: re.Match[str]) -> str:
        minus, straight, curly, word = part.groups()
        if word:
            (without if re.fullmatch(r"\w+", word) else without_phrases).append(word)
            return " "
        phrase = " ".join((straight or curly).split())
        (without_phrases if minus else phrases).append(phrase)
        return " " if minus else f" {phrase} "

    text = _PART.sub(take, query)
    if not re.search(r"\w", text) or not (phrases or without or without_phrases):
        return Terms(query)
    return Terms(" ".join(text.split()), tuple(phrases), tuple(without), tuple(without_phrases))


def literal(phrase: str) -> re.Pattern[str]:
    """Matches a phrase in any case and across any white space, but not inside longer words."""
    words = r"\s+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){words}(?!\w)" if phrase[-1:].isalnum() else rf"(?<!\w){words}", re.IGNORECASE)


def _with_word(table: Any, word: str) -> Iterator[str]:
    from lance.query import MatchQuery

    total, found = table.count_rows(), 0
    for batch in _batches(table, MatchQuery(word, "text"), total, ["id", "_score"]):
        found += batch.num_rows
        yield from batch["id"].to_pylist()
    if not found:  # the index knows no stop words
        yield from _with_phrase(table, word)


def _with_phrase(table: Any, phrase: str) -> Iterator[str]:
    """Candidates have every word of the phrase; if there is none, it may be of stop words alone: all are looked at."""
    from lance.query import FullTextOperator, MatchQuery

    words = MatchQuery(phrase, "text", operator=FullTextOperator.AND)
    total, pattern, candidates = table.count_rows(), literal(phrase), 0
    for batch in _batches(table, words, total, ["id", "text", "_score"]):
        candidates += batch.num_rows
        yield from _matching(batch, pattern)
    if not candidates:
        for batch in table.to_batches(columns=["id", "text"], batch_size=_BATCH):
            yield from _matching(batch, pattern)


def _batches(table: Any, words: Any, total: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    yield from table.scanner(columns=columns, full_text_query=words, limit=total, batch_size=_BATCH).to_batches()


def _matching(batch: pa.RecordBatch, pattern: re.Pattern[str]) -> Iterator[str]:
    for item_id, text in zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True):
        if pattern.search(text):
            yield item_id
