"""Hits of a search on stdout. On a terminal the part of a passage that matches is shown, its words marked."""

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from gendata.cli._shared import cell_width, emit, fit, short, wants_table

if TYPE_CHECKING:
    from gendata.search import Hit
    from gendata.search.marks import Mark, Marker

COLUMNS = ("score", "id", "modality", "origin", "source", "uri", "text")


def print_hits(
    hits: "Sequence[Hit]",
    query: str | None,
    format_: str | None,
    *,
    explain: bool = False,
    numbered: bool = False,
) -> None:
    """Print hits in a format of ``emit``.

    Args:
        hits: best first.
        query: what was searched for in words.
        format_: as of ``emit``.
        explain: also show score and rank by words, by meaning and by likeness.
        numbered: the rows of a table begin with their number, from 1.
    """
    rows = [hit.explained() if explain else hit.row() for hit in hits]
    if not wants_table(format_):
        emit(rows, format_)
        return
    columns = _columns(bool(query), any(hit.visual_score is not None for hit in hits)) if explain else COLUMNS
    shown = [{"#": number, **row, "id": short(row["id"])} for number, row in enumerate(rows, 1)]
    emit(shown, format_, ("#", *columns) if numbered else columns, draw=_draw(query))


def _columns(words: bool, visual: bool) -> tuple[str, ...]:
    """The columns of a table that explains."""
    kinds = [*(["keyword", "semantic"] if words else []), *(["visual"] if visual else [])]
    rankings = [f"{kind}_{what}" for kind in kinds for what in ("score", "rank")]
    return ("score", *rankings, "id", "origin", "source", "text")


def _draw(query: str | None) -> dict[str, Callable[[str, int], str]]:
    if not query or not sys.stdout.isatty():
        return {}
    from gendata.search.marks import Marker

    style = str if os.environ.get("NO_COLOR") else partial(click.style, fg="red", bold=True)
    return {"text": partial(snippet, marker=Marker.of(query), style=style)}


def snippet(text: str, width: int, *, marker: "Marker", style: Callable[[str], str]) -> str:
    """The part of a text with most of what was searched for, ``width`` columns wide, its matches styled."""
    marks = marker.find(text)
    start = _start(text, marks, width) if cell_width(text) > width else 0
    cut = ("…" if start else "") + text[start:]
    shown, moved = fit(cut, width), (1 if start else 0) - start
    end = len(cut) if cell_width(cut) <= width else shown.rindex("…")
    drawn, done = "", 0
    for mark in marks:
        first, last = mark.start + moved, min(mark.end + moved, end)
        if done <= first < last:
            drawn += shown[done:first] + style(shown[first:last])
            done = last
    return drawn + shown[done:]


def _start(text: str, marks: "Sequence[Mark]", width: int) -> int:
    """Where the snippet begins: it holds as many different matches as fit, the first such place, at a word."""
    at = [0, *itertools.accumulate(map(cell_width, text))]
    room = width - 2  # an ellipsis on either side
    best, first, last = 0, 0, 0
    for mark in marks:
        inside = [m for m in marks if m.start >= mark.start and at[m.end] - at[mark.start] <= room] or [mark]
        if (count := len({m.term for m in inside})) > best:
            best, first, last = count, mark.start, inside[-1].end
    if at[last] < width:
        return 0
    spare = max(room - (at[last] - at[first]), 0)
    before = max(spare // 2, spare - (at[-1] - at[last]))  # a text that ends soon leaves more room before the matches
    starts = (k for k in range(first + 1) if at[first] - at[k] <= before and (k == 0 or text[k - 1] == " "))
    return next(starts, first)
