"""Where two texts differ, word by word, short enough to look at."""

import itertools
import re
from collections.abc import Sequence
from difflib import SequenceMatcher

Piece = tuple[str, str]
"""A kind and a text: ``same`` in both, ``only`` in this one, or ``cut``: words that say how much is not shown."""

TOKENS = 1000
"""Tokens compared after the common beginning; more would take minutes, and nobody reads them."""
CONTEXT = 120
"""Characters shown on either side of a difference."""
SHOWN = 2400
"""Characters of a text shown at most."""

_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]{{1,40}}|\s+|[^\w\s]")


def compare(a: str, b: str) -> tuple[list[Piece], list[Piece]]:
    """The pieces of both texts; of two that are equal, their beginning."""
    if a == b:
        return _shown([("same", a)]), _shown([("same", b)])
    start = _whole_words(a, _common(a, b))
    rest_a, rest_b = a[start:], b[start:]
    stop = _whole_words(rest_a[::-1], _common(rest_a[::-1], rest_b[::-1]))
    (one, left_one), (other, left_other) = (_tokens(rest[: len(rest) - stop]) for rest in (rest_a, rest_b))
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    kinds = [("same" if tag == "equal" else "only", one[i:j], other[k:m]) for tag, i, j, k, m in matcher.get_opcodes()]
    runs_a, runs_b = [(kind, "".join(run)) for kind, run, _ in kinds], [(kind, "".join(run)) for kind, _, run in kinds]
    sides = ((runs_a, left_one, rest_a), (runs_b, left_other, rest_b))
    shown_a, shown_b = (
        _shown(
            [
                ("same", a[:start]),
                *runs,
                *([("cut", f"… {left:,} characters are not compared …")] if left else []),
                ("same", rest[len(rest) - stop :]),
            ]
        )
        for runs, left, rest in sides
    )
    return shown_a, shown_b


def _common(a: str, b: str) -> int:
    """Length of the common beginning; by halving, since texts may be large and slices compare fast."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _whole_words(text: str, length: int) -> int:
    """A length of the beginning that does not end inside a word, if one begins near."""
    least = max(length - 40, 0)
    at = length
    while at > least and text[at - 1].isalnum():
        at -= 1
    return at if at > least or at == 0 else length


def _tokens(text: str) -> tuple[list[str], int]:
    """The first tokens of a text, and how many characters are left."""
    found = [match.group() for match in itertools.islice(_TOKEN.finditer(text), TOKENS)]
    return found, len(text) - sum(map(len, found))


def _shown(pieces: Sequence[Piece]) -> list[Piece]:
    """Cut to what is near a difference, and to SHOWN characters in all."""
    pieces = [piece for piece in pieces if piece[1]]
    out: list[Piece] = []
    room = SHOWN
    for place, (kind, text) in enumerate(pieces):
        first, last = place == 0, place == len(pieces) - 1
        if kind == "same" and not (first and last):
            parts = _near(text, 0 if first else CONTEXT, 0 if last else CONTEXT)
        else:
            parts = [(kind, text)]
        for part, some in parts:
            if len(some) > room:
                out += [(part, some[:room]), ("cut", f"… {len(some) - room:,} more characters")]
                return [piece for piece in out if piece[1]]
            out.append((part, some))
            room -= len(some)
    return out


def _near(text: str, head: int, tail: int) -> list[Piece]:
    """The ends of a common stretch that lie at a difference."""
    hidden = len(text) - head - tail
    if hidden <= CONTEXT:
        return [("same", text)]
    cut = ("cut", f"… {hidden:,} characters …")
    return [piece for piece in (("same", text[:head]), cut, ("same", text[len(text) - tail :])) if piece[1]]
