"""Ranking by words: BM25 of the stores' full-text indexes (Robertson and Zaragoza, 2009)."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from gendata.search.directory import Directory, Places
from gendata.search.ranking import PUSHED_IDS, Rows

if TYPE_CHECKING:
    from lance.query import FullTextQuery

REACH = 1000
"""Rows that are asked of an index at least: where no more have a word of a query, it need not be asked again."""

TERMS = 16
"""Most distinct words of a query whose frequencies are looked up to compare stores; the longest, as the rarest."""

_KNOWN: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
_MOST_KNOWN = 1 << 16
_POOL = ThreadPoolExecutor(4, "gendata-words")

_BETWEEN_WORDS = re.compile(r"[\s!-/:-@\[-`{-~]+")
"""Blanks and the punctuation of ASCII; what else is no part of a word the index knows better."""


def has_index(table: Any) -> bool:
    """Whether the table's ``text`` has a full-text index."""
    return any(i.index_type == "Inverted" and i.field_names == ["text"] for i in table.describe_indices())


@dataclass(frozen=True)
class Words:
    """Texts of a table by BM25; those without a word of the query are not ranked."""

    table: Any
    directory: Directory
    query: "FullTextQuery"
    reach: int = REACH

    def best(self, where: str | None, limit: int) -> Rows:
        """See ``Ranking``."""
        rows = self.table.to_table(
            columns=["_score"],
            with_row_id=True,
            full_text_query=self.query,
            filter=where,
            prefilter=True,
            limit=max(limit, 1),
        )
        return Rows(self.directory.places(rows["_rowid"].to_numpy()), rows["_score"].to_numpy().astype(np.float64))

    def scores(self, places: Places) -> Rows:
        """See ``Ranking``."""
        blocks = [places[at : at + PUSHED_IDS] for at in range(0, max(len(places), 1), PUSHED_IDS)]
        return Rows.joined(map(self._scores, blocks))

    def _scores(self, places: Places) -> Rows:
        listed = ", ".join(map(str, self.directory.rows(places).tolist()))
        return self.best(f"_rowid IN ({listed})" if listed else "false", len(places))


def any_word(text: str) -> "FullTextQuery":
    """The query for passages with words of ``text``, which is taken as words whatever it holds."""
    from lance.query import MatchQuery

    return MatchQuery(text, "text")  # a query object, not a query string: no text can be a syntax error


def queries(tables: Mapping[str, Any], text: str) -> "dict[str, FullTextQuery]":
    """``any_word`` for each store, such that the scores of several stores compare.

    A store weighs a word by its rarity (inverse document frequency) in that store alone, so the same passage scores
    differently in each. Here every word has the weight that it has in all stores together: but for the mean length of
    passages, which stays a store's own, scores are those of one store that holds everything.
    """
    words = Counter(filter(None, _BETWEEN_WORDS.split(text.lower())))
    if len(tables) < 2 or not words:
        return dict.fromkeys(tables, any_word(text))
    looked_up = sorted(words, key=lambda word: (-len(word), word))[:TERMS]
    totals = {name: table.count_rows() for name, table in tables.items()}
    found = {name: _frequencies(table, looked_up, totals[name]) for name, table in tables.items()}
    pooled = [_rarity(sum(counts), sum(totals.values())) for counts in zip(*found.values(), strict=True)]
    rest = " ".join(word for word in words.elements() if word not in looked_up)
    result = {}
    for name, counts in found.items():
        own = [_rarity(count, totals[name]) for count in counts]
        boosts = [a / b if count else 1.0 for a, b, count in zip(pooled, own, counts, strict=True)]
        terms = [(word, words[word] * boost) for word, boost in zip(looked_up, boosts, strict=True)]
        result[name] = _weighted([*terms, (rest, sum(boosts) / len(boosts))] if rest else terms)
    return result


def _weighted(terms: "Sequence[tuple[str, float]]") -> "FullTextQuery":
    from lance.query import BooleanQuery, MatchQuery, Occur

    return BooleanQuery([(Occur.SHOULD, MatchQuery(word, "text", boost=boost)) for word, boost in terms])


def _frequencies(table: Any, words: "Sequence[str]", total: int) -> list[int]:
    """Rows, of ``total``, that hold each word; none for stop words. Remembered as long as the table is open.

    Lance counts by ranking all of them, which takes time for common words, and those come again.
    """

    def count(word: str) -> int:
        rows = table.to_table(columns=["_score"], full_text_query=any_word(word), limit=max(total, 1))
        return int(rows.num_rows)

    known = _KNOWN.setdefault(table, {})
    found = {word: number for word in words if (number := known.get(word)) is not None}
    new = [word for word in words if word not in found]
    found.update(zip(new, _POOL.map(count, new), strict=True))
    if len(known) > _MOST_KNOWN:
        known.clear()
    known.update(found)
    return [found[word] for word in words]


def _rarity(matching: int, total: int) -> float:
    return math.log1p((total - matching + 0.5) / (matching + 0.5))
