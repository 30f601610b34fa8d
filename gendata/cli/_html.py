"""A self-contained page of items: snippets and thumbnails inside, no script, nothing loaded."""

import base64
import html
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gendata.cli._shared import printable
from gendata.errors import GendataError

Content = Callable[[str], tuple[bytes, str]]
"""Content and media type of an item of the store, by id."""

Copy = tuple[tuple[str, str, str], bytes, str]
"""(source, uri, id) of a dropped copy, its content and media type."""

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
body{color:#1d2330;background:#fff}
h1{font-size:1.3rem} ol{list-style:none;padding:0}
li{display:flex;gap:1rem;border-top:1px solid #dde1e8;padding:.8rem 0}
img{width:96px;height:96px;object-fit:contain;background:#f2f4f7;border-radius:4px;flex:none}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0}
.side{flex:1 1 0;min-width:0}
.facts{color:#5b6474;font-size:.85rem;overflow-wrap:anywhere}
.origin{font-weight:600} .generated{color:#a3420b} .unknown{color:#7a5c00} .real{color:#1c6b3c}
@media (prefers-color-scheme:dark){
body{background:#14171c;color:#e6e9ee} li{border-color:#333a45} img{background:#20252d}
.facts{color:#9aa4b2} .generated{color:#ff9d5c} .unknown{color:#e0bf4a} .real{color:#63c98b}
}
"""


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
    views = {key: _view(data, media_type) for key, data, media_type in copies}
    items = []
    for row in rows:
        sides = [_side("kept", row["kept_source"], row["kept_uri"], row["kept_id"], _view(*content(row["kept_id"])))]
        view = "" if row["id"] == row["kept_id"] else views.get((row["source"], row["uri"], row["id"]), "")
        sides.append(_side("copy", row["source"], row["uri"], row["id"], view, _facts(row, ("reason", "score"))))
        items.append(f"<li>{''.join(sides)}</li>")
    _write(path, title, items)


def _side(role: str, source: str, uri: str, item_id: str, view: str, more: str = "") -> str:
    facts = " · ".join(part for part in (f"<b>{role}</b>", more, _text(f"{source}: {uri}")) if part)
    return f'<div class="side"><div class="facts">{facts}</div>{view}<div class="facts">{_text(item_id)}</div></div>'


def _view(data: bytes, media_type: str) -> str:
    """An image small, anything else that is text by its beginning."""
    if media_type.startswith("image/"):
        return _thumbnail(data)
    if media_type.startswith(("audio/", "video/")):
        return ""
    return f'<div class="text">{_text(data[:2400].decode("utf-8", "replace")[:600])}</div>'


def _write(path: Path, title: str, entries: Sequence[str]) -> None:
    items = "\n".join(entries) or "<li>nothing found</li>"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    page = (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n'
        f"<body><h1>{_text(title)}</h1>\n<ol>\n{items}\n</ol></body></html>\n"
    )
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise GendataError(f"{path}: {error.strerror}") from None


def _item(row: Mapping[str, Any], content: Content) -> str:
    data, _ = content(row["id"]) if row.get("modality") == "image" else (b"", "")
    picture = _thumbnail(data) if data else ""
    facts = _facts(row, ("score", "source", "uri", "label"))
    origin = row.get("origin")
    mark = f'<span class="origin {_text(origin)}">{_text(origin)}</span> · ' if origin else ""
    snippet = _text(str(row.get("text") or "")[:600])
    return (
        f'<li>{picture}<div><div class="facts">{mark}{facts}</div><div class="text">{snippet}</div>'
        f'<div class="facts">{_text(row["id"])}</div></div></li>'
    )


def _facts(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return " · ".join(f"{n} {_text(row[n])}" for n in names if row.get(n) is not None)


def _text(value: object) -> str:
    return html.escape(printable(f"{value:.4f}" if isinstance(value, float) else str(value)))


def _thumbnail(data: bytes) -> str:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as image:
        small = ImageOps.exif_transpose(image).convert("RGBA")
        small.thumbnail((192, 192))
        out = io.BytesIO()
        small.save(out, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'
