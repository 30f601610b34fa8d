"""Manifests as arrays: every item once an epoch, windows that predict every token once, odd images."""

import dataclasses
import io
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from warehouse import image, stock, text

from gendata.errors import QueryError, StoreError
from gendata.items import Item
from gendata.models import Needs, needs, tokens
from gendata.select import SelectParams
from gendata.select.contents import Contents
from gendata.select.selection import select
from gendata.train import spell
from gendata.train.data import TextData, image_data, text_data


def test_every_training_image_comes_once_an_epoch(images):
    data = image_data(images, 8, 1)
    n = len(data.labels["train"])
    assert (n, len(data.labels["valid"]), len(data.labels["test"])) == (14, 1, 1)
    flat = data.pixels["train"].reshape(n, -1).astype(np.float32) / 127.5 - 1
    for batch in (4, 14, 20):
        seen = []
        for step in range(3 * n):
            rows = data.batch(0, step, batch)["pixels"].numpy().reshape(batch, -1)
            seen += [int(np.abs(flat - row).sum(axis=1).argmin()) for row in rows]
        for epoch in range(len(seen) // n):
            assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))
        assert seen[:n] != seen[n : 2 * n]


def test_a_batch_follows_from_seed_and_step_alone(images, texts):
    for data in (image_data(images, 8, 1), text_data(texts, 16)):
        for key, value in data.batch(3, 5, 6).items():
            assert value.equal(data.batch(3, 5, 6)[key])
        key = "pixels" if "pixels" in data.batch(3, 5, 6) else "tokens"
        assert not data.batch(3, 5, 6)[key].equal(data.batch(3, 6, 6)[key])
        assert not data.batch(3, 5, 6)[key].equal(data.batch(4, 5, 6)[key])


def test_parts_of_a_batch_are_the_batch(images, texts):
    for data in (image_data(images, 8, 1), text_data(texts, 16)):
        parts = [data.batch(3, 5, 20, slice(start, start + 5)) for start in range(0, 20, 5)]
        for key, value in data.batch(3, 5, 20).items():
            assert torch.cat([part[key] for part in parts]).equal(value)


def test_what_is_trained_on_is_mapped_and_not_in_memory(images, texts):
    assert isinstance(image_data(images, 8, 1).pixels["train"], np.memmap)
    assert isinstance(text_data(texts, 16).streams["train"], np.memmap)


