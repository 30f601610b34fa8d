"""The values in the cells of a table to the columns of an item; what does not fit is a UnitError."""

import base64
import json
import math
from typing import Any

from gendata.ingest.reader import UnitError
from gendata.items import ORIGINS

MAX_DEPTH = 100
"""Of the values in ``meta``; JSON writers and readers give up somewhere beyond."""

_LONGEST_PATH = 4096
"""Linux's, in bytes."""

_SPLITS = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip


def as_text(value: Any, max_chars: int) -> str | None:
    """A text exactly as it is; None if there is none, or only white space."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnitError("invalid-text", f"{type(value).__name__} instead of a text")
    if len(value) > max_chars:
        raise UnitError("too-large", f"{len(value)} characters; ingest.max_text_chars is {max_chars}")
    return None if not value or value.isspace() else value


def as_bytes(value: str) -> bytes | None:
    """What a text holds in base64, after ``data:...,`` or where it is too long to be a path; None if it is neither.

    Raises:
        UnitError: ``invalid-row``: it is not base64.
    """
    is_uri = value[:5].lower() == "data:"
    if not is_uri and len(value) <= _LONGEST_PATH:
        return None
    kind, comma, body = value.partition(",") if is_uri else ("", ",", value)
    try:
        if not comma or (is_uri and not kind.lower().endswith(";base64")):
            raise ValueError
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        raise UnitError("invalid-row", "neither a path nor base64") from None


def as_label(value: Any) -> str | None:
    """A label, as ``as_words`` has it."""
    return as_words("label", value)


def as_words(name: str, value: Any) -> str | None:
    """A text; numbers and truth values as JSON writes them; None if there is none (or NaN)."""
    if isinstance(value, bool | int | float):
        return None if isinstance(value, float) and math.isnan(value) else json.dumps(value)
    return as_string(name, value)


def as_string(name: str, value: Any) -> str | None:
    """A text; None if there is none, or an empty one."""
    if value is not None and not isinstance(value, str):
        raise UnitError("invalid-row", f"{name} is {type(value).__name__} instead of a text")
    return value or None


def as_origin(value: Any, *, required: bool) -> str | None:
    """One of ORIGINS; None if there is none, which is refused where it is ``required``."""
    if value is None or value == "":
        if required:
            raise UnitError("invalid-origin", "the row states no origin, nor does the source")
        return None
    if value not in ORIGINS:
        raise UnitError("invalid-origin", f"{value!r} is none of {', '.join(reversed(ORIGINS))}")
    return str(value)


def as_split(value: Any) -> str | None:
    """train, valid or test, by their usual names in any case; None for anything else."""
    return _SPLITS.get(value.strip().lower()) if isinstance(value, str) else None


_PLAIN = frozenset({str, int, bool, type(None)})
"""Types that are nearly all of what ``as_meta`` meets, and stay as they are."""


def as_meta(value: Any, depth: int = 0) -> Any:
    """A value as JSON can hold it: bytes in base64, NaN and infinities by name, dates as text."""
    if depth > MAX_DEPTH:
        raise UnitError("invalid-row", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        return {
            k if type(k) is str else str(k): v if type(v) in _PLAIN and depth < MAX_DEPTH else as_meta(v, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, list | tuple):
        return [as_meta(v, depth + 1) for v in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
