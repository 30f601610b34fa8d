"""The ``parameters`` of SwarmUI: JSON with ``sui_image_params``."""

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, lora

_FIELDS = {
    "prompt": "prompt", "negativeprompt": "negative_prompt", "model": "model", "seed": "seed", "sampler": "sampler",
    "scheduler": "scheduler", "steps": "steps", "cfgscale": "cfg", "width": "width", "height": "height",
}  # fmt: skip


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What the object says; None where it is of another kind. ``beside`` is not needed."""
    if not isinstance(document, dict) or not isinstance(document.get("sui_image_params"), dict):
        return None
    rest = dict(document["sui_image_params"])
    known = {name: rest.pop(key, None) for key, name in _FIELDS.items()}
    names, weights = (value if isinstance(value := rest.pop(k, None), list) else [] for k in ("loras", "loraweights"))
    loras = [lora(name, weight) for name, weight in zip_longest(names, weights[: len(names)])]
    return gen(rest, tool="SwarmUI", loras=loras, **known)
