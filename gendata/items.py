"""What an item is: Arrow schemas of every stage, content ids, origins, uris.

Content is written once, by ingest; later stages write only what they add, keyed by ``id``.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa

ORIGINS = ("generated", "unknown", "real")
"""From the least to the most trusted: equal content of several origins merges to the leftmost."""

MODALITIES = ("text", "image", "audio", "record")

ITEM_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("file_sha256", pa.string()),
        pa.field("parents", pa.list_(pa.string())),
        pa.field("media_type", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("text_origin", pa.string()),
        pa.field("data", pa.large_binary()),
        pa.field("label", pa.string()),
        pa.field("license", pa.string()),
        pa.field("source_split", pa.string()),
        pa.field("meta", pa.string()),
    ]
)
"""What ingest writes. ``source_split`` is the split as the source states it; ``tag`` decides."""

REFERENCE_SCHEMA = pa.schema([*ITEM_SCHEMA, pa.field("size", pa.int64()), pa.field("thumbnail", pa.large_binary())])
"""What it writes of a source of ``content: reference``. Images and audio have no ``data`` but ``size``, the bytes of
the original, which stays where it is (``gendata.originals``); images a ``thumbnail``, a small JPEG or PNG."""

GENERATED_BY = pa.schema(
    [
        pa.field("model", pa.string()),
        pa.field("checkpoint_id", pa.string()),
        pa.field("manifest_id", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("request", pa.string()),
        pa.field("created_at", pa.string()),
    ]
)
"""What an output adds to an item: the family, the weights, their training manifest, the seed, what was asked
(JSON). ``created_at`` (UTC, ISO 8601) is known of ad-hoc outputs alone: derived data holds no time."""

OUTPUT_SCHEMA = pa.schema([*ITEM_SCHEMA, *GENERATED_BY])
"""An item that our own model made; its origin is ``generated``."""

REJECT_SCHEMA = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("source", "uri", "stage", "reason", "detail")]
)

DECISION_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("kept_id", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("group", pa.string(), nullable=False),
        pa.field("copies", pa.int64(), nullable=False),
        pa.field("conflict_id", pa.string()),
        pa.field("contained_in", pa.string()),
        pa.field("merged", pa.string()),
        pa.field("reference", pa.string()),
    ]
)
"""One row per ingested row. ``conflict_id`` names the item of another origin that it (nearly) equals.

``contained_in`` names, on kept rows, another text that has nearly all of this one. ``merged`` (JSON object, on kept
rows) is what the row lacks and its copies state: ``label``, ``license`` and ``split``, each as ``{"value", "id",
"source", "uri"}`` of the copy that it is from, and ``meta``, which holds that by key. ``reference`` (JSON object:
name, uri, match) says what a row with that reason matches; its ``kept_id`` is the id of that."""

TAG_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("lang", pa.string()),
        pa.field("lang_score", pa.float32()),
        pa.field("quality", pa.float32()),
        pa.field("n_chars", pa.int64()),
        pa.field("n_words", pa.int64()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("sample_rate", pa.int32()),
        pa.field("channels", pa.int32()),
        pa.field("duration", pa.float64()),
        pa.field("pii", pa.list_(pa.string())),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("split", pa.string(), nullable=False),
        pa.field("brought", pa.string()),
    ]
)
"""What tag writes. ``brought`` (JSON object) is what tables of the user say of the item, by column."""

VECTOR_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("vector", pa.list_(pa.float32()), nullable=False),
    ]
)
"""What embed writes: passages of the text with offsets in code points, and part 0 of an image
(``start`` and ``end`` null), whose caption's passages start at part 1."""


SIMILAR_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("kept_id", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("conflict_id", pa.string()),
        pa.field("conflict_score", pa.float64()),
        pa.field("across_id", pa.string()),
        pa.field("across_score", pa.float64()),
    ]
)
"""What similar writes: a row per item that dedup kept. ``reason`` is ``similar`` where ``kept_id`` names another item,
which is like it and stays; ``kept`` is false where it therefore leaves the store. ``conflict_id`` is an item of another
origin that it is like, ``across_id`` the text that an image is like: findings alone."""


def content_id(content: bytes | str) -> str:
    """The id of an item: sha256 hex of its bytes, of the UTF-8 bytes of a text."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


_CANONICAL = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no white space: equal values give equal strings, those of the standard library."""
    try:
        return (
            orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if _is_plain(value) else _CANONICAL.encode(value)
        )
    except orjson.JSONEncodeError:  # integers beyond 64 bits, keys that are no texts
        return _CANONICAL.encode(value)


