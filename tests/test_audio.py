"""Audio from a table through the whole chain: run, search, show, SQL, export, doctor."""

import csv
import json

import pytest
from sandbox import Sandbox
from sounds import FORMATS, sound

from gendata import template

WORDS = ("seven ferries leave the harbour", "bread is baked at night", "the clock in the tower has stopped")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A project of three recordings with transcripts, a copy of the first, one that is cut, one without words."""
    template.create(root := tmp_path_factory.mktemp("audio") / "project")
    folder = root / "speech"
    folder.mkdir()
    names = [*FORMATS][:3]
    for at, name in enumerate(names):
        (folder / name).write_bytes(sound(name, pitch=300 + 100 * at, channels=1 + at))
    (folder / "copy.wav").write_bytes(sound("a.wav", pitch=300))
    (folder / "cut.wav").write_bytes(sound("a.wav", pitch=300)[:1000])
    (folder / "hum.mp3").write_bytes(sound("a.mp3", frames=8000))
    rows = [[name, f"l{at}", WORDS[at], "ann"] for at, name in enumerate(names)]
    rows += [["copy.wav", "l0", WORDS[0], "bob"], ["cut.wav", "l0", "", ""], ["hum.mp3", "", "", ""]]
    with (folder / "speech.csv").open("w") as file:
        csv.writer(file).writerows([["audio", "label", "text", "speaker"], *rows])
    box = Sandbox(root)
    box.sources(speech={"kind": "table", "path": "speech/speech.csv", "origin": "real"})
    box.first = box.gendata("run")
    return box


def test_columns_of_sql(spoken):
    rows = spoken.json(
        "sql", "SELECT media_type, label, sample_rate, channels, duration, copies FROM items ORDER BY 1, 2"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("audio/flac", "l1", 16_000, 2, 0.25, 1),
        ("audio/mpeg", None, 16_000, 1, 0.5, 1),
        ("audio/ogg", "l2", 16_000, 3, 0.25, 1),
        ("audio/wav", "l0", 16_000, 1, 0.25, 2),
    ]
    rejected = spoken.json("sql", "SELECT uri, reason FROM rejected ORDER BY uri")
    assert [tuple(row.values()) for row in rejected] == [
        ("speech.csv#4", "exact"),
        ("speech.csv#5", "corrupt-audio"),
    ]


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "keyword"])
def test_a_transcript_is_found(spoken, mode):
    (first, *_) = spoken.json("search", "bread", "--modality", "audio", "--mode", mode)
    assert (first["modality"], first["text"]) == ("audio", WORDS[1])


def test_labels_and_meta_filter(spoken):
    found = spoken.json("search", "the", "--where", "label = 'l2' AND meta->>'speaker' = 'ann' AND duration < 1")
    assert [row["text"] for row in found] == [WORDS[2]]


def test_a_page_plays_what_was_found(spoken):
    spoken.gendata("search", "ferries", "-n", "1", "--html", "page.html")
    page = (spoken.root / "page.html").read_text()
    assert page.count("<audio controls") == 1
    assert 'src="data:audio/wav;base64,UklGR' in page


def test_show_and_save(spoken):
    (row,) = spoken.json("show", "speech/a.ogg")
    assert (row["channels"], row["text"], row["label"]) == (3, WORDS[2], "l2")
    spoken.gendata("show", row["id"], "--save", "saved.ogg")
    assert (spoken.root / "saved.ogg").read_bytes() == (spoken.root / "speech/a.ogg").read_bytes()


@pytest.mark.parametrize("format_", ["jsonl", "csv"])
def test_exports_write_files_that_can_be_opened(spoken, format_, tmp_path):
    spoken.gendata("export", str(tmp_path / "out"), "--as", format_)
    assert sorted(p.suffix for p in (tmp_path / "out" / "data").iterdir()) == [".flac", ".mp3", ".ogg", ".wav"]
    original = (spoken.root / "speech/a.flac").read_bytes()
    (copy,) = (tmp_path / "out" / "data").glob("*.flac")
    assert copy.read_bytes() == original


def test_a_folder_of_images_takes_no_audio(spoken, tmp_path):
    said = spoken.gendata("export", str(tmp_path / "out"), "--as", "imagefolder", code=1)
    assert "the format holds items of modality image" in said.stderr


def test_nothing_is_found_wrong(spoken):
    assert json.loads(spoken.gendata("stats", "--format", "json").stdout)
    spoken.gendata("doctor")
