"""What is known of how a picture was generated, in the same words whichever program wrote it: ``meta.gen``.

``tool prompt negative_prompt model model_hash seed sampler scheduler steps cfg width height``, ``loras`` (a list of
name, weight and hash), and ``other`` with what else it says. All that comes from a file is cleaned here: it is bounded,
can be written as JSON and UTF-8, and has the type that its name promises; what does not is left out.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gendata.items import canonical_json

Gen = dict[str, Any]

MAX_PROMPT = 20_000
"""Characters of a prompt; a longer one is cut and ends with an ellipsis. Of any other text MAX_SHORT."""

MAX_SHORT = 1_000
_MAX_OTHER = 64
_MAX_LORAS = 100
_MAX_DEPTH = 8
_FILE = re.compile(r"\.(safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$", re.IGNORECASE)


def gen(other: Mapping[str, Any] | None = None, **known: Any) -> Gen:
    """The fields that are known, and under ``other`` what is left of a mapping; nothing that is empty."""
    found: Gen = {name: read(known.get(name)) for name, read in _FIELDS.items()}
    found["other"] = _other(other or {})
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def lora(name: Any, weight: Any = None, hash_: Any = None) -> dict[str, Any]:
    """One of the ``loras``."""
    values = {"name": model(name), "weight": number(weight), "hash": short(hash_)}
    return {key: value for key, value in values.items() if value not in (None, "")}


def text(value: Any, limit: int) -> str | None:
    """A text that can be written: no NUL and no half of a surrogate pair, not longer than the limit."""
    if not isinstance(value, str):
        return None
    cleaned = value[: limit + 1].encode("utf-8", "replace").decode().replace("\0", "").strip()
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def prompt(value: Any) -> str | None:
    """A text as long as a prompt may be."""
    return text(value, MAX_PROMPT)


def short(value: Any) -> str | None:
    """A text of usual length, or a number as one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(number(value))
    return text(value, MAX_SHORT)


def model(value: Any) -> str | None:
    """The name of a model without its folder and the ending of its file."""
    name = short(value)
    return None if name is None else _FILE.sub("", re.split(r"[/\\]", name)[-1])


def number(value: Any) -> int | float | None:
    """A number, also one written as a text; whole ones as integers; None beyond 64 bits, and for what is none."""
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d{1,20}(\.\d{0,20})?(e[-+]?\d{1,2})?\s*", value):
        value = float(value) if re.search(r"[.e]", value) else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if -(2**63) <= value < 2**64 else None


def whole(value: Any) -> int | None:
    """A whole number; None for any other."""
    found = number(value)
    return found if isinstance(found, int) else None


def _loras(value: Any) -> list[dict[str, Any]]:
    named: Iterable[Any] = value if isinstance(value, list) else []
    return [one for one in named if one.get("name")][:_MAX_LORAS]


_FIELDS = {
    "tool": short,
    "prompt": prompt,
    "negative_prompt": prompt,
    "model": model,
    "model_hash": short,
    "seed": whole,
    "sampler": short,
    "scheduler": short,
    "steps": whole,
    "cfg": number,
    "width": whole,
    "height": whole,
    "loras": _loras,
}


def _other(values: Mapping[str, Any]) -> dict[str, Any]:
    """The first keys and what they hold; of what is long its JSON, cut."""
    found: dict[str, Any] = {}
    for key, value in list(values.items())[:_MAX_OTHER]:
        cleaned = _clean(value, 0)
        written = canonical_json(cleaned)
        if cleaned not in (None, "", [], {}):
            found[text(str(key), 100) or "_"] = cleaned if len(written) <= MAX_SHORT else text(written, MAX_SHORT)
    return found


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {text(str(k), 100) or "_": _clean(v, depth + 1) for k, v in list(value.items())[:_MAX_OTHER]}
    if isinstance(value, list | tuple) and depth < _MAX_DEPTH:
        return [_clean(v, depth + 1) for v in value[:_MAX_OTHER]]
    if isinstance(value, bool):
        return value
    return number(value) if isinstance(value, int | float) else short(value)


def json_object(written: str) -> dict[str, Any] | None:
    """The object that a text is in JSON; None if it is none, is nested too deeply or is half a document."""
    if written.lstrip()[:1] != "{":
        return None
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
