r"""Chats as text: how the turns of a record are written, and how they are read back.

The text of a record is its content, which the id is the hash of. So it is readable and yet exact: equal turns give
equal texts, and other turns give others. A turn is ``role: words``, and an empty line is between turns. A role that is
none of ROLES has an @ before it; a paragraph of words that would be read as a turn has a backslash before it.
"""

import re
from collections.abc import Iterable

ROLES = ("system", "user", "assistant", "tool")
"""Whose turns are written without an @."""

MODEL = "assistant"
"""The role of the model: its turns are the reply, those of all others are the prompt."""

MAX_ROLE_CHARS = 64

Turn = tuple[str, str]
"""A role, and what was said."""

_HEAD = rf"({'|'.join(ROLES)}|@[^\n]{{1,{MAX_ROLE_CHARS}}}?): "
_TURN = re.compile(rf"\n\n{_HEAD}")
_LIKE_A_TURN = re.compile(rf"\n\n(?=\\*{_HEAD})")
_ESCAPED = re.compile(rf"\n\n\\(?=\\*{_HEAD})")


def is_role(role: str) -> bool:
    """Whether a turn can have this role: one short line, without what ends it."""
    return 0 < len(role) <= MAX_ROLE_CHARS and role.isprintable() and role == role.strip() and ": " not in role


def render(turns: Iterable[Turn]) -> str:
    """The text of a chat whose roles are all ``is_role``."""
    return "\n\n".join(_paragraph(role, said) for role, said in turns)


def _paragraph(role: str, said: str) -> str:
    marked = role if role in ROLES else f"@{role}"
    words = _LIKE_A_TURN.sub("\n\n\\\\", said)
    return f"{marked}: {words}"


def turns(text: str) -> list[Turn]:
    """The turns that ``render`` was given; none if the text does not begin with one."""
    text = f"\n\n{text}"  # then all turns begin alike, and a literal prefix is what a pattern is found fast by
    heads = list(_TURN.finditer(text))
    if not heads or heads[0].start():
        return []
    ends = [*(head.start() for head in heads[1:]), len(text)]
    return [
        (head[1].removeprefix("@"), _ESCAPED.sub("\n\n", text[head.end() : end]))
        for head, end in zip(heads, ends, strict=True)
    ]


def parts(content: str) -> tuple[str, str] | None:
    """Prompt and reply of a record, from its text: the words of all others, and those of the model.

    None if it is no such pair: a text that is no chat, or one in which the model, or all others, say nothing.
    """
    found = turns(content)
    prompt = [said for role, said in found if role != MODEL]
    reply = [said for role, said in found if role == MODEL]
    return ("\n\n".join(prompt), "\n\n".join(reply)) if prompt and reply else None
