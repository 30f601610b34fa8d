"""Rows that lie sorted by label, as in the store: what compare takes of them is a sample."""

import io
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from gendata.compare import ScarcityParams, sample, trial
from gendata.compare.evidence import MissingError
from gendata.compare.experiments import anomalies, compression, likeness, samples, scarcity, transfer
from gendata.compare.experiments import dimensions as counted
from gendata.models import rnn, transformer
from gendata.models.tokens import SEPARATOR
from gendata.train.data import ImageData, TextData

CLASSES = tuple("abcdefghij")


def sorted_images(n):
    """Images of 8 x 8 pixels, n of each of ten classes, which lie one after the other and differ in brightness."""
    labels = np.repeat(np.arange(10), n)
    noise = np.random.default_rng(0).integers(0, 20, (10 * n, 1, 8, 8))
    pixels = (20 * labels[:, None, None, None] + noise).astype(np.uint8)
    return ImageData(
        dict.fromkeys(("train", "valid", "test"), pixels), dict.fromkeys(("train", "valid", "test"), labels), CLASSES
    )


def sorted_texts(n):
    """n texts each of a letter of ten, one letter after the other, as a stream."""
    pieces = [np.array([SEPARATOR] + [97 + i] * 20, np.uint16) for i in np.repeat(np.arange(10), n)]
    return np.concatenate([*pieces, [SEPARATOR]]).astype(np.uint16)


class Toy:
    """Evidence of data alone, whose outputs are training images in the order of the store."""

    def __init__(self, images=None, texts=None):
        self._images, self._texts = images, texts

    def images(self, name):
        return self._images

    def texts(self, name):
        return self._texts

    def outputs(self, name):
        found = []
        for pixels in self._images.pixels["train"][::2]:
            out = io.BytesIO()
            Image.fromarray(pixels[0]).save(out, "PNG")
            found.append(out.getvalue())
        return pa.table({"id": [str(i) for i in range(len(found))], "data": found})


