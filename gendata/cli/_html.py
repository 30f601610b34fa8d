"""A self-contained page of items: snippets, thumbnails and audio inside, no script, nothing loaded."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendata.dedup.gallery import COMPARED, differences, plain, side
from gendata.errors import GendataError
from gendata.originals import OriginalError
from gendata.page import escaped, page, player, thumbnail

Content = Callable[[str], tuple[bytes, str]]
"""Content and media type of an item of the store, by id."""

Copy = tuple[tuple[str, str, str], bytes, str]
"""(source, uri, id) of a dropped copy, its content and media type."""

_SIDE = 192
"""Pixels of a picture: shown at half of that, sharp on any screen."""

_SOUND = 4 << 20
"""Bytes of a recording that are put into the page: half a minute of a WAV, some minutes of an MP3."""


def write(path: Path, title: str, entries: Sequence[tuple[Mapping[str, Any], Content]]) -> None:
    """Write the page. Each entry is a row with an id, and the function that gives its content."""
    _write(path, title, [_item(row, content) for row, content in entries])


def write_pairs(
    path: Path, title: str, rows: Sequence[Mapping[str, Any]], content: Content, copies: Iterable[Copy]
) -> None:
    """Write a page of kept items and their copies side by side; equal content is shown once.

    Args:
        path: the file to write.
        title: of the page.
        rows: of ``Lookup.duplicates``.
        content: of the items that were kept.
        copies: the contents of the others, in any order; one that lacks is shown without.
    """
    others = {key: (data, media_type) for key, data, media_type in copies}
    items = []
    for row in rows:
        copy = None if row["id"] == row["kept_id"] else others.get((row["source"], row["uri"], row["id"]))
        kept, other = _views(_fetched(content, row["kept_id"]), copy)
        sides = [side("kept", [f"{row['kept_source']}: {row['kept_uri']}"], kept, row["kept_id"])]
        facts = [f"{name} {_figure(row[name])}" for name in ("reason", "score") if row.get(name) is not None]
        sides.append(side("copy", [*facts, f"{row['source']}: {row['uri']}"], other, row["id"]))
        items.append(f"<li>{''.join(sides)}</li>")
    _write(path, title, items)


def _fetched(content: Content, item_id: str) -> tuple[bytes, str]:
    """Content and media type of an item, or why it cannot be shown: a page needs no originals."""
    try:
        return content(item_id)
    except OriginalError as error:
        return error.reason.encode(), "text/plain"


def _figure(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _views(kept: tuple[bytes, str], copy: tuple[bytes, str] | None) -> tuple[str, str]:
    """Kept content and copy: texts with what differs marked, pictures small, audio to be played."""
    texts = [_as_text(*content) for content in (kept, copy) if content]
    if len(texts) == 2 and texts[0] is not None and texts[1] is not None:
        return differences(texts[0], texts[1])
    views = [
        plain(text) if text is not None else _medium(*content)
        for text, content in zip(texts, (kept, copy), strict=False)
        if content
    ]
    return views[0], views[1] if copy else ""


def _as_text(data: bytes, media_type: str) -> str | None:
    media = media_type.startswith(("image/", "audio/", "video/"))
    return None if media else data[: 4 * COMPARED].decode("utf-8", "ignore")[:COMPARED]


def _medium(data: bytes, media_type: str) -> str:
    if media_type.startswith("audio/"):
        return player(data, media_type, _SOUND)
    if media_type.startswith("text/"):
        return f'<span class="facts">{escaped(data.decode())}</span>'
    return thumbnail(data, _SIDE) or "" if media_type.startswith("image/") else ""


def _write(path: Path, title: str, entries: Sequence[str]) -> None:
    items = "\n".join(entries) or "<li>nothing found</li>"
    try:
        path.write_text(page(title, f"<ol>\n{items}\n</ol>"), encoding="utf-8")
    except OSError as error:
        raise GendataError(f"{path}: {error.strerror}") from None


def _item(row: Mapping[str, Any], content: Content) -> str:
    medium = _medium(*_fetched(content, row["id"])) if row.get("modality") in {"image", "audio"} else ""
    facts = _facts(row, ("score", "source", "uri", "label"))
    origin = row.get("origin")
    mark = f'<span class="origin {escaped(origin)}">{escaped(origin)}</span> · ' if origin else ""
    snippet = escaped(str(row.get("text") or "")[:600])
    return (
        f'<li>{medium}<div><div class="facts">{mark}{facts}</div><div class="text">{snippet}</div>'
        f'<div class="facts">{escaped(row["id"])}</div></div></li>'
    )


def _facts(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return " · ".join(f"{n} {escaped(row[n])}" for n in names if row.get(n) is not None)
