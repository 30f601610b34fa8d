"""What the items found are: their metadata from the catalogs, their best passages from Lance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gendata.errors import StoreError
from gendata.search import RANKINGS, Hit
from gendata.search.ranking import among
from gendata.store.head import Store

Passage: TypeAlias = tuple[int | None, int | None, str | None]
"""(start, end, text)."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """An item that was ranked; ``part`` is its best passage, None if only its image was compared."""

    store: str
    id: str
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
    items: dict[tuple[str, str], dict[str, Any]] = {}
    passages: dict[tuple[str, str, int], Passage] = {}
    for name, store in stores.items():
        wanted = [f for f in found if f.store == name]
        if wanted:
            items.update(((name, i), row) for i, row in _items(store, [f.id for f in wanted]).items())
            parts = {(f.id, f.part) for f in wanted if f.part is not None}
            passages.update(((name, *key), row) for key, row in _passages(store, parts).items())
    return tuple(_hit(stores[f.store], f, items, passages) for f in found)


def _hit(
    store: Store,
    found: Found,
    items: Mapping[tuple[str, str], Mapping[str, Any]],
    passages: Mapping[tuple[str, str, int], Passage],
) -> Hit:
    item = items.get((found.store, found.id))
    if item is None:
        raise StoreError(f"{store.path}: the catalog lacks item {found.id}; run `gendata doctor --repair`")
    start, end, text = None, None, item["caption"]
    if found.part is not None:
        start, end, text = passages[found.store, found.id, found.part]
    return Hit(
        id=found.id,
        **{name: item[name] for name in ("modality", "origin", "source", "uri", "label")},
        score=found.score,
        text=text,
        start=start,
        end=end,
        store=found.store,
        **{f"{k}_{what}": getattr(found, f"{k}_{what}") for k in RANKINGS for what in ("score", "rank")},
    )


def _items(store: Store, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    import duckdb

    columns = ("id", "modality", "origin", "source", "uri", "label", "caption")
    try:
        cursor = store.connection.cursor().execute(
            "SELECT id, modality, origin, source, uri, label, CASE WHEN modality = 'image' THEN text END "
            "FROM items WHERE id IN (SELECT unnest(?::VARCHAR[]))",
            [list(ids)],
        )
        rows = cursor.fetchall()
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise StoreError(f"{store.catalog}: not readable ({reason}); run `gendata doctor --repair`") from error
    return {row[0]: dict(zip(columns, row, strict=True)) for row in rows}


def _passages(store: Store, keys: set[tuple[str, int]]) -> dict[tuple[str, int], Passage]:
    if not keys:
        return {}
    parts = ", ".join(str(part) for part in sorted({part for _, part in keys}))
    where = f"{among(sorted({i for i, _ in keys}))} AND part IN ({parts})"
    columns = ["id", "part", "start", "end", "text"]
    table: Any = store.table("passages")
    rows = table.to_table(columns=columns, filter=where).to_pylist()
    return {(r["id"], r["part"]): (r["start"], r["end"], r["text"]) for r in rows if (r["id"], r["part"]) in keys}
