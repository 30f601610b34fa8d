"""What the items found are: their metadata from the catalogs, their best passages from Lance."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from gendata.errors import StoreError
from gendata.search import RANKINGS, Hit
from gendata.search.directory import directory
from gendata.store.head import Store

Passage: TypeAlias = tuple[str, int | None, int | None, str | None]
"""(id, start, end, text)."""

BEGINNING = 1000
"""Characters that are shown of a text that has no passages, since it has no vectors."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An item that was ranked; ``part`` is its best passage, None if its image or its whole text was."""

    store: str
    key: int
    """Of its id."""
    score: float
    part: int | None
    keyword_score: float | None
    semantic_score: float | None
    visual_score: float | None
    keyword_rank: int | None = None
    semantic_rank: int | None = None
    visual_rank: int | None = None


def look_up(stores: Mapping[str, Store], found: Sequence[Found]) -> tuple[Hit, ...]:
    """Hits in the order given. Raises StoreError if a catalog lacks an item that Lance holds."""
    hits: dict[Found, Hit] = {}
    for name, store in stores.items():
        passages = dict(_passages(store, [f for f in found if f.store == name]))
        whole = any(one.part is None for one in passages)
        items = _items(store, [id_ for id_, *_ in passages.values()], texts=whole)
        hits |= {one: _hit(store, one, items, passage) for one, passage in passages.items()}
    return tuple(hits[one] for one in found)


def _hit(store: Store, found: Found, items: Mapping[str, Mapping[str, Any]], passage: Passage) -> Hit:
    id_, start, end, text = passage
    item = items.get(id_)
    if item is None:
        raise StoreError(f"{store.path}: the catalog lacks item {id_}; run `gendata doctor --repair`")
    return Hit(
        id=id_,
        **{name: item[name] for name in ("modality", "origin", "source", "uri", "label")},
        score=found.score,
        text=item["text"] if found.part is None else text,
        start=start,
        end=end,
        store=found.store,
        **{f"{k}_{what}": getattr(found, f"{k}_{what}") for k in RANKINGS for what in ("score", "rank")},
    )


def _items(store: Store, ids: Sequence[str], *, texts: bool) -> dict[str, dict[str, Any]]:
    import duckdb

    if not ids:
        return {}
    text = (
        f"CASE WHEN modality = 'image' THEN text ELSE left(text, {BEGINNING}) END" if texts else "NULL"
    )  # slow to read
    columns = ("id", "modality", "origin", "source", "uri", "label", "text")
    try:
        cursor = store.connection.cursor().execute(
            f"SELECT id, modality, origin, source, uri, label, {text} FROM items "
            "WHERE id IN (SELECT unnest(?::VARCHAR[]))",
            [list(ids)],
        )
        rows = cursor.fetchall()
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{store.catalog}: not readable ({reason}); run `gendata doctor --repair`") from error
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def _passages(store: Store, found: Sequence[Found]) -> Iterator[tuple[Found, Passage]]:
    """What was found, by the rows of the table that knows it: passages, or images and items without one."""
    left = list(found)
    for table, columns in (("passages", ("id", "start", "end", "text")), ("images", ("id",)), ("items", ("id",))):
        if not left or table not in store.head.lance:
            continue
        asked = [one for one in left if (one.part is not None) == (table == "passages")]
        known = directory(store, table).parts_of(np.unique(np.array([one.key for one in asked], np.uint64)))
        places = {one: known[one.key, one.part or 0] for one in asked if (one.key, one.part or 0) in known}
        opened = cast(Any, store.table(table))
        rows = opened.take(list(places.values()), columns=list(columns)).to_pylist() if places else []
        for one, row in zip(places, rows, strict=True):
            yield one, (row["id"], row.get("start"), row.get("end"), row.get("text"))
        left = [one for one in left if one not in places]
