"""What InvokeAI writes: ``invokeai_metadata`` (3 and later), ``sd-metadata`` (2), ``Dream`` (1, its command line).

Source: invokeai/app/invocations/metadata.py and its predecessors. What InvokeAI calls scheduler is the sampler.
"""

import re
from collections.abc import Mapping
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, lora

TOOL = "InvokeAI"
_DREAM = re.compile(r'\s*"(.*)"((?:\s+-\S[^"]*)?)\s*', re.DOTALL)
_FLAG = re.compile(r"-([sSWHCA])\s*([\w.+-]+)")


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What the document says; None where it is of another kind. ``beside`` is not needed."""
    if isinstance(document, str):
        return _dream(document) if document.lstrip().startswith('"') else None
    if isinstance(document.get("image"), dict) and ("app_id" in document or "model_weights" in document):
        return _old(document)
    if "positive_prompt" in document or "invokeai" in str(document.get("app_id", "")).lower():
        return _new(document)
    return None


def _new(document: Mapping[str, Any]) -> Gen:
    rest = dict(document)
    model, loras = rest.pop("model", None), rest.pop("loras", None)
    name, hash_ = _model(model)
    return gen(
        tool=TOOL,
        prompt=rest.pop("positive_prompt", None),
        negative_prompt=rest.pop("negative_prompt", None),
        model=name,
        model_hash=hash_,
        seed=rest.pop("seed", None),
        sampler=rest.pop("scheduler", None),
        steps=rest.pop("steps", None),
        cfg=rest.pop("cfg_scale", None),
        width=rest.pop("width", None),
        height=rest.pop("height", None),
        loras=[_lora(one) for one in loras if isinstance(one, dict)] if isinstance(loras, list) else None,
        other=rest,
    )


def _model(model: Any) -> tuple[Any, Any]:
    """Name and hash of a model, by the keys of any version."""
    if not isinstance(model, dict):
        return model, None
    return model.get("name") or model.get("model_name"), model.get("hash")


def _lora(one: Mapping[str, Any]) -> dict[str, Any]:
    name, hash_ = _model(one.get("model") or one.get("lora"))
    return lora(name, one.get("weight"), hash_)


def _old(document: Mapping[str, Any]) -> Gen:
    image = dict(document["image"])
    prompt = image.pop("prompt", None)
    if isinstance(prompt, list):
        prompt = ", ".join(str(one.get("prompt", "")) for one in prompt if isinstance(one, dict))
    return gen(
        tool=TOOL,
        prompt=prompt,
        model=document.get("model_weights"),
        model_hash=document.get("model_hash"),
        seed=image.pop("seed", None),
        sampler=image.pop("sampler", None),
        steps=image.pop("steps", None),
        cfg=image.pop("cfg_scale", None),
        width=image.pop("width", None),
        height=image.pop("height", None),
        other=image,
    )


def _dream(line: str) -> Gen | None:
    """``"a castle" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms``."""
    match = _DREAM.fullmatch(line[:100_000])
    flags = dict(_FLAG.findall(match[2])) if match else {}
    if match is None or not flags:
        return None
    known = {"steps": "s", "seed": "S", "width": "W", "height": "H", "cfg": "C", "sampler": "A"}
    return gen(tool=TOOL, prompt=match[1], **{name: flags.get(flag) for name, flag in known.items()})