def test_some_are_of_everywhere_and_follow_from_the_seed():
    found = sample.some(1000, 100)
    assert len(set(found.tolist())) == 100
    assert {i // 100 for i in found.tolist()} == set(range(10))
    assert np.array_equal(found, sample.some(1000, 100))
    assert not np.array_equal(found, sample.some(1000, 100, 1))
    assert sorted(sample.some(5, 9).tolist()) == [0, 1, 2, 3, 4]


def test_texts_are_whole_and_of_everywhere():
    stream = sorted_texts(10)
    assert {text[:1] for text in sample.texts(stream, 60)} == {bytes([97 + i]) for i in range(10)}
    assert all(len(text) == 20 for text in sample.texts(stream, 60))
    assert len(sample.texts(stream, 1000)) == 100
    taken = sample.excerpt(stream, 600)
    assert len(taken) == 600
    assert len(set(taken.tolist()) - {SEPARATOR}) >= 8
    assert np.array_equal(np.sort(sample.excerpt(stream, 10**6)), np.sort(stream[:-1]))
    assert sample.texts(stream[:1], 3) == sample.texts(stream[:0], 3) == []
    assert len(sample.excerpt(stream[:0], 3)) == 0


def test_real_against_real_is_at_chance_though_the_store_is_sorted():
    made, real, other = likeness._images("gan", Toy(sorted_images(60)))
    n = min(len(made), len(real), len(other))
    for rows in (made, real, other):  # what is fitted on holds every class, as what is tested on
        assert {int(255 * row.min() // 20) for row in rows[: n // 2]} == set(range(10))
    assert likeness.told_apart(other[:n], real[:n]) == pytest.approx(0.5, abs=0.1)
    assert likeness.told_apart(made[:n], real[:n]) == pytest.approx(0.5, abs=0.1)


def test_few_images_hold_every_new_class():
    data = transfer.of(sorted_images(100), range(5, 10), 50, 3)
    assert set(data.labels["train"].tolist()) == {5, 6, 7, 8, 9}
    assert len(data.labels["train"]) == 50
    other = transfer.of(sorted_images(100), range(5, 10), 50, 4)
    assert not np.array_equal(data.pixels["train"], other.pixels["train"])
    with pytest.raises(MissingError, match="too few images"):
        transfer.of(sorted_images(3), range(10, 12), 5)


def test_sharpness_and_bits_are_of_all_classes(monkeypatch):
    seen = []
    data = sorted_images(300)

    def keep(images):
        seen.append(set((images.reshape(len(images), -1).min(1) // 20).tolist()))
        raise MissingError("seen")

    monkeypatch.setattr(samples, "_details", keep)
    with pytest.raises(MissingError, match="seen"):
        samples._sharper(Toy(data))
    monkeypatch.setattr(compression, "_coded", lambda model, pixels, labels: keep(pixels))
    toy = Toy(data)
    toy.checkpoint = lambda name: SimpleNamespace(model=lambda: None)
    with pytest.raises(MissingError, match="seen"):
        compression.run(None, range(3), toy)
    assert seen == [set(range(10))] * 2


def test_components_and_dimensions_are_of_all_classes(monkeypatch):
    seen = []
    monkeypatch.setattr(counted, "neighbour_ratios", lambda points: seen.append(points) or np.empty(0))
    monkeypatch.setattr(counted.stats, "bootstrap", lambda *_: counted.stats.exact(1.0))
    texts = TextData({"train": sorted_texts(200), "valid": sorted_texts(1), "test": sorted_texts(1)}, 8)
    counted.run(None, range(3), Toy(sorted_images(300), texts))
    assert set((seen[0].min(1) // 20).astype(int).tolist()) == set(range(10))
    assert len(np.unique(seen[1], axis=0)) == 10
    fitted = []
    monkeypatch.setattr(
        anomalies, "_far_from_components", lambda train, images: fitted.append(train) or np.zeros(len(images))
    )
    monkeypatch.setattr(
        anomalies.trial, "make", lambda *_: type("Model", (), {"score": lambda self, b, s: torch.zeros(len(s))})()
    )
    monkeypatch.setattr(anomalies.trial, "train", lambda *_: None)
    anomalies._left_out(type("Config", (), {"seed": 0})(), sorted_images(300))
    assert set((fitted[0].reshape(len(fitted[0]), -1).min(1) // 20).tolist()) == set(range(1, 10))


def test_a_part_of_the_texts_is_by_chance_and_another_for_every_seed():
    data = TextData({"train": sorted_texts(100), "valid": sorted_texts(100), "test": sorted_texts(0)[:0]}, 8)
    few = [scarcity.part(data, 10, seed).streams for seed in range(2)]
    assert [len(streams["train"]) for streams in few] == [2100, 2100]
    assert not np.array_equal(few[0]["train"], few[1]["train"])
    assert np.array_equal(few[0]["valid"], few[1]["valid"])  # measured on the same texts
    for streams in (few[0]["train"], few[0]["valid"]):
        assert len(set(streams.tolist()) - {SEPARATOR}) >= 9
    stream = np.arange(200, dtype=np.uint16)
    tiny = TextData({"train": stream, "valid": stream[:50], "test": stream[:0]}, 8)
    assert len(scarcity.part(tiny, 1, 0).streams["train"]) == 2
    assert ScarcityParams().percents[0] == 1


def test_a_simple_series_has_a_period_and_both_families_learn_it():
    data = scarcity.series(48, 0)
    train, held_out = data.streams["train"].astype(int), data.streams["valid"].astype(int)
    assert (len(train), len(held_out)) == (4096, 2048)
    assert set(np.unique(train)) <= set(range(32))
    assert np.abs(train[24:] - train[:-24]).mean() < 0.3 * np.abs(train[12:] - train[:-12]).mean()
    assert not np.array_equal(train[:2048], held_out)
    assert np.array_equal(scarcity.series(48, 0).streams["train"], train)
    uniform = np.log(len(np.unique(train)))
    for name, family, own in (("rnn", rnn, {"width": 32}), ("transformer", transformer, {"width": 32})):
        config = family.Config(context=48, steps=200, batch=8, warmup=5, **own)
        model = trial.make(name, config, data)
        trial.train(model, config, data)
        assert trial.held_out_loss(model, config, data) < 0.8 * uniform
