"""What experiments compute, against closed forms and other libraries."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from gendata.compare import stats
from gendata.compare.experiments import (
    anomalies,
    architecture,
    compression,
    gradients,
    likeness,
    race,
    recall,
    stability,
)
from gendata.compare.experiments.copies import largest_share, with_copies
from gendata.compare.experiments.drawing import dependence
from gendata.compare.experiments.latents import moved
from gendata.compare.experiments.scarcity import part
from gendata.models import rnn, transformer
from gendata.models.family import DataSpec
from gendata.train.data import ImageData, TextData


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30])
def test_t_quantiles_are_those_of_scipy(freedom):
    assert stats.t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-9)


def test_intervals_are_those_of_scipy():
    a, b = [1.0, 2.5, 3.0, 4.0], [0.5, 0.6, 0.7, 0.9]
    found = scipy.stats.ttest_1samp(a, 0).confidence_interval()
    assert stats.mean_interval(a) == pytest.approx((found.low, found.high))
    exact = scipy.stats.ttest_ind(a, b, equal_var=False)
    half = scipy.stats.t.ppf(0.975, math.floor(exact.df)) / scipy.stats.t.ppf(0.975, exact.df)
    wide = exact.confidence_interval()
    middle = (wide.low + wide.high) / 2
    assert stats.difference(a, b) == pytest.approx(
        (middle - half * (middle - wide.low), middle + half * (wide.high - middle))
    )
    assert stats.difference([1.0], b) == (-math.inf, math.inf)
    assert stats.mean_interval([1.0]) == (-math.inf, math.inf)
    assert stats.difference([2.0, 2.0], [1.0, 1.0]) == (1.0, 1.0)


def test_shares_and_bootstrap_hold_the_difference():
    low, high = stats.shares(0.6, 1000, 0.5, 1000)
    assert low < 0.1 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.49 / 1000), rel=0.01)
    values = np.random.default_rng(0).normal(size=400)
    low, high = stats.bootstrap(lambda x: float(x.mean()), values)
    assert (low, high) == stats.bootstrap(lambda x: float(x.mean()), values)
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


class LinearRNN(nn.Module):
    """h' = w h + x over scalar embeddings: the gradient of the logits falls by w with every step back."""

    def __init__(self, w):
        super().__init__()
        self.w = w
        self.embedding = nn.Embedding(5, 1)

    def forward(self, tokens):
        x = self.embedding(tokens.t())
        h = torch.zeros_like(x[0])
        out = []
        for now in x:
            h = self.w * h + now
            out.append(torch.cat([h, -h], -1))
        return torch.stack(out, 1), h


@pytest.mark.parametrize("w", [0.5, 0.9, 1.0])
def test_gradients_of_a_linear_network_fall_by_its_weight(w):
    norms = gradients.input_gradients(
        LinearRNN(w), torch.randint(0, 2, (4, 17), generator=torch.Generator().manual_seed(0))
    )
    assert norms.shape == (16,)
    assert norms / norms[0] == pytest.approx(w ** np.arange(16), rel=1e-4)
    assert gradients.powers_lost(norms) == pytest.approx(-14 * math.log10(w), rel=1e-3, abs=1e-6)
    assert gradients.powers_lost(np.array([1.0] + [0.0] * 15)) == 12  # what float32 does not tell from none


@pytest.mark.parametrize("family", ["rnn", "transformer"])
def test_gradients_have_a_norm_for_every_input(family):
    made = {
        "rnn": lambda: rnn.Model(rnn.Config(width=8, embedding=4), DataSpec()),
        "transformer": lambda: transformer.Model(transformer.Config(width=8, span=1, context=6), DataSpec()),
    }[family]()
    tokens = torch.randint(0, 256, (6, 7))  # as many windows as tokens: sides must not be mistaken
    assert gradients.input_gradients(made, tokens).shape == (6,)


