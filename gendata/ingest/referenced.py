"""Images and audio that stay where they are (``content: reference``): what is written of them instead of their bytes.

The id is that of the bytes, as ever, so that what later stages find and decide is what they would of copies.
``gendata.originals`` opens them.
"""

from dataclasses import replace

from gendata.items import Item
from gendata.page import reduced

SIDE = 192
"""Pixels of a thumbnail: pages show it at half of that, sharp on any screen."""


def refer(item: Item) -> Item:
    """The item without its bytes, whose digest it has; as it is where it has none.

    Runs on threads, where the warnings of Pillow are silenced (``gendata.ingest``).
    """
    if item.data is None:
        return item
    small = reduced(item.data, SIDE) if item.modality == "image" else None
    return replace(item, data=None, size=len(item.data), thumbnail=small and small[1])


def elsewhere(item: Item) -> int:
    """The bytes that its row lacks of those of a copy: shards and row groups end where those of copies end.

    So whoever reads originals a row group at a time has no more of them in memory than of copies.
    """
    return 0 if item.size is None else item.size - len(item.thumbnail or b"")
