"""The same shapes in other colours are other pictures, of one group; grey, brightness and saturation are no colours."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from gendata.dedup import DedupParams, ImageParams
from gendata.dedup.image.decode import decode
from gendata.dedup.image.views import HUE, TINTS, WINDOWS, hues
from gendata.dedup.settings import INVARIANT


def jpeg(picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


def recoloured(picture):
    """The same luma, each colour turned to its opposite."""
    y, cb, cr = picture.convert("YCbCr").split()
    return Image.merge("YCbCr", (y, ImageOps.invert(cb), ImageOps.invert(cr))).convert("RGB")


def toned(red, blue):
    return lambda p: p.convert("RGB", (red, 0, 0, 0, 0, 1, 0, 0, 0, 0, blue, 0))


MOVES = {
    "plain": lambda p: p,
    "flip": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "rotation": lambda p: p.transpose(Image.Transpose.ROTATE_90),
    "crop": lambda p: p.crop((p.width // 10, p.height // 20, p.width - p.width // 20, p.height - p.height // 10)),
    "border": lambda p: ImageOps.expand(p, p.width // 16, "black"),
    "flipped crop": lambda p: MOVES["flip"](MOVES["crop"](p)),
}
ALL = DedupParams(workers=1, image=ImageParams(invariant=INVARIANT))


@pytest.fixture
def pale(scene):
    """Pictures of which no colour clips when it is turned to its opposite."""
    return lambda seed: ImageEnhance.Contrast(scene(seed, (400, 300))).enhance(0.5)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("first", ["a", "z"])
def test_other_colours_are_another_picture_of_the_group(box, image, pale, name, first):
    other = MOVES[name](recoloured(pale(1)))
    kept = box({"a": [image("m", jpeg(pale(1))), image(first, jpeg(other))]}, ALL)
    assert kept.summary["kept"] == 2
    assert len({row["group"] for row in kept.rows}) == 1
    same = box({"a": [image("m", jpeg(pale(1))), image(first, jpeg(MOVES[name](pale(1))))]}, ALL)
    assert same.summary["kept"] == 1
    off = DedupParams(workers=1, image=ImageParams(invariant=INVARIANT, colour=-1))
    assert box({"a": [image("m", jpeg(pale(1))), image(first, jpeg(other))]}, off).summary["kept"] == 1


def test_of_two_colourings_each_keeps_its_copies(box, image, pale):
    kinds = {"own": pale(2), "other": recoloured(pale(2))}
    items = [image(f"{kind}/{size}", p.resize((size, size))) for kind, p in kinds.items() for size in (200, 300, 400)]
    out = box({"a": items})
    uri = {row["id"]: row["uri"].split("/")[0] for row in out.rows}
    assert {row["uri"] for row in out.kept} == {"own/400", "other/400"}
    assert all(uri[row["kept_id"]] == uri[row["id"]] for row in out.rows)


def test_grey_is_like_a_picture_in_any_colour(box, image, pale):
    items = [image("own", pale(3)), image("grey", pale(3).convert("L").resize((200, 150)))]
    assert [row["uri"] for row in box({"a": items}).kept] == ["own"]
    out = box({"a": [*items, image("other", recoloured(pale(3)))]})
    assert {row["uri"] for row in out.kept} == {"own", "other"}


def test_photos(box, image, eval_data):
    """Red and blue exchanged part most; saturation and a small change of the white balance next to none."""
    photos = [Image.open(p).convert("RGB") for p in sorted((eval_data / "img_bsds500_50").glob("*.jpg"))]
    changes = {
        "exchanged": lambda p: Image.merge("RGB", p.split()[::-1]),
        "dull": lambda p: ImageEnhance.Color(p).enhance(0.5),
        "vivid": lambda p: ImageEnhance.Color(p).enhance(1.5),
        "warm": toned(1.1, 0.9),
    }
    kept = {}
    for name, change in changes.items():
        both = [(f"{i}/{what}", jpeg(q)) for i, p in enumerate(photos) for what, q in (("own", p), (name, change(p)))]
        kept[name] = box({"a": list(itertools.starmap(image, both))}).summary["kept"]
    assert kept["exchanged"] >= 50 + 40
    assert kept["dull"] == kept["vivid"] == 50
    assert kept["warm"] <= 50 + 3


def test_jpegs_that_store_red_green_and_blue_are_decoded(box, image, pale):
    plain, rare = jpeg(pale(4)), jpeg(pale(4), keep_rgb=True)
    assert decode(rare).small.mode == "RGB"
    difference = np.asarray(decode(plain).small, np.int16) - np.asarray(decode(rare).small, np.int16)
    assert np.abs(difference).mean() < 3
    assert box({"a": [image("plain", plain), image("rare", rare)]}).summary["kept"] == 1


@given(st.integers(0, 99), st.integers(-1, len(WINDOWS) - 1))
def test_hues_are_the_means_of_a_windows_cells(seed, window):
    tints = np.random.default_rng(seed).integers(0, 256, (2, TINTS, TINTS), np.uint8)
    left, top, right, bottom = WINDOWS[window] if window >= 0 else (0, 0, 1, 1)
    fine = np.kron(tints.astype(float) - 128, np.ones((80, 80)))  # all edges of windows and cells fall on its grid
    side = TINTS * 80
    shown = fine[:, round(top * side) : round(bottom * side), round(left * side) : round(right * side)]
    high, wide = shown.shape[1] // 4, shown.shape[2] // 4
    means = shown.reshape(2, 4, high, 4, wide).mean((2, 4)).reshape(-1)
    assert np.allclose(hues(tints[None], np.array([window]))[0] / HUE * 4, means, atol=1.5)
    assert np.array_equal(hues(tints[None], np.array([window])) % 1, np.zeros((1, 32)))


@pytest.mark.parametrize("colour", [-1.1, 1.1])
def test_cosines_over_one_are_refused(colour):
    with pytest.raises(ValueError, match="colour must be from -1 to 1"):
        ImageParams(colour=colour)
