"""How large an item is: code points and words of its text, width and height of its image, how long its audio.

``n_chars`` counts Unicode code points (what ``len`` and DuckDB's ``length`` count), not what a
reader sees as one character. ``n_words``: see ``words``. Both hold for any text that an item has,
captions and transcripts too. ``width`` and ``height`` are those of the image as it is shown, after
EXIF orientation, read from the header alone; so are ``sample_rate`` (samples a second), ``channels`` and ``duration``
(seconds) of audio.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gendata.tag.pixels import shown_size
from gendata.tag.sound import facts
from gendata.tag.words import n_words

READS = ("text", "data")
ADDS = ("n_chars", "n_words", "width", "height", "sample_rate", "channels", "duration")


def tag(batch: pa.RecordBatch) -> Mapping[str, Sequence[Any]]:
    """Columns ADDS; see ``shard.Tagger``."""
    texts = batch["text"].to_pylist()
    items = list(zip(batch["modality"].to_pylist(), batch["data"], strict=True))
    sizes = [
        shown_size(data.as_py()) if modality == "image" and data.is_valid else (None, None) for modality, data in items
    ]
    sounds = [
        facts(data.as_py()) if modality == "audio" and data.is_valid else (None, None, None) for modality, data in items
    ]
    return {
        "n_chars": [None if text is None else len(text) for text in texts],
        "n_words": [None if text is None else n_words(text) for text in texts],
        "width": [width for width, _ in sizes],
        "height": [height for _, height in sizes],
        "sample_rate": [rate for rate, _, _ in sounds],
        "channels": [channels for _, channels, _ in sounds],
        "duration": [seconds for _, _, seconds in sounds],
    }
