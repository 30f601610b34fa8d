"""Chats in tables: their dialects to turns, and the text that is the content of such a record.

A list of turns is that of OpenAI (``role``, ``content``) or ShareGPT (``from``, ``value``), or JSON of one, as a .csv
holds it. Prompt and reply are two columns. Equal chats are equal items whichever of these they came in. What is no
text (an image, a call of a tool) stands in the text as its type and the start of its hash, and whole in ``meta``.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gendata import chats
from gendata.ingest.cells import as_meta, as_string, as_text, as_words
from gendata.ingest.reader import UnitError
from gendata.ingest.records import parse_json
from gendata.items import canonical_json, content_id

NAMES: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations"),
    "prompt": ("prompt", "instruction", "question"),
    "input": ("input",),
    "reply": ("completion", "response", "reply", "output", "answer"),
    "system": ("system",),
    "session": ("session", "session_id", "conversation_id", "chat_id"),
    "model": ("model",),
    "time": ("time", "timestamp", "created_at"),
}
"""Field of ``map`` to the columns that it is by itself, if the table has just one of them."""

ABOUT = ("session", "model", "time")
"""Fields that say something about a chat, and are none of its words."""

_ROLES = dict.fromkeys(chats.ROLES) | {
    "developer": "system",
    "human": "user", "prompter": "user",
    "ai": "assistant", "bot": "assistant", "chatgpt": "assistant", "function_call": "assistant", "gpt": "assistant",
    "model": "assistant",
    "function": "tool", "observation": "tool",
}  # fmt: skip
"""Roles in other dialects, in lower case; None: its own name."""

_CALLS = ("tool_calls", "function_call")
"""Keys of a turn beside its words that are a part of what was said."""

_TEXT_TYPES = (None, "text", "input_text", "output_text")


def usual_columns(there: Sequence[str]) -> dict[str, str]:
    """Field to column where the names of the columns alone say that rows are chats; empty where they do not."""
    found = {field: [n for n in names if n in there] for field, names in NAMES.items()}
    one = {field: names[0] for field, names in found.items() if len(names) == 1}
    if len(found["messages"]) == 1:
        kept: tuple[str, ...] = ("messages", "system", *ABOUT)
    elif not found["messages"] and {"prompt", "reply"} <= one.keys():
        kept = ("prompt", "reply", "system", *ABOUT, *(("input",) if one["prompt"] == "instruction" else ()))
    else:
        kept = ()
    return {field: one[field] for field in kept if field in one}


def read_chat(cell: Mapping[str, Any], max_chars: int) -> tuple[str, dict[str, Any]]:
    """The text of a chat, and what ``meta`` says about it, from its cells by field of ``map``. Raises UnitError."""
    messages = _messages(cell["messages"]) if "messages" in cell else []
    said = [*_columns(cell, "system"), *(_turn(n, message) for n, message in enumerate(messages, 1))]
    said += [*_columns(cell, "prompt", "input"), *_columns(cell, "reply")]
    # an empty system message is how many tables say that there is none
    said = [(role, words) for role, words in said if role != "system" or words.strip()]
    text = as_text(chats.render(said), max_chars)
    if text is None or not any(words.strip() for _, words in said):
        raise UnitError("empty", "no turn of the chat says anything")
    chat: dict[str, Any] = {"roles": list(dict.fromkeys(role for role, _ in said)), "turns": len(said)}
    chat |= {name: as_meta(cell[name]) for name in ABOUT if cell.get(name) not in (None, "")}
    return text, chat | ({"messages": as_meta(messages)} if any(map(_holds_more, messages)) else {})


_SPEAKERS = {"system": "system", "prompt": "user", "reply": "assistant"}


def _columns(cell: Mapping[str, Any], *names: str) -> Iterator[chats.Turn]:
    """The turn that columns are together; none where they are empty. A reply may be a number or a truth value."""
    read = as_words if "reply" in names else as_string  # answers of benchmarks often are; a prompt of 3 is a mistake
    found = [value for name in names if (value := read(name, cell.get(name))) and value.strip()]
    if found:
        yield _SPEAKERS[names[0]], "\n".join(found)


def _messages(value: Any) -> list[Any]:
    """The list of turns in a cell, which may be JSON of one."""
    if isinstance(value, str):
        value = parse_json(value.encode()) if value.strip() else None
    if value is None or value == []:
        raise UnitError("empty", "no messages")
    if not isinstance(value, list):
        raise UnitError("invalid-row", f"messages is {type(value).__name__} instead of a list of turns")
    return value


def _turn(number: int, turn: Any) -> chats.Turn:
    """Role and words of one message."""
    if not isinstance(turn, dict):
        raise UnitError("invalid-row", f"turn {number} is {type(turn).__name__} instead of role and content")
    role, content = _role(turn), _content(turn)
    if not isinstance(role, str) or not chats.is_role(role):
        raise UnitError("invalid-row", f"turn {number} has no role that is a short line of text")
    calls = [{"type": key, key: turn[key]} for key in _CALLS if turn.get(key)]
    if content is None and not calls:
        raise UnitError("invalid-row", f"turn {number} has no content")
    if not isinstance(content, str | list | None):
        raise UnitError("invalid-row", f"turn {number}: content is {type(content).__name__} instead of a text or parts")
    words = [content] if isinstance(content, str) else [_words(number, part) for part in content or ()]
    return role, "\n".join(words + [_mark(call) for call in calls])


def _role(turn: Mapping[str, Any]) -> Any:
    role = turn.get("role") if turn.get("role") is not None else turn.get("from")
    if not isinstance(role, str):
        return None
    known = role.strip().lower()
    return (_ROLES[known] or known) if known in _ROLES else role.strip()


def _content(turn: Mapping[str, Any]) -> Any:
    return turn.get("content") if turn.get("content") is not None else turn.get("value")


def _words(number: int, part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        raise UnitError("invalid-row", f"turn {number}: a part is {type(part).__name__} instead of a text or an object")
    return str(part["text"]) if _is_text(part) else _mark(part)


def _is_text(part: Mapping[str, Any]) -> bool:
    return isinstance(part.get("text"), str) and part.get("type") in _TEXT_TYPES


def _mark(part: Mapping[str, Any]) -> str:
    """What stands in the text for a part that is none: with the hash, since other images make another chat."""
    kind = part.get("type")
    name = kind if isinstance(kind, str) and re.fullmatch(r"[\w.-]{1,40}", kind) else "part"
    return f"[{name} {content_id(canonical_json(_stated(as_meta(part))))[:16]}]"


def _stated(value: Any) -> Any:
    """Without keys of no value: Parquet has every key of a column in every row."""
    if isinstance(value, dict):
        return {k: _stated(v) for k, v in value.items() if v is not None}
    return [_stated(v) for v in value] if isinstance(value, list) else value


def _holds_more(turn: Mapping[str, Any]) -> bool:
    """Whether a message says more than its role and words."""
    keys = {key for key, value in turn.items() if value is not None}
    content = _content(turn)
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    plain = all(_is_text(part) and _stated(part).keys() <= {"type", "text"} for part in parts)
    return not plain or not keys <= {"role", "from", "content", "value"}