def test_recall_asks_for_the_first_symbol():
    asked, symbols = recall.sequences(5, 40, 3)
    assert asked.shape == (40, 7)
    assert torch.equal(asked[:, 0], symbols)
    assert int(symbols.max()) < recall.SYMBOLS <= int(asked[:, 1:-1].min())
    assert asked[:, -1].unique().numel() == 1
    assert recall.accuracy("gru", 1, 0, 60) > 0.9  # what is next to the question is learned at once


def test_unsteadiness_and_trend():
    assert stability.unsteadiness([2.0, 2.0, 2.0]) == 0
    assert stability.unsteadiness([1.0, 3.0, 1.0, 3.0]) == pytest.approx(1.0)
    assert stability.trend([3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert stability.trend([1.0, 1.0]) == 0


def test_area_is_that_of_the_ranks():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 60).round(1), rng.normal(0, 1, 80).round(1)
    expected = scipy.stats.mannwhitneyu(a, b).statistic / (60 * 80)
    assert anomalies.area(a, b) == pytest.approx(expected)


def test_bits_lie_on_the_curve():
    curve = np.array([[100.0, 0.4], [200.0, 0.2], [300.0, 0.1]])
    assert [compression.bits_at(curve, e) for e in (0.2, 0.3, 0.9, 0.0)] == pytest.approx([200, 150, 100, 300])


def test_a_race_ends_between_its_checks():
    found = [(1.0, 5.0), (2.0, 3.0), (4.0, 2.0)]
    assert [race.seconds_to(found, goal) for goal in (6, 4, 2.5, 1)] == pytest.approx([1, 1.5, 3, 4])


def test_two_samples_are_told_apart_or_not():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (400, 6)), rng.normal(0, 1, (400, 6))
    assert abs(likeness.told_apart(a, b) - 0.5) < 0.1
    assert likeness.told_apart(a, b + 3) > 0.95
    found = likeness.pairs([b"abab", b"a", b""])
    assert np.square(found).sum(1) == pytest.approx([1, 0, 0])


def test_operations_of_a_recurrent_network_are_two_a_weight():
    model = rnn.Model(rnn.Config(width=10, embedding=6), DataSpec())
    assert architecture.recurrent_operations(model) == 2 * (4 * 10 * (10 + 6) + 10 * 257)


def test_layers_are_counted_by_kind():
    found = architecture.weight_layers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Linear(2, 2), nn.Linear(2, 1)))
    assert found == {"convolution": 1, "dense": 2}


def test_a_token_changes_nothing_before_it():
    model = rnn.Model(rnn.Config(width=8, embedding=4), DataSpec())
    torch.nn.init.normal_(model.head.weight)
    before, after = dependence(model, 10)
    assert before == 0 < after


def test_an_attribute_vector_works_where_ink_is_in_the_latent():
    def decode(z, labels):
        return z[:, 0].view(-1, 1, 1, 1).expand(-1, 1, 2, 2)

    assert moved(decode, 4, 2) == 1
    assert moved(lambda z, labels: torch.cos(9 * decode(z, labels)), 4, 2) < 0.2


def images():
    pixels = np.arange(40, dtype=np.uint8).reshape(40, 1, 1, 1)
    labels = np.arange(40) % 4
    return ImageData(
        dict.fromkeys(("train", "valid", "test"), pixels),
        dict.fromkeys(("train", "valid", "test"), labels),
        ("a", "b", "c", "d"),
    )


def test_copies_are_of_the_first_class_and_leave_the_held_out_split_alone():
    data = images()
    copied = with_copies(data, 0)
    assert len(copied.labels["train"]) == 40 + 9 * 4
    assert largest_share(data) == 0.25
    assert largest_share(copied) == pytest.approx((10 + 36) / 76)
    assert copied.pixels["valid"] is data.pixels["valid"]


def test_a_part_of_the_texts_is_their_beginning():
    stream = np.arange(200, dtype=np.uint16)
    data = TextData({"train": stream, "valid": stream[:50], "test": stream[:0]}, 8)
    assert len(part(data, 10).streams["train"]) == 20
    assert len(part(data, 1).streams["train"]) == 2
    assert len(part(data, 10).streams["valid"]) == 50
