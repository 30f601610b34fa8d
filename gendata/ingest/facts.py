"""What a record says about an item that lies beside it: the json of a sample, a row of a metadata file.

Text or caption, label, license, split and origin are taken from the keys that they usually have; the rest is ``meta``.
A record of our own export gives the item as it was.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gendata.ingest.cells import as_label, as_meta, as_origin, as_split, as_string, as_text
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.ingest.settings import IngestParams
from gendata.items import Item

_KEYS = {
    "text": ("text", "caption"),
    "label": ("label", "cls", "class"),
    "license": ("license",),
    "split": ("split",),
    "origin": ("origin",),
}
"""The keys that a fact may have; the first that says something is taken."""

_EXPORTED = frozenset({"id", "modality", "origin", "source", "uri", "media_type", "text_origin", "meta"})


def is_exported(record: Mapping[str, Any]) -> bool:
    """Whether the record was written by our own export."""
    return record.keys() >= _EXPORTED


def take_text(record: dict[str, Any], params: IngestParams) -> str | None:
    """The text or caption that the record states; it is taken out. Raises UnitError."""
    return as_text(_taken(record, "text"), params.max_text_chars)


def described(item: Item, record: Mapping[str, Any], label: str | None = None) -> Item:
    """The item with what the record says, but for the label where another is given. Raises UnitError."""
    rest = dict(record)
    split = _taken(rest, "split")
    if split and as_split(split) is None:
        rest["split"] = split  # not a name that is known: kept as it is
    found = replace(
        item,
        label=as_label(_taken(rest, "label")) if label is None else label,
        license=as_string("license", _taken(rest, "license")),
        origin=as_origin(_taken(rest, "origin"), required=False),
        source_split=as_split(split) or item.source_split,
        meta={**item.meta, **as_meta(rest)},
    )
    return _as_exported(found, record) if is_exported(record) else found


def _taken(record: dict[str, Any], fact: str) -> Any:
    for key in _KEYS[fact]:
        if (value := record.pop(key, None)) is not None:
            return value
    return None


def _as_exported(item: Item, record: Mapping[str, Any]) -> Item:
    """The item as it was before the export; ``meta`` says what it was called there."""
    meta = parse_json((as_string("meta", record["meta"]) or "{}").encode())
    if not isinstance(meta, dict):
        raise UnitError("invalid-row", "meta is no object")
    is_text = item.data is None and item.size is None
    return replace(
        item,
        modality="record" if is_text and record["modality"] == "record" else item.modality,
        media_type=(is_text and as_string("media_type", record["media_type"])) or item.media_type,
        text_origin=as_string("text_origin", record["text_origin"]),
        meta={**meta, "exported": as_meta({name: record[name] for name in ("source", "uri")})},
    )
