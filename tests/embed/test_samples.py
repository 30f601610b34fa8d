"""Vectors out of tables in stage embed: taken as they are, by the order of items, and compared with the model."""

import numpy as np
import pytest
from embed.test_embed import LONG, image_item, picture, rows, text_item

from gendata import brought, files
from gendata.embed import EmbedParams, ImageEncoderParams, TextEncoderParams, embed, stage
from gendata.embed.image import LayoutEncoder
from gendata.embed.samples import SAMPLES, Samples
from gendata.errors import GendataError, StoreError
from gendata.items import REJECT_SCHEMA, VECTOR_SCHEMA, Item

TEXTS = [text_item(f"The {word} is on the table.") for word in ("bread", "salt", "clock")]
NOTHING = EmbedParams(text=TextEncoderParams(compute=False), image=ImageEncoderParams(model="m", compute=False))


def unit(dim, at):
    return np.eye(dim, dtype=np.float32)[at]


def bring(root, *parts):
    """A folder as gendata.ingest.brought makes it, of (item, start, end, vector)."""
    numbers, written = {}, []
    for item, start, end, vector in parts:
        part = numbers[item.id] = numbers.get(item.id, -1) + 1
        written.append({"id": item.id, "part": part, "start": start, "end": end, "vector": vector})
    files.write_table(root / "a" / "00000.parquet", written, VECTOR_SCHEMA)
    files.write_table(root / "a" / brought.REJECTED, [], REJECT_SCHEMA)
    return root


def go(corpus, *folders, params=NOTHING):
    return embed(corpus.ingested, corpus.decisions, ["a"], corpus.out, params, brought=folders)


def test_what_is_brought_needs_no_model(corpus, tmp_path, monkeypatch):
    """Captions and texts in no table have no vector then."""
    monkeypatch.setattr(stage.Embedder, "texts", lambda self: pytest.fail("the text model is loaded"))
    monkeypatch.setattr(stage.Embedder, "images", lambda self: pytest.fail("the image model is loaded"))
    captioned, record = image_item(picture(1), "a caption"), Item(modality="record", uri="r", media_type="j", text="{}")
    corpus.write("a", [TEXTS[0], captioned, TEXTS[1], record, text_item(" "), TEXTS[2]])
    images = bring(tmp_path / "images", (captioned, None, None, unit(3, 0)))
    passages = [(TEXTS[0], 0, 9, unit(4, 0)), (TEXTS[0], 4, 12, unit(4, 1)), (record, 0, 2, unit(4, 2))]
    summary = go(corpus, images, bring(tmp_path / "texts", *passages))
    found = [(r["id"], r["part"], r["start"], r["end"], r["vector"]) for r in rows(corpus, "a")]
    assert found == [
        (TEXTS[0].id, 0, 0, 9, [1, 0, 0, 0]),
        (TEXTS[0].id, 1, 4, 12, [0, 1, 0, 0]),
        (captioned.id, 0, None, None, [1, 0, 0]),
        (record.id, 0, 0, 2, [0, 0, 1, 0]),
    ]
    assert summary == {
        "items": 6, "passages": 3, "images": 1, "unreadable": 0,
        "brought": {"text": 2, "image": 1}, "without": {"text": 3, "image": 0},
        "text": {"model": "all-MiniLM-L6-v2", "dim": 4}, "image": {"model": "m", "dim": 3},
    }  # fmt: skip


def test_a_caption_is_computed_where_the_image_is_brought(corpus, tmp_path, minilm):
    captioned = image_item(picture(1), "a caption")
    corpus.write("a", [captioned, TEXTS[0]])
    params = EmbedParams(device="cpu", image=ImageEncoderParams(model="m", compute=False))
    go(corpus, bring(tmp_path / "images", (captioned, None, None, unit(3, 0))), params=params)
    assert [(r["id"], r["part"]) for r in rows(corpus, "a")] == [(captioned.id, 0), (captioned.id, 1), (TEXTS[0].id, 0)]
    np.testing.assert_array_equal(np.float32(rows(corpus, "a")[1]["vector"]), minilm.encode(["a caption"])[0])


def test_vectors_of_what_is_not_kept_are_an_error(corpus, tmp_path):
    corpus.write("a", [(TEXTS[0], False), TEXTS[1]])
    with pytest.raises(StoreError, match=f"{TEXTS[0].id} is not kept there"):
        go(corpus, bring(tmp_path / "texts", (TEXTS[0], 0, 9, unit(4, 0)), (TEXTS[1], 0, 9, unit(4, 0))))


def test_a_text_that_the_model_does_not_read_whole_is_not_compared(corpus, tmp_path, minilm):
    long = text_item(LONG * 8)
    corpus.write("a", [long, TEXTS[0]])
    params = EmbedParams(device="cpu")
    go(corpus, bring(tmp_path / "long", (long, 0, len(long.text), unit(384, 0))), params=params)
    with pytest.raises(GendataError, match=f"a vector of text {long.id[:12]} is not that of all-MiniLM-L6-v2"):
        go(corpus, bring(tmp_path / "short", (long, 0, 44, unit(384, 0))), params=params)
    own = minilm.encode([LONG[:44]])[0]
    go(corpus, bring(tmp_path / "own", (long, 0, 44, own), (long, 0, len(long.text), unit(384, 0))), params=params)
    assert len(rows(corpus, "a")) == 3


def test_images_are_compared_also_where_all_are_brought(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "load_image_encoder", lambda *_: LayoutEncoder())
    image, broken = image_item(picture(1)), image_item(b"no image", uri="b.png")
    corpus.write("a", [image, broken])
    params = EmbedParams(device="cpu", image=ImageEncoderParams(model="m"))
    (own,) = LayoutEncoder().encode([image.data])
    go(corpus, bring(tmp_path / "own", (image, None, None, own), (broken, None, None, unit(832, 0))), params=params)
    with pytest.raises(GendataError, match=r"a vector of image .* is not that of m"):
        go(
            corpus,
            bring(tmp_path / "b", (image, None, None, np.roll(own, 9)), (broken, None, None, own)),
            params=params,
        )


def test_the_smallest_contents_are_the_samples():
    samples = Samples[str]("text")
    read = []
    for number, content in enumerate(["long" * 9, "", " ", None, "b", "ab", "long" * 8, "a", "abc", "long" * 10]):
        samples.add(f"{number}", len(content or ""), lambda c=content: read.append(c) or c, unit(2, 0))
    assert samples.contents == ["b", "a", "ab", "abc"]
    assert read == ["long" * 9, " ", "b", "ab", "long" * 8, "a", "abc"], "those that are larger are not even read"
    assert len(samples.contents) == SAMPLES
    assert samples.dim == 2
