"""The indexes of a store's tables against their rows."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from gendata.search.ranking import among, both, quote
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
    rows = table.take(picked, columns=["id", column] if column != "id" else ["id"]).to_pylist()
    answers: Iterable[set[str] | None]
    if column == "text":
        answers = (_words(table, row["text"], count) for row in rows)
    elif column == "vector":
        answers = (_near(table, row) for row in rows)
    else:
        answers = repeat(_equal(table, column, rows), len(rows))
    found, unknown = 0, 0
    for row, ids in zip(rows, answers, strict=True):
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


def _near(table: Any, row: Mapping[str, Any]) -> set[str]:
    """The items nearest to this row by vector."""
    nearest = {"column": "vector", "q": row["vector"], "k": _PROBES, "metric": "cosine", "refine_factor": 10}
    return set(table.to_table(columns=["id", "_distance"], nearest=nearest)["id"].to_pylist())


def _equal(table: Any, column: str, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Those of these rows that are found under their value of the column."""
    ids_of: dict[str | None, list[str]] = {}
    for row in rows:
        ids_of.setdefault(None if column == "id" else row[column], []).append(row["id"])
    found = set()
    for value, ids in ids_of.items():
        where = both(among(ids), None if value is None else f"{column} = {quote(value)}")
        found.update(table.to_table(columns=["id"], filter=where)["id"].to_pylist())
    return found