def test_the_cache_is_read_back_and_may_be_deleted(images, tmp_path):
    first = image_data(images, 8, 1).pixels["train"].copy()
    caches = list((tmp_path / ".gendata/cache/arrays").iterdir())
    assert len(caches) == 1
    assert np.array_equal(image_data(images, 8, 1).pixels["train"], first)
    whole = (caches[0] / "train.npy").read_bytes()
    (caches[0] / "train.npy").write_bytes(whole[:-8])  # cut short
    assert np.array_equal(image_data(images, 8, 1).pixels["train"], first)
    (caches[0] / "train.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 255]))  # changed
    assert np.array_equal(image_data(images, 8, 1).pixels["train"], first)
    shutil.rmtree(caches[0])
    assert np.array_equal(image_data(images, 8, 1).pixels["train"], first)


@pytest.mark.parametrize("context", [1, 5, 16, 1000])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_validation_predicts_every_held_out_token_once(texts, context, size):
    data = text_data(texts, context)
    targets = [row[1:] for batch, _ in data.validation(size) for row in batch["tokens"].tolist()]
    stream = data.streams["valid"].tolist()
    assert [t for row in targets for t in row] == stream[1:]
    assert sum(weight for _, weight in data.validation(size)) == len(stream) - 1


def test_a_stream_is_its_texts_between_separators(texts):
    streams = text_data(texts, 16).streams
    rows = [r for b in texts.batches() for r in b.to_pylist()]
    for split in ("train", "valid", "test"):
        parts = [p for p in np.split(streams[split], np.flatnonzero(streams[split] == tokens.SEPARATOR)) if len(p) > 1]
        assert [tokens.decode(p.tolist()) for p in parts] == [r["text"] for r in rows if r["split"] == split]


def labelled(tmp_path):
    rows = [text(f"{'low' if i % 2 else 'high'} {i} " * 5, s) for i, s in enumerate(["train"] * 8 + ["valid"] * 2)]
    for i, (_, item) in enumerate(rows):
        rows[i] = (rows[i][0], dataclasses.replace(item, label=None if i == 7 else "ba"[i % 2]))
    stores = stock(tmp_path / "artifacts", notes=("real", rows))
    return Contents(select("s", needs("rnn"), SelectParams(where="true"), stores)[0], stores)


@pytest.mark.parametrize("vocabulary", [257, 270])
def test_every_window_starts_with_the_label_of_its_text(tmp_path, monkeypatch, vocabulary):
    monkeypatch.chdir(tmp_path)
    data = text_data(labelled(tmp_path), 6, vocabulary, conditional=True)
    assert data.classes == ("a", "b")
    first = data.tokenizer.vocabulary
    assert 257 < first <= 270 if vocabulary == 270 else first == 257
    stream = data.streams["train"].tolist()
    assert sorted(t for t in stream if t >= first) == sorted([first] + [first + 1] * 3 + [first + 2] * 4)
    current = {}
    for place, token in enumerate(stream):
        current[place] = token if token >= first else current.get(place - 1, stream[1])
    rows = data._windows("train", np.arange(len(stream) - 6), 7).tolist()
    for start, row in enumerate(rows):
        assert row == [current[start], *stream[start + 1 : start + 7]]


@pytest.mark.parametrize("context", [2, 6, 1000])
def test_labels_do_not_count_in_a_validation(tmp_path, monkeypatch, context):
    monkeypatch.chdir(tmp_path)
    contents = labelled(tmp_path)
    plain = text_data(contents, context)
    data = text_data(contents, context, conditional=True)
    weights = sum(weight for _, weight in data.validation(3))
    assert weights == len(plain.streams["valid"]) - 1
    assert np.array_equal(data.bytes_of("train"), plain.streams["train"])


@pytest.mark.parametrize("chunk", [1, 3, 50])
def test_what_a_stream_spells_does_not_depend_on_how_much_is_read_at_once(tmp_path, monkeypatch, chunk):
    monkeypatch.chdir(tmp_path)
    contents = labelled(tmp_path)
    plain, whole = text_data(contents, 16), text_data(contents, 16, 280, conditional=True)
    monkeypatch.setattr(spell, "CHUNK", chunk)
    data = text_data(contents, 16, 280, conditional=True)
    for split in ("train", "valid", "test"):
        assert np.array_equal(data.bytes_of(split), plain.streams[split])
    for key, value in whole.batch(3, 5, 8).items():
        assert data.batch(3, 5, 8)[key].equal(value)


def test_memory_does_not_follow_the_corpus(texts):
    merged = text_data(texts, 16, 280)
    peaks = []
    for times in (1 << 15, 1 << 17):
        np.tile(merged.streams["train"], times).tofile("long.u16")
        stream = np.memmap("long.u16", np.uint16, mode="r")
        tracemalloc.start()
        data = TextData({"train": stream}, 16, merged.tokenizer, ("a",))
        last = data.bytes_of("train")[-1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert last == tokens.SEPARATOR
    assert peaks[1] < 1.1 * peaks[0]


def test_a_conditional_model_wants_labels(texts):
    with pytest.raises(QueryError, match="no training text has a label"):
        text_data(texts, 16, conditional=True)


def test_merges_are_of_the_training_split_and_spell_the_same_bytes(texts):
    plain, merged = text_data(texts, 16), text_data(texts, 16, 280)
    assert merged.tokenizer.vocabulary > 257
    for split in ("train", "valid", "test"):
        assert np.array_equal(merged.bytes_of(split), plain.streams[split])
    assert len(merged.streams["train"]) < len(plain.streams["train"])
    share = (len(plain.streams["valid"]) - 1) / (len(merged.streams["valid"]) - 1)
    assert share > 1
    assert merged.baselines() == {name: pytest.approx(share * v) for name, v in plain.baselines().items()}
    assert text_data(texts, 16, 280).tokenizer.text == merged.tokenizer.text  # from the cache


def test_a_context_longer_than_the_data_is_remarked(texts):
    assert text_data(texts, 16).remark() == ""
    assert "context 1000 is longer than the training split, 97 tokens" in text_data(texts, 1000).remark()


def test_a_window_is_never_longer_than_the_text(texts):
    data = text_data(texts, 100_000)
    assert data.batch(0, 0, 2)["tokens"].shape == (2, len(data.streams["train"]))


def test_images_of_different_sizes_and_modes_become_equal(tmp_path):
    rows = [
        image(1, "a", size=(8, 8)),
        image(2, "a", size=(30, 9)),
        image(3, "a", size=(5, 40), mode="RGB"),
        image(4, "a", "valid", size=(1, 1)),
    ]
    contents = _contents(stock(tmp_path / "artifacts", photos=("real", rows)))
    for channels in (1, 3):
        data = image_data(contents, 12, channels)
        assert data.pixels["train"].shape == (3, channels, 12, 12)
        for again in (data, image_data(contents, 12, channels)):  # made, and read back
            assert again.remark() == "of 4 images, 2 cropped, 4 enlarged, to be 12 x 12 pixels"
    assert image_data(contents, 1, 1).remark() == "of 4 images, 2 cropped, to be 1 x 1 pixels"
    alike = _contents(
        stock(tmp_path / "alike", photos=("real", [image(1, "a"), image(2, "a"), image(3, "a", "valid")]))
    )
    assert image_data(alike, 8, 1).remark() == ""


def test_an_image_is_turned_upright(tmp_path):
    picture = Image.new("L", (8, 8))
    picture.paste(255, (0, 0, 8, 4))  # bright above
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    out = io.BytesIO()
    picture.save(out, "PNG", exif=exif)
    item = Item(modality="image", uri="x.png", media_type="image/png", data=out.getvalue(), label="a")
    contents = _contents(
        stock(tmp_path / "artifacts", photos=("real", [("train", item), image(1, "a"), image(2, "a", "valid")]))
    )
    first = image_data(contents, 8, 1).pixels["train"][0, 0]
    assert first[:4].max() == 0
    assert first[4:].min() == 255


def test_sixteen_bits_are_scaled_and_what_is_transparent_is_white(tmp_path):
    def item(image, name):
        out = io.BytesIO()
        image.save(out, "PNG")
        return "train", Item(modality="image", uri=name, media_type="image/png", data=out.getvalue(), label="a")

    deep = Image.fromarray(np.full((8, 8), 0x4000, np.uint16))
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    rows = [item(deep, "deep.png"), item(clear, "clear.png"), image(2, "a", "valid")]
    pixels = image_data(_contents(stock(tmp_path / "artifacts", photos=("real", rows))), 8, 1).pixels["train"]
    assert (pixels[0].min(), pixels[0].max()) == (0x40, 0x40)
    assert pixels[1].min() == 255


def test_an_image_that_does_not_decode_is_named(tmp_path):
    broken = Item(modality="image", uri="x.png", media_type="image/png", data=b"\x89PNG no", label="a")
    contents = _contents(
        stock(tmp_path / "artifacts", photos=("real", [("train", broken), image(1, "a"), image(2, "a", "valid")]))
    )
    with pytest.raises(StoreError, match=f"item {broken.id[:12]}: its image does not decode"):
        image_data(contents, 8, 1)


def test_baselines_are_of_the_held_out_split(texts):
    found = text_data(texts, 16).baselines()
    assert 0 < found["valid/bigram"] < found["valid/unigram"] < np.log(257)


def test_held_out_is_test_where_there_is_no_valid(tmp_path):
    stores = stock(tmp_path / "artifacts", notes=("real", [text("one"), text("two", "test")]))
    contents = Contents(select("s", needs("rnn"), SelectParams(where="true"), stores)[0], stores)
    assert text_data(contents, 4).held_out == "test"


def _contents(stores):
    manifest, reason = select("s", Needs("image", labelled=True), SelectParams(where="true"), stores)
    assert reason == ""
    return Contents(manifest, stores)
