"""Audio: what is read, what is refused and why; beside tables and as files."""

import csv
import io
import json
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import unruly
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import FORMATS, sound

from gendata import mpeg
from gendata.apart import Apart, Limits
from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.formats import audio
from gendata.ingest.reader import UnitError

HOUR = 3600


def reason(data, name="", max_seconds=HOUR):
    with pytest.raises(UnitError) as caught:
        audio.probe(data, name, max_seconds)
    return caught.value.reason


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_known_by_its_bytes_and_kept_as_it_is(project, run, name):
    (project / "in").mkdir()
    data = sound(name, channels=2)
    (project / "in" / name).write_bytes(data)
    item = run(SourceParams("folder", "real", "in", label="tone")).item(name)
    assert (item["modality"], item["media_type"], item["label"]) == ("audio", FORMATS[name][2], "tone")
    assert item["data"] == data
    assert json.loads(item["meta"]) == {"encoding": FORMATS[name][1]}
    assert (item["text"], item["text_origin"]) == (None, None)


@pytest.mark.parametrize("encoding", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"])
def test_encodings_of_wav(encoding):
    assert audio.probe(sound("a.wav", encoding), "a.wav", HOUR).meta == {"encoding": encoding}


def test_an_mp3_that_does_not_say_its_length_is_not_broken_by_its_tags():
    data = sound("a.mp3", frames=40_000)
    bare = data[mpeg.frame(data).size :]
    tagged = b"ID3\3\0\0\0\1\0\0" + bytes(1 << 14) + bare + b"TAG" + bytes(125)
    assert audio.probe(tagged, "a.mp3", HOUR).media_type == "audio/mpeg"
    assert reason(data[: len(data) // 2]) == "corrupt-audio"  # what says its length has to have it


def test_an_mp3_without_a_frame():
    with pytest.raises(UnitError) as caught:
        audio.probe(b"ID3\3\0\0\0\0\0\0" + bytes(3000), "a.mp3", HOUR)
    assert caught.value.reason == "corrupt-audio"
    assert "does not exist" not in caught.value.detail


def test_a_wrong_ending_and_what_the_file_says_of_itself_are_noted():
    found = audio.probe(sound("a.flac", title="Tone\x07 of 440 Hz"), "a.mp3", HOUR)
    assert found == audio.Probe(
        "audio/flac", {"encoding": "PCM_16", "embedded": {"title": "Tone of 440 Hz"}, "extension": ".mp3"}
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "empty"),
        (b"no sound", "not-audio"),
        (b"\x89PNG\r\n\x1a\n", "not-audio"),
        (b"\xff\xd8\xff\xe0", "not-audio"),  # JPEG
        (b"RIFF\x10\0\0\0WAVE", "corrupt-audio"),
        (b"fLaC", "corrupt-audio"),
        (b"OggS", "corrupt-audio"),
        (b"ID3\x04\0\0\0\0\0\0", "corrupt-audio"),
        (sound("a.wav", frames=0), "empty"),
        (sound("a.flac", frames=0), "empty"),
    ],
)
def test_what_is_no_audio(data, expected):
    assert reason(data) == expected


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=20)
@given(share=st.floats(0.02, 0.98))
def test_what_is_cut_short_is_no_item(name, share):
    data = sound(name, frames=20_000)
    assert reason(data[: int(len(data) * share)]) in {"corrupt-audio", "not-audio"}


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.opus"])
@settings(max_examples=20)
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_formats_with_checksums_tell_every_changed_bit_of_sound(name, share, bit):
    data = bytearray(sound(name, frames=20_000))
    start = 0x2000 if name == "a.flac" else 0  # the metadata of a FLAC, and what fills it up, have no checksum
    data[start + int((len(data) - start) * share)] ^= 1 << bit
    assert reason(bytes(data)) in {"corrupt-audio", "not-audio"}


def test_a_wav_whose_writer_did_not_know_its_length_is_read_to_the_end():
    data = bytearray(sound("a.wav"))
    at = data.index(b"data")
    data[at + 4 : at + 8] = data[4:8] = b"\xff\xff\xff\xff"
    assert audio.probe(bytes(data), "a.wav", HOUR).media_type == "audio/wav"


def test_a_wav_of_nothing_but_chunks_is_refused_soon():
    assert reason(b"RIFF\xff\xff\xff\xffWAVE" + b"junk\0\0\0\0" * 1_000_000) == "corrupt-audio"


def test_a_wav_that_holds_an_mp3_is_refused():
    data = bytearray(sound("a.wav"))
    data[20:22] = b"\x55\0"
    assert reason(bytes(data)) == "corrupt-audio"


@pytest.mark.parametrize("name", FORMATS)
def test_the_limit_of_length(name):
    data = sound(name, frames=32_000)
    assert audio.probe(data, name, 2).media_type == FORMATS[name][2]
    assert reason(data, max_seconds=1) == "too-long"


def test_a_header_that_promises_a_million_channels_costs_nothing():
    data = bytearray(sound("a.wav"))
    struct.pack_into("<HI", data, 22, 0xFFFF, 0x7FFFFFFF)
    assert reason(bytes(data)) in {"corrupt-audio", "too-long"}


def test_more_samples_a_second_allow_fewer_seconds():
    data = sound("a.wav", rate=192_000, channels=8, frames=192_000)
    assert audio.probe(data, "", 8).media_type == "audio/wav"
    assert reason(data, max_seconds=7) == "too-long"


