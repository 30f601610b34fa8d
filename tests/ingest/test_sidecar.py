"""A .json beside an image or a recording."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import sound

from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.reader import UnitError
from gendata.ingest.sidecar import parse
from gendata.items import ITEM_SCHEMA, Item, to_table

FOLDER = SourceParams("folder", "real", "in", label="of the source", license="CC0-1.0")


@pytest.fixture
def put(project):
    (project / "in").mkdir()

    def _put(name, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        (project / "in" / name).write_bytes(data)

    return _put


def test_what_it_says(run, put, image):
    put("a.png", image())
    put(
        "a.json",
        {"caption": " a dog ", "label": 3, "license": "MIT", "url": "https://example.org", "n": [1, {"x": None}]},
    )
    put("b.wav", sound())
    put("b.json", {"transcript": "seven", "speaker": "ann", "encoding": "a lie"})
    put("c.png", image(color=3))
    put("c.json", {})
    result = run(FOLDER)
    a, b, c = (result.item(name) for name in ("a.png", "b.wav", "c.png"))
    assert (a["text"], a["text_origin"], a["label"], a["license"]) == ("a dog", "caption-file", "3", "MIT")
    assert json.loads(a["meta"]) == {"url": "https://example.org", "n": [1, {"x": None}]}
    assert (b["text"], b["text_origin"], b["label"]) == ("seven", "transcript-file", "of the source")
    assert json.loads(b["meta"]) == {"speaker": "ann", "encoding": "PCM_16"}
    assert (c["text"], c["text_origin"], c["license"], c["meta"]) == (None, None, "CC0-1.0", "{}")
    assert not result.rejects
    assert {e["uri"]: e["role"] for e in result.listing if e["uri"].endswith("json")} == dict.fromkeys(
        ("a.json", "b.json", "c.json"), "sidecar"
    )


@pytest.mark.parametrize(("others", "text"), [(("txt", "caption"), "caption"), (("txt",), "txt"), ((), "json")])
def test_which_caption_counts(run, put, image, others, text):
    put("a.png", image())
    put("a.json", {"caption": "json"})
    for name in others:
        put(f"a.{name}", name.encode())
    item = run(FOLDER).item("a.png")
    assert item["text"] == text
    assert json.loads(item["meta"]) == ({"caption": "json"} if others else {})


def test_without_a_medium_it_is_no_sidecar(run, put):
    put("a.json", {"caption": "x"})
    put("a.md", b"a text")
    assert run(FOLDER).reasons() == {"a.json": "unsupported-type"}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'"x"', b"\xff{}", b'{"caption": 3}', b'{"license": []}', b'{"label": {}}', b'{"x": NaN}',
     b'{"x": "\\ud800"}', b'{"x":' * 150 + b"1" + b"}" * 150, b"[" * 100_000, b'{"x": "' + b"y" * 2000 + b'"}'],
)  # fmt: skip
def test_a_broken_one_is_a_reject_and_its_image_stays(run, put, image, content):
    put("a.png", image())
    put("a.json", content)
    result = run(FOLDER, IngestParams(max_record_bytes=1900, workers=2))
    assert result.reasons() == {"a.json": "sidecar-invalid"}
    assert (result.item("a.png")["text"], result.item("a.png")["meta"]) == (None, "{}")


def test_an_edit_after_the_scan_is_noticed(run, put, image):
    put("a.png", image())
    put("a.json", {"caption": "before"})
    result = run(FOLDER, between=lambda: put("a.json", {"caption": "after!"}))
    assert result.reasons() == {"a.json": "sidecar-invalid"}
    assert result.item("a.png")["text"] is None


KEYS = st.sampled_from(["caption", "text", "transcript", "label", "license", "x"]) | st.text(
    string.printable, max_size=4
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=80) | VALUES.map(lambda v: json.dumps(v).encode()) | st.dictionaries(KEYS, VALUES).map(
    lambda v: json.dumps(v).encode()
))  # fmt: skip
def test_any_bytes_are_facts_or_an_error(data):
    item = Item(modality="image", uri="a.png", media_type="image/png", data=b"x", meta={"frames": 2})
    try:
        found = parse(data, IngestParams()).beside(item)
    except UnitError:
        return
    (row,) = to_table([found.row("s", "real", None)], ITEM_SCHEMA).to_pylist()
    assert json.loads(row["meta"])["frames"] == 2
    if row["text"] is not None:
        assert row["text"].strip() == row["text"] != ""
