"""Equal pixels under different encodings are one image; hard encodings are decoded right or counted."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from gendata.dedup import DedupParams, ImageParams
from gendata.dedup.image import decode as decoding
from gendata.dedup.image.decode import NONE, Unfit, decode, pixel_digest


def encoded(picture, form="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def noted(text):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text)
    return info


def turned(picture, orientation):
    """Bytes whose Exif data turn them back into ``picture``."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture.transpose(back[orientation]), exif=exif)


def grey(picture):
    return picture.convert("L")


SAME = {
    "bmp": lambda p: encoded(p, "BMP"),
    "tiff": lambda p: encoded(p, "TIFF"),
    "webp": lambda p: encoded(p, "WEBP", lossless=True),
    "png with a comment": lambda p: encoded(p, pnginfo=noted("x")),
    "opaque alpha": lambda p: encoded(p.convert("RGBA")),
    **{f"orientation {o}": lambda p, o=o: turned(p, o) for o in range(2, 9)},
}


@pytest.mark.parametrize("name", SAME)
def test_equal_pixels_are_one_image(box, image, scene, name):
    picture = scene(1)
    out = box({"a": [image("a", encoded(picture)), image("b", SAME[name](picture)), image("c", scene(2))]})
    dropped = [row for row in out.rows if not row["kept"]]
    assert [(row["reason"], row["score"]) for row in dropped] == [("pixel-equal", 1.0)]
    assert {row["uri"] for row in out.kept} > {"c"}


@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 200)])
def test_flat_and_tiny_images_of_equal_pixels_are_one(box, image, size):
    red, almost = Image.new("RGB", size, "red"), Image.new("RGB", size, "#fe0000")
    items = [image("png", red), image("bmp", red, "BMP"), image("almost", almost), image("p", red.quantize(2))]
    items.append(image("larger", Image.new("RGB", (size[0] + 1, size[1]), "red")))
    out = box({"a": items})
    assert out.summary["dropped_by_reason"]["pixel-equal"] == 2
    assert {row["kept_id"] for row in out.rows if row["uri"] in {"png", "bmp", "p"}} == {out.row("png")["kept_id"]}
    assert out.row("almost")["kept"]
    assert out.row("larger")["kept"]


def greys(picture):
    small = np.asarray(picture.convert("L"))
    levels = Image.fromarray(small)
    return {
        "L": encoded(levels),
        "RGB": encoded(levels.convert("RGB")),
        "P": encoded(levels.convert("P")),
        "LA": encoded(levels.convert("LA")),
        "RGBA": encoded(levels.convert("RGBA")),
        "16 bits": encoded(Image.fromarray(small.astype(np.uint16) * 257)),
        "16 bits, tiff": encoded(Image.fromarray(small.astype(np.uint16) * 257), "TIFF"),
    }


def test_modes_that_hold_the_same_grey_agree(scene):
    digests = {name: pixel_digest(data) for name, data in greys(scene(3)).items()}
    assert len(set(digests.values())) == 1
    assert NONE not in digests.values()


def test_what_is_lost_in_eight_bits_is_not_equal():
    deep = np.random.default_rng(0).integers(0, 65536, (40, 40), dtype=np.uint16)
    one, other = Image.fromarray(deep), Image.fromarray(deep ^ np.uint16(1))
    assert pixel_digest(encoded(one)) == pixel_digest(encoded(one, "TIFF"))
    assert pixel_digest(encoded(one)) != pixel_digest(encoded(other))
    greys = [np.asarray(decode(encoded(p)).grey, np.int16) for p in (one, other)]
    assert np.abs(greys[0] - greys[1]).max() <= 1


def test_colour_of_16_bits_has_no_digest(eval_data):
    folder = eval_data / "bad_pngsuite"
    deep = [p for p in folder.rglob("basn*16.png") if "0g" not in p.name]
    assert deep
    assert all(pixel_digest(p.read_bytes()) == NONE for p in deep)
    for path in folder.rglob("basn*08.png"):
        assert pixel_digest(path.read_bytes()) != NONE


def test_hidden_colours_play_no_role_and_seen_ones_do():
    clear = np.zeros((20, 20, 4), np.uint8)
    clear[:10] = (10, 200, 30, 128)
    hidden, other = clear.copy(), clear.copy()
    hidden[10:, :, :3] = 77
    other[0, 0, 3] = 129
    one, same, different = (pixel_digest(encoded(Image.fromarray(p))) for p in (clear, hidden, other))
    assert one == same != different


@pytest.mark.parametrize("picture", ["scene", "flat"])
def test_jpegs_without_their_metadata_progressive_or_as_png(box, image, scene, picture):
    shown = scene(4, (640, 480)) if picture == "scene" else Image.new("RGB", (640, 480), "#808080")
    exif = Image.Exif()
    exif[0x010E] = "a hill"
    plain = encoded(shown, "JPEG", quality=80)
    with Image.open(io.BytesIO(plain)) as opened:
        pixels = opened.copy()
    copies = {
        "exif": encoded(shown, "JPEG", quality=80, exif=exif),
        "progressive": encoded(shown, "JPEG", quality=80, progressive=True),
        "png": encoded(pixels),
    }
    items = [image(name, data) for name, data in {"plain": plain, **copies}.items()]
    items.append(image("less", encoded(scene(4, (640, 480)), "JPEG", quality=50)))
    out = box({"a": items})
    assert out.summary["dropped_by_reason"]["pixel-equal"] == 3
    if picture == "scene":
        assert out.summary["dropped_by_reason"]["near-image"] == 1


