"""What files hold, by the endings of their names: a module per kind of format, and one way to read them all.

Sources that consist of files (folders, archives) know no format; they call ``item``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from gendata.ingest.formats import audio, documents, images, texts
from gendata.ingest.paths import split_suffix
from gendata.ingest.settings import IngestParams
from gendata.items import Item

__all__ = ["MEDIA", "QUICK", "SUFFIXES", "captioned", "item"]

Read = Callable[[str, bytes, IngestParams], Item]
"""A uri and the bytes of a file to its item. Raises UnitError."""

_READ: Mapping[str, Read] = {
    **dict.fromkeys(texts.TYPES, texts.read),
    **dict.fromkeys(documents.TYPES, documents.read),
    **dict.fromkeys(images.EXTENSIONS, images.read),
    **dict.fromkeys(audio.EXTENSIONS, audio.read),
}

SUFFIXES = frozenset(_READ)
"""Endings, in lower case, of the files that are read."""

MEDIA = frozenset({*images.EXTENSIONS, *audio.EXTENSIONS})
"""Of these the ones of what is no text: a text of the same name beside one is its caption or transcript."""


QUICK = frozenset({*texts.TYPES, *images.EXTENSIONS})
"""Of these the ones of which an item is soon made and not much larger than the file."""


def item(uri: str, data: bytes, params: IngestParams, caption: str | None = None) -> Item:
    """The item of a file whose name ends with one of SUFFIXES. Raises UnitError."""
    found = _READ[split_suffix(uri.encode())[1]](uri, data, params)
    return found if caption is None else captioned(found, caption)


def captioned(item: Item, text: str) -> Item:
    """The item with the text of a file beside it."""
    return replace(item, text=text, text_origin="transcript-file" if item.modality == "audio" else "caption-file")
