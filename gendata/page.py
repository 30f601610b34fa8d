"""What self-contained pages are made of: nothing is loaded, no script, and no text of a user is taken for markup."""

import base64
import html
import io
import re
import struct
import unicodedata
import warnings
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}
body{color:#1d2330;background:#fff}
h1{font-size:1.3rem} h2{font-size:1.1rem;margin-top:2rem} h3{font-size:1rem;margin:0;flex:1 1 100%}
ol{list-style:none;padding:0} li,article{border-top:1px solid #dde1e8;padding:.8rem 0}
li,article,.pair{display:flex;flex-wrap:wrap;gap:1rem} .pair{flex:1 1 100%}
img{width:96px;height:96px;object-fit:contain;background:#f2f4f7;border-radius:4px;flex:none}
table{border-collapse:collapse} th,td{text-align:left;padding:.2rem 1rem .2rem 0;border-bottom:1px solid #dde1e8}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
audio{width:16rem;height:2.5rem;flex:none}
.text{white-space:pre-wrap;overflow-wrap:anywhere;margin:.2rem 0}
.side{flex:1 1 14rem;min-width:0}
.facts{color:#5b6474;font-size:.85rem;overflow-wrap:anywhere}
.origin{font-weight:600} .generated{color:#a3420b} .unknown{color:#7a5c00} .real{color:#1c6b3c}
del{background:#ffdcd6;color:#7d1a08} ins{background:#d3f3d9;color:#0d4f22;text-decoration:none;font-weight:600}
@media (prefers-color-scheme:dark){
body{background:#14171c;color:#e6e9ee} li,article,th,td{border-color:#333a45} img{background:#20252d}
.facts{color:#9aa4b2} .generated{color:#ff9d5c} .unknown{color:#e0bf4a} .real{color:#63c98b}
del{background:#5a1e14;color:#ffc9bf} ins{background:#12452a;color:#b7f3c8}
}
"""

_DECODE_ERRORS = (  # what Pillow raises on broken files; its bomb error is an Exception of its own
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def printable(text: str) -> str:
    """Without control characters: data steers neither a terminal nor the direction of a page's text."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else "�" for c in text)


def escaped(value: object, most: int | None = None) -> str:
    """A value as text of a page, cut with an ellipsis after ``most`` characters."""
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    if most is not None and len(text) > most:
        text = text[:most] + "…"
    return html.escape(printable(text))


def sentence(text: str) -> str:
    """A text of ours: what stands between backticks is code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escaped(text))


def page(title: str, body: str) -> str:
    """A whole document."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escaped(title)}</title>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n'
        f"<body><h1>{escaped(title)}</h1>\n{body}\n</body></html>\n"
    )


def player(data: bytes, media_type: str, most: int) -> str:
    """A recording inside the page, of at most ``most`` bytes; of a longer one its size."""
    if len(data) > most:
        return f'<span class="facts">{escaped(media_type)}, {len(data):,} bytes</span>'
    encoded = base64.b64encode(data).decode()
    return f'<audio controls preload="none" src="data:{escaped(media_type)};base64,{encoded}"></audio>'


def thumbnail(data: bytes, side: int) -> str | None:
    """An image inside the page, as ``reduced``; None if it cannot be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a file was ingest's to report
        found = reduced(data, side)
    if found is None:
        return None
    media_type, encoded = found
    return f'<img alt="" src="data:{media_type};base64,{base64.b64encode(encoded).decode()}">'


def reduced(data: bytes, side: int) -> tuple[str, bytes] | None:
    """Media type and bytes of an image, upright, over white, at most ``side`` pixels; None if it cannot be decoded.

    PNG or JPEG, whichever is smaller. Pillow may warn.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (2 * side, 2 * side))
            if image.mode in {"RGB", "RGBA", "L", "CMYK"}:  # a large one is small before it is copied
                image.thumbnail((4 * side, 4 * side))
            small = _rgba(ImageOps.exif_transpose(image), 4 * side)
            small.thumbnail((side, side))
    except (*_DECODE_ERRORS, Image.DecompressionBombError):
        return None
    flat = Image.new("RGB", small.size, "white")
    flat.paste(small, mask=small.getchannel("A"))
    forms = []
    for form, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": 80})):
        out = io.BytesIO()
        flat.save(out, form, **options)
        forms.append((f"image/{form.lower()}", out.getvalue()))
    return min(forms, key=lambda pair: len(pair[1]))


def _rgba(image: "Image.Image", least: int) -> "Image.Image":
    """The image with transparency, reduced to no less than ``least`` pixels on its longer side.

    A strip at a time: all of it would take several times the memory of the image.
    """
    from PIL import Image

    factor = max(1, max(image.size) // least)
    small = Image.new("RGBA", (-(-image.width // factor), -(-image.height // factor)))
    rows = factor * max(1, _STRIP // (image.width * factor))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        if strip.mode.startswith("I"):  # 16 bits
            strip = strip.convert("I").point(lambda value: value * (1 / 257)).convert("L")
        small.paste(strip.convert("RGBA").reduce(factor), (0, top // factor))
    return small


_STRIP = 1 << 22
"""Pixels of a strip, about."""
