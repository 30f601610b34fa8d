"""Cuts texts into passages that an encoder reads whole, at the best boundaries there are.

A text is cut into paragraphs; what is too long into sentences, lines, words and at last pieces of a
word. Neighbours are then joined again as long as they fit (the recursive splitting that LangChain
made common, here with offsets and with token counts checked). Time is linear in the text: no unit
of more than ``CHARS_PER_TOKEN * limit`` characters is ever counted.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

Span = tuple[int, int]
"""Start and end in code points."""

Count = Callable[[Sequence[str]], list[int]]
"""Tokens of each text, encoded alone, without special tokens."""

CUTS = (
    re.compile(r"\n[^\S\n]*\n\s*"),
    re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])[”’」』）]*"),
    re.compile(r"\n\s*"),
    re.compile(r"\s+"),
)
"""Where paragraphs, sentences (also those of Chinese and Japanese), lines and words end."""

CHARS_PER_TOKEN = 16
"""No passage has more characters than this times the limit, whatever its tokens: a long word is one
unknown token to WordPiece."""

BATCH = 256
"""Units counted at a time: a tokenizer takes some hundred bytes per token."""


def split(texts: Sequence[str], limit: int, count: Count) -> list[list[Span]]:
    """The passages of each text, in order.

    Passages do not overlap and leave out nothing but white space; each has at most ``limit`` tokens
    when encoded alone (or is one character). A text of white space only has none.
    """
    whole = [_trim(text, 0, len(text)) for text in texts]
    short = [i for i, (start, end) in enumerate(whole) if start < end <= start + CHARS_PER_TOKEN * limit]
    counts: dict[int, int] = {}
    for at in range(0, len(short), BATCH):
        some = short[at : at + BATCH]
        counts.update(zip(some, count([texts[i][slice(*whole[i])] for i in some]), strict=True))
    found: list[list[Span]] = []
    for i, (text, span) in enumerate(zip(texts, whole, strict=True)):
        if counts.get(i, limit + 1) <= limit:
            found.append([span])
        else:
            packed = _pack(_units(text, span, 0, limit, count), limit)
            found.append(list(_checked(text, packed, limit, count)))
    return found


def _trim(text: str, start: int, end: int) -> Span:
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    return start + left, max(start + left, start + len(piece.rstrip()))


def _cut(text: str, span: Span, level: int, limit: int) -> Iterator[Span]:
    """The trimmed, non-empty units of a span: by pattern, below words by ever smaller widths."""
    start, end = span
    cuts: Iterable[int]
    if level < len(CUTS):
        cuts = (match.end() for match in CUTS[level].finditer(text, start, end))
    else:
        width = max(1, 4 * limit >> (level - len(CUTS)))
        cuts = range(start + width, end, width)
    for cut in cuts:
        unit = _trim(text, start, cut)
        start = cut
        if unit[0] < unit[1]:
            yield unit
    unit = _trim(text, start, end)
    if unit[0] < unit[1]:
        yield unit


def _units(text: str, span: Span, level: int, limit: int, count: Count) -> Iterator[tuple[int, int, int]]:
    """Yields (start, end, tokens) of units that fit: the largest that do."""
    units = _cut(text, span, level, limit)
    while batch := list(islice(units, BATCH)):
        short = [(start, end) for start, end in batch if end - start <= CHARS_PER_TOKEN * limit]
        counts = dict(zip(short, count([text[slice(*unit)] for unit in short]), strict=True))
        for unit in batch:
            tokens = counts.get(unit, limit + 1)
            if tokens <= limit or unit[1] - unit[0] == 1:
                yield (*unit, tokens)
            else:
                yield from _units(text, unit, level + 1, limit, count)


def _pack(units: Iterable[tuple[int, int, int]], limit: int) -> Iterator[Span]:
    """Joins neighbours while they fit."""
    open_: tuple[int, int, int] | None = None
    for start, end, tokens in units:
        if open_ and open_[2] + tokens <= limit and end - open_[0] <= CHARS_PER_TOKEN * limit:
            open_ = (open_[0], end, open_[2] + tokens)
            continue
        if open_:
            yield open_[:2]
        open_ = (start, end, tokens)
    if open_:
        yield open_[:2]


def _checked(text: str, spans: Iterable[Span], limit: int, count: Count) -> Iterator[Span]:
    """Halves what is too long after all: tokens of joined units need not add up in every tokenizer."""
    spans = iter(spans)
    while batch := list(islice(spans, BATCH)):
        for (start, end), tokens in zip(batch, count([text[slice(*span)] for span in batch]), strict=True):
            if tokens <= limit or end - start == 1:
                yield start, end
                continue
            middle = (start + end) // 2
            space = max(text.rfind(c, start, middle) for c in " \n\t")
            cut = space if space > start else middle
            yield from _checked(text, [_trim(text, start, cut), _trim(text, cut, end)], limit, count)
