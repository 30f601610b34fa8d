"""GIF, BMP, TIFF and PNM: read by content, the first frame alone, within bounds."""

import io
import json
import struct
import tracemalloc
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gendata.ingest import SourceParams
from gendata.ingest.formats import images
from gendata.ingest.reader import UnitError

FORMATS = {
    "a.gif": ("GIF", "image/gif"),
    "a.bmp": ("BMP", "image/bmp"),
    "a.tif": ("TIFF", "image/tiff"),
    "a.tiff": ("TIFF", "image/tiff"),
    "a.ppm": ("PPM", "image/x-portable-anymap"),
    "a.pnm": ("PPM", "image/x-portable-anymap"),
}
PIXELS = 1_000_000


def reason(data, max_pixels=PIXELS):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as ingest does
        with pytest.raises(UnitError) as caught:
            images.probe(data, "", max_pixels)
    return caught.value.reason


def frames(format_, count, **options):
    out = io.BytesIO()
    first, *rest = [Image.new("RGB", (8, 6), (30 * i, 9, 9)) for i in range(count)]
    first.save(out, format_, save_all=True, append_images=rest, **options)
    return out.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_read_and_kept(project, run, image, name):
    (project / "in").mkdir()
    format_, media_type = FORMATS[name]
    data = image(format_)
    (project / "in" / name).write_bytes(data)
    (project / "in" / "a.txt").write_text("violet")
    item = run(SourceParams("folder", "real", "in")).item(name)
    assert (item["modality"], item["media_type"], item["text"]) == ("image", media_type, "violet")
    assert (item["data"], item["meta"]) == (data, "{}")


@pytest.mark.parametrize("kind", range(1, 7))
def test_every_kind_of_portable_anymap(kind):
    bits = {1: b"1 0 1 0", 4: b"\xa0\x00", 2: b"0 9 5 255", 5: b"\0\x09\x05\xff", 3: b"1 2 3 " * 4, 6: bytes(range(12))}
    top = b"" if kind in {1, 4} else b"255\n"
    found = images.probe(b"P%d\n# a comment\n2 2\n" % kind + top + bits[kind], "a.pnm", PIXELS)
    assert found == images.Probe("image/x-portable-anymap", {})


@pytest.mark.parametrize(("format_", "count"), [("GIF", 1), ("GIF", 7), ("TIFF", 1), ("TIFF", 3)])
def test_frames_are_noted(format_, count):
    assert images.probe(frames(format_, count), "", PIXELS).meta == ({"frames": count} if count > 1 else {})


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_compressions_of_tiff(image, compression):
    assert images.probe(image("TIFF", compression=compression), "a.tif", PIXELS).meta == {}


@pytest.mark.parametrize("big", [False, True])
def test_the_orientation_of_a_tiff_is_noted(image, big):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert images.probe(image("TIFF", exif=exif, big_tiff=big), "a.tif", PIXELS).meta == {"orientation": 6}


@pytest.mark.parametrize("format_", ["GIF", "BMP", "TIFF", "PPM"])
@settings(max_examples=25)
@given(share=st.floats(0.01, 0.95))
def test_what_is_cut_short_is_no_item(format_, share):
    out = io.BytesIO()
    Image.effect_noise((40, 30), 80).convert("RGB").save(out, format_)
    assert reason(out.getvalue()[: int(share * len(out.getvalue()))]) in {"corrupt-image", "not-an-image", "empty"}


