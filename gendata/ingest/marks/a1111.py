"""The ``parameters`` of AUTOMATIC1111's web UI, which Forge, SD.Next, Fooocus and many others write, too.

Source: modules/infotext_utils.py of stable-diffusion-webui. The prompt, then ``Negative prompt: ...``, then one line of
``Steps: 20, Sampler: Euler a, ...``, whose values are plain, quoted, or (Hashes, Civitai resources) JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, lora

_LAST_LINE = re.compile(r"^\s*Steps:\s*\d", re.MULTILINE)
_KEY = re.compile(r"\s*(\w[\w \-/.]{0,60}?)\s*:\s*")
_LORA = re.compile(r"<(?:lora|lyco):([^:<>]{1,200})(?::([^:<>]{0,20}))?[^<>]{0,40}>")
_NEGATIVE = "Negative prompt:"

_MAX_LINE = 100_000
_MAX_FIELDS = 200

_FIELDS = {
    "Seed": "seed", "Sampler": "sampler", "Schedule type": "scheduler", "Steps": "steps", "CFG scale": "cfg",
    "Model": "model", "Model hash": "model_hash",
}  # fmt: skip


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What the text says; None where it is of another kind. ``beside`` is not needed."""
    if not isinstance(document, str):
        return None
    starts = [match.start() for match in _LAST_LINE.finditer(document)][-1:]
    if not starts:
        return None
    line, _, after = document[starts[0] :].strip().partition("\n")
    prompt, _, negative = f"\n{document[: starts[0]]}".partition(f"\n{_NEGATIVE}")
    found = _fields(line[:_MAX_LINE])
    known = {name: found.pop(key, None) for key, name in _FIELDS.items()}
    width, _, height = str(found.pop("Size", "")).partition("x")
    hashes = _hashes(found.pop("Lora hashes", None))
    loras = {name: lora(name, weight, hashes.get(name)) for name, weight in _LORA.findall(prompt)}
    loras |= {name: lora(name, None, hash_) for name, hash_ in hashes.items() if name not in loras}
    return gen(
        found | ({"rest": after} if after.strip() else {}),
        **known,
        tool=_tool(found),
        prompt=prompt,
        negative_prompt=negative,
        width=width,
        height=height,
        loras=list(loras.values()),
    )


def _tool(found: Mapping[str, Any]) -> str:
    """The program, which few say: Forge by the letter its versions begin with."""
    version, app = str(found.get("Version", "")), str(found.get("App", ""))
    named = re.match(r"(?i)fooocus|comfyui", version)
    forge = re.match(r"f\d", version) or version == "neo"
    return app or (named[0] if named else "Forge" if forge else "AUTOMATIC1111")


def _fields(line: str) -> dict[str, Any]:
    """Names and values of the last line, from left to right; what is no field is skipped up to the next comma."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(line) and len(found) < _MAX_FIELDS:
        if match := _KEY.match(line, at):
            value, at = _value(line, match.end())
            found.setdefault(match[1], value)
        comma = line.find(",", at)
        at = comma + 1 if comma >= 0 else len(line)
    return found


def _value(line: str, at: int) -> tuple[Any, int]:
    """The value that starts there, and where it ends: JSON where it looks so, else up to the comma."""
    if line[at : at + 1] in ('"', "{", "["):
        try:
            return json.JSONDecoder().raw_decode(line, at)
        except (ValueError, RecursionError):
            pass  # a quote that is never closed: it is a plain value
    comma = line.find(",", at)
    end = comma if comma >= 0 else len(line)
    return line[at:end].strip(), end


def _hashes(value: Any) -> dict[str, str]:
    """``name: hash, name: hash`` as a mapping."""
    pairs = (one.rpartition(":") for one in value.split(",")) if isinstance(value, str) else ()
    return {name.strip(): hash_.strip() for name, _, hash_ in pairs if name.strip()}