def test_limits_are_checked():
    with pytest.raises(ValueError, match="max_audio_seconds must be at least 1"):
        IngestParams(max_audio_seconds=0)


@pytest.mark.parametrize("unruly", [unruly.crash, unruly.hang])
def test_a_decoder_that_crashes_or_hangs_costs_one_item(monkeypatch, unruly):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.setattr(audio, "_apart", Apart(unruly))
    monkeypatch.setattr(audio, "_LIMITS", Limits(1))
    assert reason(sound()) == "corrupt-audio"


def test_transcripts_beside_audio(project, run):
    (project / "in").mkdir()
    for stem in ("a", "b", "c", "d"):
        (project / "in" / f"{stem}.wav").write_bytes(sound(pitch=200 + 50 * ord(stem)))
    (project / "in" / "a.txt").write_text(" seven \n")
    (project / "in" / "b.caption").write_text("eight")
    (project / "in" / "c.txt").write_bytes(b"\xff\xfe")
    (project / "in" / "e.caption").write_text("nobody says this")
    result = run(SourceParams("folder", "real", "in"))
    said = {i["uri"]: (i["text"], i["text_origin"]) for i in result.items}
    assert said == {
        "a.wav": ("seven", "transcript-file"),
        "b.wav": ("eight", "transcript-file"),
        "c.wav": (None, None),
        "d.wav": (None, None),
    }
    assert result.reasons() == {"c.txt": "caption-invalid", "e.caption": "caption-orphan"}


def test_a_table_of_paths(project, run):
    (project / "in" / "wav").mkdir(parents=True)
    (project / "in" / "wav" / "7.wav").write_bytes(sound())
    (project / "in" / "wav" / "8.wav").write_bytes(sound()[:100])
    (project / "in.wav").write_bytes(sound(pitch=300))
    rows = [["wav/7.wav", "7", "seven", "ann"], ["wav/8.wav", "8", "eight", "bob"], ["wav/9.wav", "9", "nine", "ann"]]
    rows += [["../in.wav", "9", "nine", "ann"], ["", "9", "nine", "ann"], ["", "", "", "x"]]
    with (project / "in" / "t.csv").open("w") as file:
        csv.writer(file).writerows([["audio", "label", "text", "speaker"], *rows])
    result = run(SourceParams("table", "real", "in"))
    item = result.item("t.csv#1")
    assert (item["modality"], item["label"], item["text"], item["text_origin"]) == ("audio", "7", "seven", "column")
    assert json.loads(item["meta"]) == {"encoding": "PCM_16", "speaker": "ann"}
    assert result.item("t.csv#5")["modality"] == "text"
    assert result.reasons() == {
        "t.csv#2": "corrupt-audio",
        "t.csv#3": "missing-file",
        "t.csv#4": "path-outside",
        "t.csv#6": "empty",
    }
    assert [e["uri"] for e in result.listing if e["role"] == "linked"] == ["wav/7.wav", "wav/8.wav"]


def test_audio_in_parquet_as_hugging_face_writes_it(project, run, image):
    (project / "in").mkdir()
    data = sound("a.flac")
    cells = [{"bytes": data, "path": "a.flac"}, {"bytes": image(), "path": "a.png"}, {"bytes": None, "path": None}]
    table = pa.table({"audio": cells, "sentence": ["one", "two", "three"]})
    pq.write_table(table, project / "in" / "t.parquet")
    result = run(SourceParams("table", "real", "in/t.parquet", map={"audio": "audio", "text": "sentence"}))
    assert [(i["uri"], i["modality"], i["text"]) for i in result.items] == [
        ("t.parquet#1", "audio", "one"),
        ("t.parquet#3", "text", "three"),
    ]
    assert result.items[0]["data"] == data
    assert result.reasons() == {"t.parquet#2": "not-audio"}


def test_a_row_is_an_image_or_audio(project, run, image):
    table = pa.table({"audio": [sound(), None], "image": [image(), image()]})
    pq.write_table(table, project / "t.parquet")
    result = run(SourceParams("table", "real", "t.parquet"))
    assert [i["modality"] for i in result.items] == ["image"]
    assert result.reasons() == {"t.parquet#1": "invalid-row"}


@settings(max_examples=30)
@given(
    frames=st.integers(1, 3000),
    rate=st.sampled_from([8000, 11_025, 48_000]),
    channels=st.integers(1, 6),
    name=st.sampled_from(["a.wav", "a.flac"]),
)
def test_the_header_says_what_was_written(frames, rate, channels, name):
    from gendata.tag.sound import facts

    data = sound(name, frames=frames, rate=rate, channels=channels)
    assert audio.probe(data, name, HOUR).meta == {"encoding": "PCM_16"}
    assert facts(data) == (rate, channels, frames / rate)


@pytest.mark.parametrize("name", FORMATS)
def test_the_duration_is_that_of_the_decoded_samples(name):
    from gendata.tag.sound import facts

    data = sound(name, frames=24_000, channels=2)
    samples, rate = soundfile.read(io.BytesIO(data))
    assert facts(data) == (rate, samples.shape[1], len(samples) / rate)


def test_spoken_digits(eval_data, project, run):
    folder = eval_data / "audio_fsdd" / "recordings"
    names = sorted(p.name for p in folder.glob("*.wav"))[::10]
    result = run(SourceParams("folder", "real", str(folder), include=tuple(names)))
    assert [i["uri"] for i in result.items] == names
    assert not result.rejects
    assert {i["media_type"] for i in result.items} == {"audio/wav"}
