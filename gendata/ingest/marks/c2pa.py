"""What a C2PA manifest store says of how a picture came to be: who wrote it, and the kinds of source it names.

Source: C2PA specification 2.2 (manifests, actions) and ISO 19566-5 (JUMBF). Signatures are not verified: a manifest is
asked for one thing, whether it owns up to a model, which nobody has a reason to forge; that a camera took the picture
is never believed. All manifests count, those of ingredients too: what was made from a generated picture is not real.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from gendata.ingest.marks.source_types import in_bytes, last_part

MAX_STORE = 64 << 20
"""Bytes of a store that is looked at; thumbnails are most of one."""

_MAX_DEPTH = 16
_MAX_NODES = 200_000
_UNTAGGED = (*range(6), 25, 28, 29, 30, 35, 36, 37, 43, 52, 54, 100, 256, 258, 260, 261, 1004)
"""CBOR tags that the library would make objects of (regular expressions, mails, references, huge numbers)."""


@dataclass
class Manifests:
    """What the manifests of a store say, each value once, in their order; ``broken``: part of it cannot be read."""

    generators: list[str] = field(default_factory=list)
    source_types: list[str] = field(default_factory=list)
    broken: bool = False


def read(store: bytes) -> Manifests:
    """The claim generators, software agents and digital source types that a store names.

    Where it is broken, source types are looked for in its bytes: CBOR and JSON hold texts as they are.
    """
    found = Manifests()
    view = memoryview(store)[:MAX_STORE]
    try:
        for kind, payload in _boxes(view):
            _collect(_value(kind, payload), found)
    except (ValueError, RecursionError):
        found.broken = True
        for name in in_bytes(view):
            _add(found.source_types, name)
    return found


def _boxes(data: memoryview, depth: int = 0) -> Iterator[tuple[bytes, memoryview]]:
    """Type and content of the boxes that hold content. Raises ValueError where sizes do not fit."""
    at = 0
    while at < len(data):
        size, kind, header = int.from_bytes(data[at : at + 4]), bytes(data[at + 4 : at + 8]), 8
        if size == 1:
            size, header = int.from_bytes(data[at + 8 : at + 16]), 16
        size = size or len(data) - at  # 0: up to the end
        if size < header or at + size > len(data) or depth > _MAX_DEPTH:
            raise ValueError("the boxes do not fit")
        content = data[at + header : at + size]
        if kind == b"jumb":
            yield from _boxes(content, depth + 1)
        else:
            yield kind, content
        at += size


def _value(kind: bytes, content: memoryview) -> Any:
    """The value in a box of CBOR or JSON; None for any other. Raises ValueError."""
    if kind == b"json":
        return json.loads(bytes(content))
    if kind != b"cbor":
        return None
    import cbor2

    decoders = dict.fromkeys(_UNTAGGED, lambda value, _: value)
    try:
        return cbor2.loads(
            bytes(content), semantic_decoders=decoders, max_depth=100, strict_hashable_types=True, str_errors="replace"
        )
    except cbor2.CBORError as error:
        raise ValueError(str(error)) from None


def _collect(root: Any, found: Manifests) -> None:
    """Walk the maps and lists of a value for the few keys that count, in their order."""
    stack, left = [root], _MAX_NODES
    while stack and left:
        left -= 1
        value = stack.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "digitalSourceType" and isinstance(inner, str):
                    _add(found.source_types, last_part(inner))
                elif key in {"claim_generator", "softwareAgent", "claim_generator_info"}:
                    _add_names(found.generators, inner)
            stack.extend(reversed(value.values()))
        elif isinstance(value, list | tuple):
            stack.extend(reversed(value))


def _add_names(names: list[str], agent: Any) -> None:
    for one in agent if isinstance(agent, list) else [agent]:
        name = one.get("name") if isinstance(one, dict) else one
        if isinstance(name, str) and name.strip():
            _add(names, name.strip())


def _add(values: list[str], value: str) -> None:
    if value not in values and len(values) < 16:
        values.append(value[:200])