def tiff(fields, *, order="<", tail=b""):
    """A TIFF with one directory of (tag, type, count, value)."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(fields))
    return head + b"".join(struct.pack(order + "HHII", *f) for f in fields) + bytes(4) + tail


def gif(width, height, blocks):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + blocks + b";"


def gif_frame(width, height):
    return b",\0\0\0\0" + struct.pack("<HHB", width, height, 0) + b"\x02\x02D\x01\0"


def bmp(width, height):
    return b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


SIZE = [(256, 4, 1, 10), (257, 4, 1, 10)]
REST = [(258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]


STRIPS = [(273, 4, 1, 8), (279, 4, 1, 8)]
TILES = [(322, 4, 1, 40_000), (323, 4, 1, 40_000), (324, 4, 1, 8), (325, 4, 1, 8)]

BOMBS = {
    "ppm": (b"P6\n60000 60000\n255\n", "too-many-pixels"),
    "ppm-number": (b"P6\n99999999999999999999 1\n255\n", "corrupt-image"),
    "ppm-zero": (b"P5\n0 5\n255\n", "corrupt-image"),
    "ppm-comment": (b"P2\n" + b"#" * 10_000_000, "corrupt-image"),
    "ppm-comments": (b"P2\n" + b"#\n" * 5_000_000, "corrupt-image"),
    "bmp": (bmp(60_000, 60_000), "too-many-pixels"),
    "gif-screen": (gif(60_000, 60_000, gif_frame(1, 1)), "too-many-pixels"),
    "gif-frame": (gif(1, 1, gif_frame(65_535, 65_535)), "too-many-pixels"),
    "gif-blocks": (gif(1, 1, b"!\xfe" + b"\x01x" * 1_000_001 + b"\0"), "corrupt-image"),
    "tiff": (tiff([(256, 4, 1, 60_000), (257, 4, 1, 60_000), *REST, *STRIPS]), "too-many-pixels"),
    "tiff-tile": (tiff([*SIZE, *REST, *TILES]), "too-many-pixels"),
    "tiff-values": (tiff([*SIZE, *REST, (273, 4, 2_000_000, 200)], tail=bytes(8_000_000)), "corrupt-image"),
    "tiff-values-big-endian": (tiff([*SIZE, *REST, (273, 4, 0xFFFFFFFF, 0)], order=">"), "corrupt-image"),
    "tiff-offset": (b"II*\0" + struct.pack("<I", 0xFFFFFFF0), "corrupt-image"),
    "bigtiff-fields": (b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 0xFFFFFFFFFFFFFFFF), "corrupt-image"),
}


@pytest.mark.parametrize(("data", "expected"), BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_in_little_memory(data, expected):
    reason(b"BM")  # modules are loaded on use
    tracemalloc.start()
    try:
        assert reason(data) == expected
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_directories_that_lead_back_end(image):
    data = bytearray(image("TIFF"))
    (first,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * n, first)
    assert images.probe(bytes(data), "a.tif", PIXELS).meta == {}


def test_more_frames_than_are_decoded_cost_nothing():
    data = gif(1, 1, gif_frame(1, 1) * 200_000)
    assert images.probe(data, "a.gif", PIXELS).meta == {"frames": 200_000}


def test_a_wrong_ending_is_noted_for_every_format(image):
    assert images.probe(image("BMP"), "a.gif", PIXELS) == images.Probe("image/bmp", {"extension": ".gif"})


def test_real_files_of_all_formats(run, eval_data):
    result = run(SourceParams("folder", "real", str(eval_data / "img_imagededup" / "formats_images")))
    assert {i["uri"]: i["media_type"] for i in result.items} == {
        "baboon.pgm": "image/x-portable-anymap",
        "copyleft.tiff": "image/tiff",
        "giphy.gif": "image/gif",
        "marbles.pbm": "image/x-portable-anymap",
        **dict.fromkeys((f"ukbench09380.{e}" for e in ("bmp", "jpeg", "png")), "image/jpeg"),
        "ukbench09380.webp": "image/webp",
    }
    assert json.loads(result.item("giphy.gif")["meta"])["frames"] > 1
    assert result.reasons() == {"ukbench09380.svg": "unsupported-type"}


def test_what_the_decoder_of_tiff_says_is_not_printed(capfd):
    out = io.BytesIO()
    Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 50).convert("1").save(out, "TIFF", compression="group4")
    data = bytes(byte ^ (0x5A if 20 <= at < 40 else 0) for at, byte in enumerate(out.getvalue()))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    assert "Bad code word" in capfd.readouterr().err
    assert images.probe(data, "a.tif", PIXELS).media_type == "image/tiff"
    assert capfd.readouterr() == ("", "")
