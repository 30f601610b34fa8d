"""The report: its figures against the decisions, its page as a browser would read it."""

import base64
import io
import json
import random
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gendata.dedup import DedupParams, gallery, worddiff
from gendata.dedup.report import report
from gendata.page import escaped, page, thumbnail

LINE = "the quick brown fox jumps over the lazy dog and runs away from the angry farmer with his stick"
HOSTILE = '<script>alert(1)</script> & "quotes" \'</div> \u202e\x1b[31m'


class Page(HTMLParser):
    """Tags in order, texts by the innermost tag, pictures; fails where tags do not nest."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.pictures, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        elif tag != "meta":
            self._open.append(tag)
        assert not {"href", "onload", "onerror", "srcset"} & dict(attrs).keys()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self._open[-1] if self._open else None, data))

    def all(self, tag):
        return [text for inner, text in self.texts if inner == tag]


@pytest.fixture
def reported(box):
    """Dedup and report; the figures and the page."""

    def run(sources, shard_rows=1000, **params):
        out = box(sources, DedupParams(workers=1, **params), shard_rows=shard_rows)
        report(Path("in"), Path("out"), sources, out.summary, Path("r/dedup.json"), Path("r/dedup.html"))
        return out, json.loads(Path("r/dedup.json").read_text()), Path("r/dedup.html").read_text()

    return run


def corpus(text, image, scene):
    photo = scene(1, (320, 240))
    return {
        "a": [
            text("long", LINE + " today", label="fox"),
            text("twin", "equal text"),
            image("big", photo, known={"label": "lake"}),
            text("alone", "nothing like the others at all"),
        ],
        "b": [
            text("short", LINE, label="dog"),
            text("twin1", "equal text"),
            text("twin2", "equal text"),
            image("small", photo.resize((160, 120)), "JPEG", {"label": "hill"}, quality=90),
        ],
    }


def test_figures_agree_with_the_decisions(reported, text, image, scene):
    out, figures, _ = reported(corpus(text, image, scene))
    kept = {row["id"]: row for row in out.kept}
    pairs = {(p["source"], p["kept_in"]): p for p in figures["source_pairs"]}
    dropped = [row for row in out.rows if not row["kept"]]
    assert sum(p["dropped"] for p in pairs.values()) == len(dropped) == 4
    for (source, kept_in), pair in pairs.items():
        mine = [r for r in dropped if (r["source"], kept[r["kept_id"]]["source"]) == (source, kept_in)]
        assert pair["dropped"] == len(mine)
        assert pair["share"] == len(mine) / figures["by_source"][source]["read"]
        assert pair["by_reason"] == {r: [m["reason"] for m in mine].count(r) for r in {m["reason"] for m in mine}}
    sizes = [c["size"] for c in figures["clusters"]["largest"]]
    assert sizes == sorted((row["copies"] for row in out.kept if row["copies"] > 1), reverse=True) == [3, 2, 2]
    assert {reason: [p["copy"]["uri"] for p in pairs] for reason, pairs in figures["closest"].items()} == {
        "near-image": ["small"],
        "near-text": ["short"],
    }
    assert figures["label_conflicts"]["items"] == 2


def test_the_page_shows_pictures_and_marks_the_words_that_differ(reported, text, image, scene):
    _, _, html = reported(corpus(text, image, scene))
    shown = Page(html)
    assert {"today"} == {word.strip() for word in shown.all("del")}
    assert not shown.all("ins")
    for source in shown.pictures:
        kind, _, data = source.partition(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert kind == f"data:image/{picture.format.lower()}"
            assert max(picture.size) == gallery.SIDE
    assert len(set(shown.pictures)) == 2
    assert html.count("equal text") == 1
    assert "the same content" in shown.all("td")
    assert not [text for text in shown.all("h2") if text.startswith("The least similar")]  # they stand above
    assert not [text for text in shown.all("p") if "took something" in text]  # all labels contradict


def test_the_closest_call_is_shown_though_its_cluster_is_small(reported, text):
    exact = [text(f"{i}-{j}", f"text {i}") for i in range(25) for j in range(5)]
    calls = [text("near", LINE), text("nearer", LINE + " once"), text("taken", LINE + " once more today", label="x")]
    _, figures, html = reported({"a": exact, "b": calls}, prefer=("b",), keep=())
    assert len(figures["clusters"]["largest"]) == 20
    scores = [pair["copy"]["score"] for pair in figures["closest"]["near-text"]]
    assert scores == sorted(scores)
    shown = Page(html)
    assert "The least similar that were dropped as near-text" in shown.all("h2")
    assert {"once", "more", "today"} >= {word for marked in shown.all("del") for word in marked.split()} != set()


def test_texts_that_hold_others_stand_beside_them(reported, text):
    whole = " ".join(f"w{i}" for i in range(200))
    parts = [" ".join(f"w{i}" for i in range(s, s + 40)) for s in (0, 60, 120)]
    items = [text("whole", whole), *(text(f"part{i}", part) for i, part in enumerate(parts)), text("alone", LINE)]
    _, figures, html = reported({"a": items})
    (holder,) = figures["holders"]
    assert (holder["whole"]["uri"], holder["count"]) == ("whole", 3)
    assert {part["uri"] for part in holder["parts"]} == {"part0", "part1", "part2"}
    assert figures["contained"]["found"] == 3
    shown = Page(html)
    assert "3 that stay" in shown.all("h3")
    assert "w150" in " ".join(shown.all("del")).split()


def test_the_bytes_do_not_depend_on_order_and_shards(reported, text, image, scene):
    sources = corpus(text, image, scene)
    pages = [reported(sources)[1:]]
    shutil.rmtree("r")
    shuffled = {name: random.Random(3).sample(items, len(items)) for name, items in reversed(sources.items())}
    pages.append(reported(shuffled, shard_rows=2)[1:])
    assert pages[0] == pages[1]


def test_nothing_of_a_user_becomes_markup(reported, text):
    near = [LINE + " " + HOSTILE + " one", LINE + " " + HOSTILE + " two and three"]
    sources = {"a": [text(f"{HOSTILE}{i}", content, label=HOSTILE + str(i)) for i, content in enumerate(near)]}
    _, figures, html = reported(sources)
    assert figures["label_conflicts"]["items"] == 1
    shown = Page(html)
    assert not {"script", "a", "link", "iframe"} & set(shown.tags)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert any("<script>alert(1)</script>" in inner for _, inner in shown.texts)


def test_an_empty_corpus_and_one_without_copies(reported, text):
    assert Page(reported({"a": []})[2]).all("p") == ["0 rows read, 0 kept, 0 dropped."]
    _, figures, html = reported({"a": [text("1", "x"), text("2", "y")]})
    assert figures["source_pairs"] == figures["clusters"]["largest"] == []
    assert "del" not in Page(html).tags


def test_a_giant_cluster_and_large_texts_stay_small(reported, text, monkeypatch):
    words = [f"w{i}" for i in range(60_000)]
    giant = " ".join(words)
    many = [text(f"n{i}", f"{giant} {i}") for i in range(4)] + [text(f"e{i}", "again and again") for i in range(3000)]
    _, figures, html = reported({"a": many})
    assert figures["clusters"]["largest"][0]["size"] == 3000
    assert len(html) < 60_000
    Page(html)
    monkeypatch.setattr(gallery, "BUDGET", 1500)
    _, _, cut = reported({"a": many})
    assert "what follows is left out" in cut
    assert len(cut) < len(html)
    Page(cut)


def test_a_picture_that_does_not_decode_is_said_so(reported, image):
    broken = [image("one", b"no picture"), image("two", b"no picture")]
    for item in broken:
        object.__setattr__(item, "media_type", "image/png")
    _, _, html = reported({"a": broken})
    assert "it does not decode" in html


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_thumbnails_of_every_mode(mode):
    out = io.BytesIO()
    Image.new(mode, (300, 150)).save(out, "TIFF")
    source = re.fullmatch(r'<img alt="" src="data:image/\w+;base64,([^"]+)">', thumbnail(out.getvalue(), 96))
    with Image.open(io.BytesIO(base64.b64decode(source[1]))) as small:
        assert small.size == (96, 48)


def test_thumbnails_are_upright_and_over_white():
    out = io.BytesIO()
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    Image.new("RGB", (800, 400), "red").save(out, "JPEG", exif=exif)
    clear = io.BytesIO()
    Image.new("RGBA", (40, 20), (0, 0, 0, 0)).save(clear, "PNG")
    small = []
    for data in (out.getvalue(), clear.getvalue()):
        encoded = re.search(r'base64,([^"]+)"', thumbnail(data, 96))[1]
        small.append(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))
    assert small[0].size == (48, 96)
    assert (small[1].size, small[1].getpixel((5, 5))) == ((40, 20), (255, 255, 255))
    assert thumbnail(b"\x89PNG\r\n\x1a\nbroken", 96) is None


texts = st.text(st.sampled_from("ab c\n.<&猫"), max_size=60)


@given(a=texts, b=texts)
def test_a_comparison_holds_both_texts_and_their_common_part(a, b):
    one, other = worddiff.compare(a, b)
    for pieces, whole in ((one, a), (other, b)):
        assert "".join(text for kind, text in pieces if kind != "cut") == whole
    common = ["".join(text for kind, text in pieces if kind == "same") for pieces in (one, other)]
    assert common[0] == common[1]
    assert (a == b) == all(kind == "same" for kind, _ in [*one, *other])


def test_words_at_the_start_are_compared_whole():
    assert worddiff.compare("w0 same", "w12 same")[0][0] == ("only", "w0")


def test_long_texts_are_cut_around_what_differs():
    middle = " ".join(f"word{i}" for i in range(20_000))
    one, other = worddiff.compare(f"{middle} left {middle}", f"{middle} right {middle}")
    assert [text for kind, text in one if kind == "only"] == ["left"]
    assert [text for kind, text in other if kind == "only"] == ["right"]
    assert [kind for kind, _ in one] == ["cut", "same", "only", "same", "cut"]
    assert sum(len(text) for _, text in one) < 400
    far = worddiff.compare(f"x {middle}", f"{middle.swapcase()} y")
    assert all(sum(len(text) for _, text in side) < worddiff.SHOWN + 100 for side in far)


@given(value=st.text())
def test_any_text_is_text_of_the_page(value):
    shown = Page(page(value, f"<p>{escaped(value)}</p>"))
    assert shown.tags == ["html", "head", "meta", "meta", "title", "style", "body", "h1", "p"]
