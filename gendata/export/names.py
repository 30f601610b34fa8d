"""Names of files and folders for labels, splits and media."""

import hashlib

import pyarrow as pa

UNLABELLED = "_unlabelled"
"""The folder of items without a label."""

_TAKEN = frozenset({UNLABELLED, "metadata.jsonl", "data", "README.md", "manifest.parquet", "dataset_dict.json"})
_MAX_BYTES = 200
"""Of a name: file systems take 255."""

_EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
    "image/x-portable-anymap": "pnm",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/flac": "flac",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
}
"""A list of our own: that of Python differs between versions and machines."""


def safe_name(name: str) -> str:
    """A label or split as the name of a file or folder; different ones have different names.

    Letters, digits, ``-``, ``_``, inner spaces and dots stay; everything else is percent-encoded as UTF-8, since tools
    take ``::`` or ``*`` for more than a part of a name. A long one is cut, with a digest at its end.
    """
    last = len(name) - 1
    kept = [c.isalnum() or c in "-_" or (c in " ." and 0 < i < last) for i, c in enumerate(name)]
    if name in _TAKEN:
        kept[0] = False
    encoded = "".join(c if keep else _percent(c) for c, keep in zip(name, kept, strict=True))
    if len(encoded.encode()) <= _MAX_BYTES:
        return encoded
    start = encoded.encode()[: _MAX_BYTES - 33].decode("utf-8", "ignore")
    return f"{start}~{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def _percent(c: str) -> str:
    return "".join(f"%{b:02X}" for b in c.encode())


def label_folder(label: str | None) -> str:
    """The folder of a label."""
    return safe_name(label) if label else UNLABELLED


def extension(media_type: str | None) -> str:
    """The extension of a media type, without the dot: ``bin`` if it is not known."""
    return _EXTENSIONS.get(media_type or "", "bin")


def file_names(rows: pa.Table) -> list[str | None]:
    """``<id>.<extension>`` of each row with data, None for the others."""
    columns = (rows[name].to_pylist() for name in ("id", "media_type"))
    there = rows["data"].is_valid().to_pylist()
    return [f"{i}.{extension(t)}" if has else None for i, t, has in zip(*columns, there, strict=True)]
