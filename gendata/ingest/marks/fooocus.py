"""The ``parameters`` of Fooocus in its own scheme, an object of JSON; in its other one they are those of ``a1111``.

Source: modules/meta_parser.py of Fooocus.
"""

import re
from collections.abc import Mapping
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, lora


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What the object says; None where it is of another kind. ``beside`` is not needed."""
    if not isinstance(document, dict) or "base_model" not in document or not {"prompt", "seed"} & document.keys():
        return None
    rest = dict(document)
    size = re.findall(r"\d+", str(rest.pop("resolution", ""))[:40])
    loras = rest.pop("loras", None)
    return gen(
        tool="Fooocus",
        prompt=rest.pop("prompt", None),
        negative_prompt=rest.pop("negative_prompt", None),
        model=rest.pop("base_model"),
        model_hash=rest.pop("base_model_hash", None),
        seed=rest.pop("seed", None),
        sampler=rest.pop("sampler", None),
        scheduler=rest.pop("scheduler", None),
        steps=rest.pop("steps", None),
        cfg=rest.pop("guidance_scale", None),
        width=size[0] if len(size) == 2 else None,
        height=size[1] if len(size) == 2 else None,
        loras=[lora(*one[:3]) for one in loras if isinstance(one, list) and one] if isinstance(loras, list) else None,
        other=rest,
    )
