"""Ranking by words: BM25 of the stores' full-text indexes (Robertson and Zaragoza, 2009)."""

import math
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from gendata.search.ranking import Ranker

TERMS = 16
"""Most distinct words of a query whose frequencies are looked up to compare stores; the longest, as the rarest."""


def has_index(table: Any) -> bool:
    """Whether the table's ``text`` has a full-text index."""
    return any(i.index_type == "Inverted" and i.field_names == ["text"] for i in table.describe_indices())


def ranker(table: Any, text: str, scale: float = 1.0) -> Ranker:
    """Rank passages by BM25 times ``scale``; passages without a word of the query are not in it.

    ``text`` is taken as words, whatever it holds: there is no query language.
    """
    from lance.query import MatchQuery

    words = MatchQuery(text, "text")  # a query object, not a query string: no text can be a syntax error
    columns = ["id", "part", "_score"] if "part" in table.schema.names else ["id", "_score"]

    def rank(where: str | None, limit: int) -> pa.Table:
        rows = table.to_table(columns=columns, full_text_query=words, filter=where, prefilter=True, limit=limit)
        scores = pa.array(rows.column("_score").to_numpy().astype("float64") * scale, pa.float64())
        part = rows.column("part") if "part" in columns else pa.nulls(rows.num_rows, pa.int32()).fill_null(0)
        return pa.table({"id": rows.column("id"), "part": part, "score": scores})

    return rank


def scales(tables: Mapping[str, Any], text: str) -> dict[str, float]:
    """One factor per store that makes BM25 scores of several stores comparable.

    A store weighs a word by its rarity in that store alone, so the same passage scores differently
    in each. A store's factor is the query's total word weight (inverse document frequency) on
    pooled statistics over the total on its own: with one store, 1. Words that occur nowhere (and
    stop words) do not count.
    """
    if len(tables) < 2:
        return dict.fromkeys(tables, 1.0)
    words = sorted(set(re.findall(r"\w+", text.lower())), key=lambda w: (-len(w), w))[:TERMS]
    totals = {name: table.count_rows() for name, table in tables.items()}
    found = {name: [ranker(table, w)(None, totals[name]).num_rows for w in words] for name, table in tables.items()}
    pooled = [sum(counts) for counts in zip(*found.values(), strict=True)]
    used = [i for i, count in enumerate(pooled) if count]
    weight = sum(_idf(pooled[i], sum(totals.values())) for i in used)
    own = {name: sum(_idf(found[name][i], totals[name]) for i in used) for name in tables}
    return {name: weight / own[name] if used else 1.0 for name in tables}


def _idf(matching: int, total: int) -> float:
    return math.log1p((total - matching + 0.5) / (matching + 0.5))
