import io
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sounds import sound

from gendata import mpeg
from gendata.tag import size
from gendata.tag.pixels import shown_size
from gendata.tag.words import n_words, tokens


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \t\n", 0),
        ("one", 1),
        ("Don't stop - well-known, e.g. 3.14!", 5),
        ("*** --- ...", 0),
        ("a\u00a0b\u2003c", 3),  # any Unicode white space
        ("हिन्दी भाषा", 2),  # vowel signs do not cut a word
        ("한국어 문장", 2),
        ("東京タワー", 5),  # each ideograph and each kana
        ("これはPythonです。", 6),
        ("𠀀𠀁", 2),  # beyond the BMP
        ("ภาษาไทย", 1),  # Thai is undercounted, as documented
    ],
)
def test_words(text, count):
    assert n_words(text) == count


@given(st.text(st.characters(max_codepoint=0x2FFF)))
def test_words_are_those_of_split_where_there_are_spaces(text):
    assert tokens(text) == re.split(r"\s+", text.strip()) if text.strip() else tokens(text) == []


@given(st.text(), st.text())
def test_no_character_is_lost(left, right):
    assert "".join(tokens(f"{left} {right}")) == re.sub(r"\s", "", f"{left} {right}")


def encode(image: Image.Image, kind: str, orientation: int = 1) -> bytes:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(out, kind, exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "shown"), [(1, (30, 20)), (3, (30, 20)), (6, (20, 30)), (8, (20, 30))])
def test_size_is_that_of_the_image_as_shown(kind, orientation, shown):
    assert shown_size(encode(Image.new("RGB", (30, 20)), kind, orientation)) == shown


def test_only_the_header_is_read():
    data = encode(Image.effect_noise((300, 200), 50), "PNG")
    assert shown_size(data[:200]) == (300, 200)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"not an image"])
def test_an_unreadable_image_has_no_size(data):
    assert shown_size(data) == (None, None)


def test_columns_by_modality(png):
    rows = {
        "modality": ["text", "image", "image", "record", "audio", "audio"],
        "text": ["Two words", "a cap tion", None, '{"a":1}', None, "three spoken words"],
        "data": [None, png(7, 5), png(9, 3), None, b"RIFF", sound(frames=400, rate=16_000, channels=2)],
    }
    schema = pa.schema([("modality", pa.string()), ("text", pa.large_string()), ("data", pa.large_binary())])
    assert size.tag(pa.record_batch(rows, schema=schema)) == {
        "n_chars": [9, 10, None, 7, None, 18],
        "n_words": [2, 3, None, 1, None, 3],
        "width": [None, 7, 9, None, None, None],
        "height": [None, 5, 3, None, None, None],
        "sample_rate": [None, None, None, None, None, 16_000],
        "channels": [None, None, None, None, None, 2],
        "duration": [None, None, None, None, None, 0.025],
    }


def test_an_mp3_that_does_not_say_its_length_is_as_long_as_its_frames():
    data = sound("a.mp3", frames=160_000, rate=16_000)
    tagged = b"ID3\3\0\0\0\1\0\0" + bytes(1 << 14) + data[mpeg.frame(data).size :] + b"TAG" + bytes(125)
    schema = pa.schema([("modality", pa.string()), ("text", pa.large_string()), ("data", pa.large_binary())])
    rows = {"modality": ["audio"] * 2, "text": [None] * 2, "data": [data, tagged]}
    stated, counted = size.tag(pa.record_batch(rows, schema=schema))["duration"]
    assert stated == 10
    assert counted == pytest.approx(10, abs=0.1)