def test_only_jpegs_that_may_be_equal_are_decoded_in_full(box, image, scene, monkeypatch):
    taken = []
    monkeypatch.setattr(
        "gendata.dedup.image.pixels.pixel_digest", lambda data: taken.append(data) or pixel_digest(data)
    )
    photos = [encoded(scene(i), "JPEG", quality=90) for i in range(6)]
    items = [image(i, data) for i, data in enumerate(photos)]
    assert box({"a": items}).summary["kept"] == 6
    assert taken == []
    box({"a": [*items, image("other size", scene(7, (200, 100)))]})
    assert taken == []
    exif = Image.Exif()
    exif[0x010E] = "a hill"
    box({"a": [*items, image("copy", encoded(scene(0), "JPEG", quality=90, exif=exif))]})
    assert len(taken) == 2
    taken.clear()
    box({"a": [*items, image("same size", scene(7))]})
    assert len(taken) == 6


def test_equal_pixels_of_another_origin_stay_and_are_named(box, image, scene):
    items = [image("r", scene(1)), image("g", scene(1), "BMP", known={"origin": "generated"})]
    items.append(image("g2", scene(1), "TIFF", known={"origin": "generated"}))
    out = box({"a": items})
    assert len(out.kept) == 2
    assert out.row("r")["conflict_id"] is not None
    assert {row["reason"] for row in out.rows if not row["kept"]} == {"pixel-equal"}


def test_many_equal_images_cost_one_comparison_each(box, image, scene):
    picture = scene(1, (24, 24))
    items = [image(i, encoded(picture, pnginfo=noted(str(i)))) for i in range(400)]
    out = box({"a": items})
    assert out.summary["kept"] == 1
    assert out.summary["dropped_by_reason"]["pixel-equal"] == 399
    assert out.summary["compared_pairs"]["image"] == 399


def test_bands_make_no_difference(scene, monkeypatch):
    deep = Image.fromarray(np.random.default_rng(1).integers(0, 65536, (500, 333), dtype=np.uint16))
    clear = scene(2, (333, 500)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((333, 500)))
    pictures = [scene(1, (1000, 700)), scene(1, (333, 500)).quantize(64), clear, deep, scene(3).convert("CMYK")]
    data = [encoded(p, "TIFF") for p in pictures]
    data.append(encoded(Image.fromarray(np.asarray(deep) / np.float32(7)), "TIFF"))
    whole = [decode(d) for d in data]
    monkeypatch.setattr(decoding, "_BAND", 5000)
    for one, other in zip(whole, map(decode, data), strict=True):
        assert one.digest == other.digest != NONE
        assert np.array_equal(np.asarray(one.grey), np.asarray(other.grey))


def test_long_strips_and_single_pixels(scene):
    strip = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (7, 196)))
    found = decode(encoded(strip))
    assert (found.width, found.height, found.grey.height) == (50176, 7, 7)
    assert found.grey.width < 256
    tall = decode(encoded(scene(1, (300, 20_000)), "JPEG"))
    assert max(tall.grey.size) < 256
    assert decode(encoded(Image.new("L", (1, 1)))).grey.size == (1, 1)


CHILD = """
import resource, sys, warnings
warnings.simplefilter("ignore")
from gendata.dedup.image.decode import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = decode(open(sys.argv[1], "rb").read())
print(found.width, found.height, *found.grey.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(("mode", "form"), [("RGB", "PNG"), ("RGBA", "PNG"), ("L", "PNG"), ("RGB", "JPEG")])
def test_12000_by_12000_pixels_in_bounded_memory(tmp_path, mode, form):
    picture = Image.new(mode, (12_000, 12_000), 90 if mode == "L" else (9, 99, 199, 128)[: len(mode)])
    path = tmp_path / "large"
    path.write_bytes(encoded(picture, form, **({"compress_level": 1} if form == "PNG" else {})))
    child = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    width, height, across, down, kib = map(int, child.stdout.split())
    assert (width, height) == (12_000, 12_000)
    assert 128 <= across == down < 256
    assert kib < (250 if mode == "L" or form == "JPEG" else 800) << 10  # Pillow's own: 1 or 4 bytes per pixel


def test_more_pixels_than_pillow_allows_are_counted(box, image, scene, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    out = box({"a": [image("large", scene(1))]})
    assert out.summary["exact_only"]["image-too-large"] == 1
    with pytest.raises(Unfit, match="image-too-large"):
        decode(encoded(scene(1)))


def test_equal_pixels_whatever_order_shards_and_workers(box, image, scene):
    pictures = [scene(i % 5, (90, 70)) for i in range(15)]
    forms = ["PNG", "BMP", "TIFF"]
    items = [image(i, p, forms[i // 5]) for i, p in enumerate(pictures)]
    items += [image(f"j{i}", scene(i, (90, 70)), "JPEG", quality=90) for i in range(5)]
    params = DedupParams(workers=1, image=ImageParams(invariant=("crop", "flip")))
    first = box({"a": items}, params)
    for seed, workers, rows in ((1, 1, 3), (2, 2, 1), (3, 4, 1000)):
        shuffled = [items[i] for i in np.random.default_rng(seed).permutation(len(items))]
        again = box({"a": shuffled}, DedupParams(workers=workers, image=params.image), shard_rows=rows)
        assert sorted(again.rows, key=lambda r: r["uri"]) == sorted(first.rows, key=lambda r: r["uri"])
        assert again.summary["kept"] == first.summary["kept"] == 5
