"""The indexes of a store's tables against their rows."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gendata.search.ranking import quote
from gendata.store.head import Store

_PROBES = 20
"""Rows, spread over a table, that each of its indexes has to find."""

_FEW = 5


def check_indexes(store: Store) -> Iterator[str]:
    """Indexes that miss rows, do not lead to rows that are there, or do not answer."""
    for name in store.head.lance:
        table: Any = store.table(name)
        try:
            table.versions()
        except (ValueError, RuntimeError, OSError) as error:
            yield f"old versions of {name} do not open: {str(error).splitlines()[0]}"
        for index in table.describe_indices():
            try:
                if missing := unindexed(table, index.name):
                    yield f"index {index.name} of {name} misses {missing} rows"
                elif lost := _lost(table, index.field_names[0]):
                    yield f"index {index.name} of {name} does not find {lost}"
            except (ValueError, RuntimeError, OSError) as error:
                yield f"index {index.name} of {name} does not answer: {str(error).splitlines()[0]}"


def unindexed(table: Any, index: str) -> int:
    """Rows of a Lance table that an index does not hold: they are found by a scan."""
    return int(table.stats.index_stats(index)["num_unindexed_rows"])


def _lost(table: Any, column: str) -> str | None:
    """What an index leads past, among rows from the whole table; None if it finds them all."""
    count = table.count_rows()
    picked = sorted({count * k // _PROBES for k in range(_PROBES)}) if count else []
    found, unknown = 0, 0
    for row in table.take(picked, columns=["id", column] if column != "id" else ["id"]).to_pylist():
        ids = _words(table, row[column], count) if column == "text" else _same(table, column, row)
        if ids is None:
            unknown += _plain(row[column])
        elif row["id"] not in ids:
            return f"item {row['id'][:16]}"
        else:
            found += 1
    return "any row" if unknown >= _FEW and not found else None


def _words(table: Any, text: str | None, count: int) -> set[str] | None:
    """The items that hold one of the longest words of a text; None where the index knows none: all are stop words."""
    from lance.query import MatchQuery

    words = sorted(set(re.findall(r"[^\W_]{4,40}", text or "")), key=lambda word: (-len(word), word))
    for word in words[:3]:
        rows = table.to_table(columns=["id", "_score"], full_text_query=MatchQuery(word, "text"), limit=count)
        if rows.num_rows:
            return set(rows["id"].to_pylist())
    return None


def _plain(text: str | None) -> bool:
    """Whether a text has words that any tokeniser takes for words."""
    return re.search(r"\b[A-Za-z]{4,40}\b", text or "") is not None


def _same(table: Any, column: str, row: Mapping[str, Any]) -> set[str]:
    """The items like this row: nearest by vector, or equal in the column."""
    if column == "vector":
        nearest = {"column": column, "q": row[column], "k": _PROBES, "metric": "cosine", "refine_factor": 10}
        rows = table.to_table(columns=["id", "_distance"], nearest=nearest)
    else:
        rows = table.to_table(columns=["id"], filter=f"{column} = {quote(row[column])} AND id = {quote(row['id'])}")
    return set(rows["id"].to_pylist())
