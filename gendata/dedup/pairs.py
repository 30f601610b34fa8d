"""Records of prompt and reply: what their two parts are, so that they are duplicates only where both parts are.

The same short reply under different prompts is no repetition, nor is one prompt with different replies. Two pairs are
compared part by part, and their similarity is the lower of the two; a pair and what is none are compared as texts.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

PROMPTS = ("prompt", "instruction", "question")
REPLIES = ("completion", "response", "reply", "output", "answer")
"""Names of the parts, as data sets have them; the first that holds a text counts."""
TURNS = {"messages": ("role", "content"), "conversations": ("from", "value")}
"""Names of a list of turns, and in a turn of the speaker and of what is said."""
MODELS = frozenset({"assistant", "gpt", "model", "bot"})
"""Speakers whose turns are the reply; those of all others are the prompt."""

Pair = tuple[str, str]
"""Prompt and reply; neither is empty."""


def pair_of(text: str | None, meta: str | None = None) -> Pair | None:
    """Prompt and reply of an item, or None if it is no such pair.

    Args:
        text: of the item. It may be the record itself, as a JSON object; or one part, the other being in ``meta``; or
            both parts in some template, both being in ``meta`` and word for word in the text.
        meta: of the item, a JSON object.
    """
    if text and text.lstrip()[:1] == "{" and (record := _object(text)):
        return _whole(*_parts(record))
    prompt, reply = _parts(_object(meta) if meta else {})
    if prompt and reply:
        return (prompt, reply) if text and prompt in text and reply in text else None
    return _whole(prompt or text, reply or text) if prompt or reply else None


def _whole(prompt: str | None, reply: str | None) -> Pair | None:
    return (prompt, reply) if prompt and reply and prompt.strip() and reply.strip() else None


def _object(text: str) -> dict[str, Any]:
    """The JSON object that a text is; empty if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _parts(record: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Prompt and reply of a record; the input of an instruction is part of the prompt."""
    for name, (speaker, said) in TURNS.items():
        turns = record.get(name)
        if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
            return _spoken(turns, speaker, said)
    prompt, reply = (next((v for v in map(_string, map(record.get, names)) if v), None) for names in (PROMPTS, REPLIES))
    given = _string(record.get("input"))
    return "\n".join(part for part in (prompt, given) if part and (prompt or reply)) or None, reply


def _spoken(turns: Sequence[Mapping[str, Any]], speaker: str, said: str) -> tuple[str | None, str | None]:
    sides: tuple[list[str], list[str]] = ([], [])
    for turn in turns:
        sides[turn.get(speaker) in MODELS if isinstance(turn.get(speaker), str) else 0].append(_said(turn.get(said)))
    prompt, reply = ("\n".join(filter(None, side)) for side in sides)
    return prompt or None, reply or None


def _said(content: object) -> str:
    """The text of a turn: a string, or a list of parts of which some are text."""
    if isinstance(content, list):
        texts = [_string(part.get("text")) for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if text)
    return _string(content) or ""


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None
