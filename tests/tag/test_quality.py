import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from gendata.tag import quality
from gendata.tag.quality import entropy, image_quality, laplacian_variance


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def scene(side: int = 256, seed: int = 0) -> Image.Image:
    """Something like a photograph: noise with most energy in low frequencies."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side))
    for octave in range(2, 9):
        small = Image.fromarray(rng.random((2**octave, 2**octave)).astype(np.float32))
        total += np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)) / 1.4**octave
    total = (total - total.min()) / (total.max() - total.min())
    return Image.fromarray((total * 255).astype(np.uint8))


def test_entropy_and_laplacian_by_hand():
    assert entropy(np.zeros((4, 4), np.float32)) == 0
    assert entropy(np.arange(256, dtype=np.float32).reshape(16, 16)) == pytest.approx(8)
    assert entropy(np.array([[0, 0, 255, 255]], np.float32)) == pytest.approx(1)
    point = np.zeros((3, 4), np.float32)
    point[1, 1] = 10
    assert laplacian_variance(point) == pytest.approx(np.var([-40, 10]))
    ramp = np.tile(np.arange(9, dtype=np.float32), (5, 1))
    assert laplacian_variance(ramp) == 0
    assert laplacian_variance(np.ones((2, 9), np.float32)) == 0


def test_formula_by_hand():
    """64 x 64 checkerboard of 0 and 255: contrast at most 1, entropy 1 bit, Laplacian +-1020."""
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    variance = 1020.0**2
    expected = (64 / 512 * (1 / 8) * 1 * (variance / (variance + 100))) ** 0.25
    assert image_quality(encode(Image.fromarray(board))) == pytest.approx(expected)


def test_blur_dimness_and_smallness_lower_the_score():
    image = scene()
    blurred = [image_quality(encode(image.filter(ImageFilter.GaussianBlur(r)))) for r in (0, 1, 2, 4, 8)]
    dimmed = [image_quality(encode(image.point(lambda v, k=k: v // k))) for k in (1, 2, 4, 8)]
    smaller = [image_quality(encode(image.resize((s, s)))) for s in (256, 64, 16)]
    for scores in (blurred, dimmed, smaller):
        assert all(a > b for a, b in pairwise(scores))
    assert image_quality(encode(Image.new("RGB", (256, 256), "red"))) == 0


def test_real_photographs_score_above_their_blurred_copies(eval_data: Path):
    for path in sorted((eval_data / "img_bsds500_50").glob("*.jpg"))[:10]:
        with Image.open(path) as image:
            blurred = image.filter(ImageFilter.GaussianBlur(2))
        assert image_quality(path.read_bytes()) > 0.7 > 0.6 > image_quality(encode(blurred))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *((mode, "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *((mode, "TIFF") for mode in ("I", "F", "CMYK", "YCbCr", "LAB")),
    ],
)
def test_any_mode(mode, kind):
    if mode in {"I", "F", "I;16"}:
        values = np.asarray(scene(64)).astype({"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]) * 100
        image = Image.fromarray(values)
    else:
        image = Image.new("LAB", (64, 64)) if mode == "LAB" else scene(64).convert(mode)
    assert image.mode == mode
    score = image_quality(encode(image, kind))
    assert (score == 0) if mode == "LAB" else (0.1 < score <= 1)


def test_more_than_eight_bits_score_as_eight():
    image = scene(64)
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    assert image_quality(encode(deep)) == pytest.approx(image_quality(encode(image)))


def test_values_that_are_no_numbers_do_not_spread():
    values = np.asarray(scene(64)).astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    assert image_quality(encode(Image.fromarray(values), "TIFF")) > 0.1


def test_what_is_transparent_is_white():
    image = scene(64).convert("RGBA")
    image.putalpha(0)
    assert image_quality(encode(image)) == 0


def test_tiny_and_thin_images_have_a_score():
    for size in [(1, 1), (1, 3000), (2, 2), (3, 3)]:
        assert image_quality(encode(Image.new("L", size))) == 0


@given(st.binary(max_size=200), st.integers(0, 3000))
def test_broken_bytes_have_no_score_and_raise_nothing(tail, cut):
    data = encode(scene(64))
    assert image_quality(tail) is None
    assert image_quality(data[: min(cut, 1000)] + tail) is None


def test_rows_by_modality(png):
    prose = "It was late in the year and nobody had come along this road for days. " * 2
    listing = "Ports roads ferries depots sidings cranes wharves barges tugs trains rails points "
    listing += "signals lamps ropes anchors sails masts decks cabins harbours piers"
    rows = {
        "modality": ["text", "text", "image", "image", "audio", "record", "text"],
        "text": [listing, listing, prose, None, prose, prose, " "],
        "data": [None, None, png(), b"broken", b"RIFF", None, None],
        "lang": ["en", "de", "en", None, None, None, None],
    }
    types = [pa.string(), pa.large_string(), pa.large_binary(), pa.string()]
    batch = pa.record_batch(rows, schema=pa.schema(list(zip(rows, types, strict=True))))
    english, german, image, *others = quality.tag(batch)["quality"]
    assert english == 0  # no stop word
    assert german > 0  # not asked for
    assert image == image_quality(png())
    assert others == [None, None, None, None]
    assert quality.tag(batch.drop_columns(["lang"]))["quality"][0] == german


def test_corpus_of_abstracts_scores_high(eval_data: Path):
    from gendata.tag.gopher import text_quality

    with (eval_data / "ir_cranfield" / "corpus.jsonl").open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(200), strict=False)]
    scores = [text_quality(text, english=True) for text in texts if len(text) > 300]
    assert np.median(scores) == 1
    assert np.mean(np.array(scores) > 0.5) > 0.9
