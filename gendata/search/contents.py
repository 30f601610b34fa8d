"""The content of single items: from the stores, or where their originals are; of dropped copies from the shards."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from gendata import files
from gendata.errors import QueryError
from gendata.originals import COLUMNS, Originals, media_type
from gendata.store.head import Store

CopyKey: TypeAlias = tuple[str, str, str]
"""(source, uri, id) of an ingested row: what tells the copies of an item apart."""


def content(store: Store, item: Mapping[str, Any]) -> tuple[bytes, str]:
    """The original bytes of a media item, or the UTF-8 text of another, and the media type. Raises QueryError."""
    row = _stored(store, item["id"], ("text", *COLUMNS))
    data = Originals(store.path).content(row)
    return (data if data is not None else row["text"].encode("utf-8")), str(item["media_type"])


def shown(store: Store, item: Mapping[str, Any]) -> tuple[bytes, str]:
    """What a page shows of an item: its content, or of an image that stays where it is the thumbnail."""
    small: bytes | None = _stored(store, item["id"], ("id", "thumbnail")).get("thumbnail")
    return content(store, item) if small is None else (small, media_type(small))


def _stored(store: Store, item_id: str, columns: Sequence[str]) -> dict[str, Any]:
    """Those of the columns that the store has; one of long ago has fewer."""
    table = store.table("items")
    there = [] if table is None else [name for name in columns if name in table.schema.names]
    rows = table.to_table(columns=there, filter=f"id = '{item_id}'").to_pylist() if table is not None else []
    if not rows:
        raise QueryError(f"{item_id}: its content is not in the store; run `gendata doctor --repair`")
    row: dict[str, Any] = rows[0]
    return row


def dropped(path: Path, keys: set[CopyKey]) -> Iterator[tuple[CopyKey, bytes, str]]:
    """Key, content as ``shown`` gives it, and media type of the rows of a shard; without audio that stays elsewhere."""
    names = ("source", "uri", "id")
    present = {tuple(r[n] for n in names) for batch in files.iter_batches(path, names) for r in batch.to_pylist()}
    if not present & keys:
        return  # without touching the blobs
    for batch in files.iter_batches(path, (*names, "data", "text", "media_type", "size", "thumbnail")):
        found = zip(*(batch[n].to_pylist() for n in names), strict=True)
        for at, key in enumerate(found):
            if key in keys:
                row = batch.slice(at, 1).to_pylist()[0]
                if row.get("thumbnail") is not None:
                    yield key, row["thumbnail"], media_type(row["thumbnail"])
                elif row.get("size") is None:
                    data = row["data"] if row["data"] is not None else (row["text"] or "").encode("utf-8")
                    yield key, data, row["media_type"] or ""
