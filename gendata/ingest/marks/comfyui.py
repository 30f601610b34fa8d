"""The graph of ComfyUI (``prompt``): nodes by number, each with a class and inputs, which are values or links to nodes.

Nodes are known by the names of their inputs, not by a list of classes: custom nodes are without number, and take and
give the same things. From the last sampler everything is upstream; each node is visited once, so that a cycle ends. The
``workflow`` is what the editor needs to draw the graph, and says that ComfyUI was used, no more.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gendata.ingest.marks.gen import Gen, gen, lora

Node = Mapping[str, Any]
Graph = Mapping[str, Node]

_MAX_NODES = 10_000
_TEXTS = ("text", "text_g", "text_l", "t5xxl", "clip_l", "clip_g", "prompt", "string", "value")
_SIDES = ("positive", "negative")
_NO_TEXT = frozenset(
    {"clip", "model", "vae", "image", "images", "pixels", "mask", "samples", "latent", "latent_image", "control_net"}
    | {"clip_vision", "clip_vision_output", "noise", "sampler", "sigmas"}
)
"""Inputs behind which there is no text of a prompt."""


def read(document: dict[str, Any] | str, beside: Mapping[str, str]) -> Gen | None:
    """What the graph says; None where it is none. ``beside`` is not needed."""
    if not isinstance(document, dict):
        return None
    if isinstance(document.get("nodes"), list) and "links" in document:
        return gen(tool="ComfyUI")
    graph = {str(number): node for number, node in list(document.items())[:_MAX_NODES] if _is_node(node)}
    if not graph:
        return None
    sampler = _sampler(graph)
    return gen(tool="ComfyUI") if sampler is None else _of(graph, sampler)


def _is_node(node: Any) -> bool:
    return isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _sampler(graph: Graph) -> str | None:
    """The sampler nearest to where an image is saved, or the first that there is."""
    ends = [n for n, node in graph.items() if "save" in node["class_type"].lower()]
    return next((n for n in [*_upstream(graph, *ends), *graph] if _samples(graph[n]["inputs"])), None)


def _samples(inputs: Mapping[str, Any]) -> bool:
    """Whether a node with these inputs is a sampler, or one whose parts are nodes (SamplerCustomAdvanced)."""
    seeded = inputs.keys() & {"seed", "noise_seed", "noise"}
    return bool(
        seeded and (inputs.keys() >= {"positive", "negative", "model"} or inputs.keys() >= {"guider", "sigmas"})
    )


def _of(graph: Graph, sampler: str) -> Gen:
    upstream = list(_upstream(graph, sampler))
    latent = _link(graph, graph[sampler]["inputs"].get("latent_image"))
    latents = list(_upstream(graph, latent)) if latent else []

    def first(*names: str, among: Iterable[str] = upstream) -> Any:
        """The nearest value of an input of one of these names."""
        found = (_literal(graph, graph[n]["inputs"], name) for n in among for name in names)
        return next((value for value in found if value is not None), None)

    return gen(
        tool="ComfyUI",
        prompt=_text(graph, sampler, "positive"),
        negative_prompt=_text(graph, sampler, "negative"),
        model=first("ckpt_name", "unet_name", "model_name", "model_path"),
        seed=first("seed", "noise_seed"),
        sampler=first("sampler_name"),
        scheduler=first("scheduler"),
        steps=first("steps"),
        cfg=first("cfg"),
        width=first("width", among=latents),
        height=first("height", among=latents),
        loras=[one for n in reversed(upstream) for one in _loras(graph[n]["inputs"])],
    )


def _link(graph: Graph, value: Any) -> str | None:
    """The node that an input is linked to."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and str(value[0]) in graph:
        return str(value[0])
    return None


def _upstream(graph: Graph, *starts: str) -> Iterator[str]:
    """Nodes and all that they depend on, each once, the nearest first."""
    seen, queue = set(starts), deque(starts)
    while queue:
        number = queue.popleft()
        yield number
        for value in graph[number]["inputs"].values():
            if (linked := _link(graph, value)) is not None and linked not in seen:
                seen.add(linked)
                queue.append(linked)


def _literal(graph: Graph, inputs: Mapping[str, Any], name: str) -> Any:
    """The value of an input, also where a node of one value gives it."""
    value = inputs.get(name)
    if (linked := _link(graph, value)) is not None:
        given = graph[linked]["inputs"]
        value = next((given[key] for key in (name, "value", "int", "float", "number") if key in given), None)
    return value if isinstance(value, str | int | float) else None


def _text(graph: Graph, sampler: str, side: str) -> str | None:
    """The texts of one side of the guidance, in the order in which they are met, each once."""
    texts: dict[str, None] = {}
    seen, queue = {sampler}, deque([sampler])
    while queue:
        node = graph[queue.popleft()]
        if "zeroout" in node["class_type"].lower():
            continue  # conditioning that is emptied is no prompt
        inputs = node["inputs"]
        texts |= {
            v.strip(): None
            for name in (*_TEXTS, f"text_{side}")
            if isinstance(v := inputs.get(name), str) and v.strip()
        }
        for name, value in inputs.items():
            linked = _link(graph, value)
            if linked is not None and linked not in seen and _leads(inputs, name, side):
                seen.add(linked)
                queue.append(linked)
    return "\n".join(texts) or None


def _leads(inputs: Mapping[str, Any], name: str, side: str) -> bool:
    """Whether the texts of a side may lie behind an input: of a node with both sides, behind its own alone."""
    if "guider" in inputs:
        return name == "guider"
    if not inputs.keys() & set(_SIDES):
        # a guider of one conditioning has no negative side
        return name not in _NO_TEXT and not (side == "negative" and name == "conditioning" and "model" in inputs)
    return name == side


def _loras(inputs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if isinstance(inputs.get("lora_name"), str):
        yield lora(inputs["lora_name"], inputs.get("strength_model", inputs.get("strength")))
    for value in inputs.values():  # rgthree's loader of several
        if isinstance(value, dict) and value.get("on") and isinstance(value.get("lora"), str):
            yield lora(value["lora"], value.get("strength"))