_PLAIN_TYPES = frozenset({str, int, bool, type(None)})
_PLAIN_DEPTH = 100


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Whether orjson, which is several times faster, writes it as the standard library does, or refuses it."""
    kind = type(value)
    if kind is dict or kind is list:
        inner = value.values() if kind is dict else value
        rest = [one for one in inner if type(one) not in _PLAIN_TYPES]
        return depth < _PLAIN_DEPTH and all(_is_plain(one, depth + 1) for one in rest)
    if kind is float:  # elsewhere one of them writes an exponent, or writes it in another way
        return bool(1e-4 <= abs(value) < 1e16 or value == 0)
    return kind in _PLAIN_TYPES


@dataclass(slots=True, kw_only=True)  # frozen, each would take three times as long to make
class Item:
    """One item on its way out of a reader, which ``ingest.finish`` completes. ``id`` follows from the content."""

    modality: str
    uri: str
    media_type: str
    text: str | None = None
    data: bytes | None = None
    size: int | None = None
    thumbnail: bytes | None = None
    text_origin: str | None = None
    file_sha256: str | None = None
    parents: tuple[str, ...] = ()
    origin: str | None = None
    label: str | None = None
    license: str | None = None
    source_split: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    marks: Sequence[Mapping[str, str]] = ()
    """What in the file says that a model made it (``gendata.ingest.marks``): ``meta.ai`` of the row."""

    @property
    def id(self) -> str:
        """Sha256 of what the item is: its original bytes, or its text where it has none.

        Of an item with ``size`` the original is a file that stays where it is, whose digest is known.
        """
        if self.size is not None and self.file_sha256 is not None:
            return self.file_sha256
        return content_id(self.data if self.data is not None else self.text or "")

    def row(self, source: str, origin: str, license_: str | None) -> dict[str, Any]:
        """As a row of ITEM_SCHEMA; ``origin`` and ``license_`` hold where the item states none."""
        return {
            "id": self.id,
            "modality": self.modality,
            "origin": self.origin or origin,
            "source": source,
            "uri": self.uri,
            "file_sha256": self.file_sha256,
            "parents": list(self.parents),
            "media_type": self.media_type,
            "text": self.text,
            "text_origin": self.text_origin,
            "data": self.data,
            "size": self.size,
            "thumbnail": self.thumbnail,
            "label": self.label,
            "license": self.license or license_,
            "source_split": self.source_split,
            "meta": self.meta_json(),
        }

    def meta_json(self) -> str:
        """The column ``meta``."""
        return canonical_json({**self.meta, "ai": self.marks} if self.marks else self.meta)


@dataclass(frozen=True, slots=True)
class Reject:
    """A unit that could not be read: where it is, a short reason code, one line of detail."""

    uri: str
    reason: str
    detail: str


def to_table(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows to a table of the schema; a value of the wrong type raises, nothing is cast silently."""
    rows = list(rows)
    return pa.table({f.name: pa.array([r[f.name] for r in rows], f.type) for f in schema}, schema=schema)


_RESERVED = frozenset("%#!")
_PLAIN = re.compile('[ "$&-~]*')
"""What is in ASCII of a uri as it is."""


def encode_uri(path: str | bytes) -> str:
    """A path as a printable, reversible uri.

    ``%``, ``#``, ``!``, control characters (and line separators) and undecodable bytes are
    percent-encoded; spaces, quotes and emoji stay as they are.
    """
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    if _PLAIN.fullmatch(text):  # nearly all are
        return text
    return "".join(
        "".join(f"%{b:02X}" for b in c.encode("utf-8", "surrogateescape"))
        if c in _RESERVED or unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}
        else c
        for c in text
    )


def is_glob(path: str) -> bool:
    """Whether the path has what stands for other than itself in a glob, braces among it."""
    return not {*path}.isdisjoint("*?{[")


def decode_uri(uri: str) -> bytes:
    """The bytes of the path that ``encode_uri`` was given."""
    if "%" not in uri:
        return uri.encode()
    parts = re.split(r"%([0-9A-F]{2})", uri)
    return b"".join(bytes.fromhex(p) if i % 2 else p.encode() for i, p in enumerate(parts))
