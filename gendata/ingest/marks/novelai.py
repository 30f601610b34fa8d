"""What NovelAI writes: ``Comment`` is JSON, ``Source`` the model and its hash, ``Software`` its name.

In a WebP the same texts are one JSON object in Exif's UserComment.
"""

import re
from collections.abc import Mapping
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, json_object

TOOL = "NovelAI"


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What a comment says, with the texts ``beside`` it; None where it is of another kind."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("Comment"), str):  # all texts in one
        beside = {key: value for key, value in document.items() if isinstance(value, str)}
        document = json_object(document["Comment"]) or {}
    if beside.get("Software") != TOOL and not {"uc", "sampler", "scale"} <= document.keys():
        return None
    source = beside.get("Source", "")
    hashed = re.fullmatch(r"(.{1,200}) ([0-9A-F]{8})", source)
    rest = dict(document)
    return gen(
        tool=TOOL,
        prompt=rest.pop("prompt", None) or beside.get("Description"),
        negative_prompt=rest.pop("uc", None),
        model=hashed[1] if hashed else source,
        model_hash=hashed[2] if hashed else None,
        seed=rest.pop("seed", None),
        sampler=rest.pop("sampler", None),
        scheduler=rest.pop("noise_schedule", None),
        steps=rest.pop("steps", None),
        cfg=rest.pop("scale", None),
        width=rest.pop("width", None),
        height=rest.pop("height", None),
        other=rest,
    )
