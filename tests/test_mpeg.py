"""An MP3 by its frames, against what is known of it."""

import random

import pytest
from sounds import sound

from gendata import mpeg

ID3 = b"ID3\3\0\0\0\1\0\0" + bytes(1 << 14)
ID3V1 = b"TAG" + bytes(125)


def bare(**options):
    """Without the frame that says how many there are."""
    data = sound("a.mp3", **options)
    assert mpeg.states_length(data)
    return data[mpeg.frame(data).size :]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fffb9000", (1152, 417, 44100)),
        ("fffb9200", (1152, 418, 44100)),
        ("fff38840", (576, 288, 16000)),
        ("ffe318c4", (576, 72, 8000)),
        ("ffffe800", (384, 672, 32000)),
        ("fffd8000", (1152, 417, 44100)),
        ("fffb0000", None),  # free format
        ("fffbf000", None),
        ("fffb9c00", None),  # no rate
        ("ffeb9000", None),  # no version
        ("fff99000", None),  # no layer
        ("fffb90", None),
    ],
)
def test_the_header_of_a_frame(header, expected):
    assert mpeg.frame(bytes.fromhex(header)) == expected


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_whatever_is_before_between_and_after(rate, channels):
    data = bare(rate=rate, channels=channels, frames=2 * rate)
    samples = mpeg.frame(data).samples
    expected = mpeg.samples(data)
    assert 2 * rate <= expected <= 2 * rate + 4 * samples  # delay and padding of the encoder
    assert not mpeg.states_length(data)
    cut = 5 * mpeg.frame(data).size if rate == 8000 else 0
    for changed in (ID3 + data, data + ID3V1, data[:cut] + b"\xff\xfb" + bytes(300) + data[cut:]):
        assert mpeg.samples(changed) == expected
    assert mpeg.samples(data[: len(data) // 2]) < expected


def test_only_what_libsndfile_reads_counts_as_a_stated_length():
    data = sound("a.mp3", frames=20_000)
    at = data.index(b"Xing")
    for name, expected in ((b"Xing", True), (b"Info", True), (b"VBRI", False)):
        assert mpeg.states_length(ID3 + data[:at] + name + data[at + 4 :]) is expected
    assert not mpeg.states_length(bare(frames=20_000) + b"Info")


def test_bytes_that_are_none_have_no_samples():
    rng = random.Random(0)
    assert mpeg.samples(b"") == mpeg.samples(ID3) == mpeg.samples(bytes(100_000)) == 0
    for size in range(0, 3000, 50):
        mpeg.samples(b"\xff" * size)
        mpeg.samples(rng.randbytes(size))
