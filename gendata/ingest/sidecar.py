"""A .json beside an image or audio file: its caption or transcript, label and license; the rest is meta.

An object as img2dataset and the trainers of kohya write it: ``{"caption": ..., "url": ..., "key": ...}``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gendata.ingest.cells import as_label, as_meta, as_string, as_text
from gendata.ingest.formats import captioned
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.ingest.settings import IngestParams
from gendata.items import Item

_TEXTS = ("caption", "text", "transcript")  # the first that is there is the text


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What it says; ``key`` is the name of the text."""

    key: str
    text: str | None
    label: str | None
    license: str | None
    meta: Mapping[str, Any]

    def beside(self, item: Item) -> Item:
        """The item with it. A text that the item has from another file stays, and this one is meta."""
        spare = {self.key: self.text} if item.text is not None and self.text is not None else {}
        described = captioned(item, self.text) if item.text is None and self.text is not None else item
        return replace(described, label=self.label, license=self.license, meta={**self.meta, **spare, **item.meta})


def parse(data: bytes, params: IngestParams) -> Sidecar:
    """The object in the bytes of a file. Raises UnitError."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise UnitError("invalid-json", "valid JSON, but not an object")
    key = next((key for key in _TEXTS if value.get(key) is not None), _TEXTS[0])
    text = as_text(value.pop(key, None), params.max_text_chars)
    label, license_ = as_label(value.pop("label", None)), as_string("license", value.pop("license", None))
    return Sidecar(key, text and text.strip(), label, license_, as_meta(value))
