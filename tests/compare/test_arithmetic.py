"""What experiments compute, against closed forms and other libraries."""

import io
import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from gendata.compare import direction, stats, trial
from gendata.compare.experiments import (
    anomalies,
    architecture,
    compression,
    dimensions,
    gradients,
    latents,
    likeness,
    race,
    recall,
    speed,
    stability,
)
from gendata.compare.experiments.copies import largest_share, with_copies
from gendata.compare.experiments.drawing import dependence
from gendata.models import rnn, transformer
from gendata.models.family import DataSpec
from gendata.models.picture import to_image
from gendata.train.data import ImageData


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30])
def test_t_quantiles_are_those_of_scipy(freedom):
    assert stats.t_quantile(freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-9)


def test_intervals_are_those_of_scipy():
    a, b = [1.0, 2.5, 3.0, 4.0], [0.5, 0.6, 0.7, 0.9]
    found = scipy.stats.ttest_1samp(a, 0).confidence_interval()
    assert stats.mean_interval(a)[:2] == pytest.approx((found.low, found.high))
    exact = scipy.stats.ttest_ind(a, b, equal_var=False)
    half = scipy.stats.t.ppf(0.975, math.floor(exact.df)) / scipy.stats.t.ppf(0.975, exact.df)
    wide = exact.confidence_interval()
    middle = (wide.low + wide.high) / 2
    assert stats.difference(a, b)[:2] == pytest.approx(
        (middle - half * (middle - wide.low), middle + half * (wide.high - middle))
    )
    assert stats.difference([1.0], b)[:2] == stats.mean_interval([1.0])[:2] == (-math.inf, math.inf)
    assert stats.difference([2.0] * 3, [1.0] * 3) == (1.0, 1.0, "")


@pytest.mark.parametrize(
    ("interval", "limit"),
    [
        (stats.mean_interval([0.1, 0.2, 0.3]), ""),
        (stats.mean_interval([0.1, 0.2]), "2 of at least 3 seeds"),
        (stats.mean_interval([0.1]), "1 of at least 3 seeds"),
        (stats.mean_interval([0.0, 0.0, 0.0]), "a tie without any spread"),
        (stats.difference([1.0, 2.0, 3.0], [1.0, 2.0]), "2 of at least 3 seeds"),
        (stats.difference([1.0] * 3, [1.0] * 3), "a tie without any spread"),
        (stats.bootstrap(lambda x: float(x.mean()), np.ones(1)), "1 of at least 5 rows"),
        (stats.bootstrap(lambda x: float(x.mean()), np.ones(5)), ""),
        (stats.bootstrap(lambda x: float(x.mean()), np.zeros(9)), "a tie without any spread"),
        (stats.shares(1.0, 4, 0.0, 50), "4 of at least 5 rows"),
        (stats.exact(0.0), ""),
    ],
)
def test_what_has_no_information_is_limited(interval, limit):
    assert interval.limit == limit
    assert (-interval).limit == interval.above(1).limit == limit
    assert interval.limited("one more").limit.endswith("one more")


def test_shares_and_bootstrap_hold_the_difference():
    low, high, _ = stats.shares(0.6, 1000, 0.5, 1000)
    assert low < 0.1 < high
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.49 / 1000), rel=0.01)
    values = np.random.default_rng(0).normal(size=400)
    low, high, limit = stats.bootstrap(lambda x: float(x.mean()), values)
    assert (low, high, limit) == stats.bootstrap(lambda x: float(x.mean()), values)
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


def test_unsteadiness_knows_no_unit_and_no_constant():
    falls, jumps = np.arange(12.0)[::-1], np.array([1.0, 3.0] * 6)
    assert stability.unsteadiness(np.full(8, 0.1)) == 0
    assert stability.unsteadiness(falls) == pytest.approx(0)
    assert stability.unsteadiness(jumps) > 0.6
    for losses in (jumps, falls + jumps):
        found = stability.unsteadiness(losses)
        assert 0 < found < 1
        assert stability.unsteadiness(7 * losses + 1000) == pytest.approx(found)
    with pytest.raises(ValueError, match="at least 4"):
        stability.unsteadiness([1.0, 2.0, 3.0])


def test_seeds_that_end_apart_are_far_from_each_other():
    falls = np.linspace(10, 0, 12)
    near = stability.distances([falls, falls + 0.1])
    far = stability.distances([falls, falls + 5])
    assert near == pytest.approx(stability.distances([3 * falls + 9, 3 * (falls + 0.1) + 9]))
    assert min(far) > 10 * max(near) > 0


def test_trend():
    assert stability.trend([3.0, 2.0, 1.0]) == pytest.approx(-1)
    assert stability.trend([1.0, 1.0]) == stability.trend([1.0]) == 0


def test_area_is_that_of_the_ranks():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 60).round(1), rng.normal(0, 1, 80).round(1)
    expected = scipy.stats.mannwhitneyu(a, b).statistic / (60 * 80)
    assert anomalies.area(a, b) == pytest.approx(expected)


def test_bits_lie_on_the_cheapest_side_of_the_curve_and_nowhere_else():
    points = np.array([[300.0, 0.1], [200.0, 0.2], [260.0, 0.15], [290.0, 0.2], [100.0, 0.4], [150.0, 0.5]])
    assert [compression.bits_at(points, e) for e in (0.1, 0.2, 0.3, 0.4)] == pytest.approx([300, 200, 150, 100])
    assert compression.bits_at(points, 0.15) == pytest.approx(250)  # a mixture is cheaper than the point there
    assert np.isnan([compression.bits_at(points, e) for e in (0.09, 0.41, 0.9)]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_bits_of_a_jpeg_are_those_between_header_and_end(channels):
    image = np.random.default_rng(0).integers(0, 256, (16, 16, channels)).astype(np.uint8)
    out = io.BytesIO()
    to_image(image).save(out, "JPEG", quality=50, optimize=True)
    data = out.getvalue()
    header = 2 + 2 + 1 + 2 * channels + 3  # marker, length, number of components, two bytes of each, three of progress
    assert compression.coded_bits(data) == 8 * (len(data) - data.rindex(b"\xff\xda") - header - 2)
    assert compression.jpeg(image, 50)[0] == compression.coded_bits(data)
    assert compression.jpeg(image, 50, 4)[0] < compression.coded_bits(data)


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

    assert direction.moved(decode, 4, 2) == 1
    assert 0.3 < direction.moved(decode, 4, 2, chance=True) < 0.7  # about every second points the right way
    assert direction.moved(lambda z, labels: torch.cos(9 * decode(z, labels)), 4, 2) < 0.2


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


def test_intrinsic_dimension_is_that_of_the_sheet_and_not_of_the_space():
    random = np.random.default_rng(0)
    sheet = random.random((800, 2)) @ random.normal(size=(2, 30))
    assert 1 / dimensions.neighbour_ratios(sheet).mean() == pytest.approx(2, rel=0.15)
    assert not len(dimensions.neighbour_ratios(np.zeros((9, 3))))  # twins say nothing
    assert not len(dimensions.neighbour_ratios(sheet[:2]))


def test_an_even_way_has_equal_steps():
    def turn(z, labels):
        return z.view(-1, 1, 1, z.shape[1])

    assert latents.evenness(turn, 4000, 2) == pytest.approx(1, abs=0.04)
    assert latents.evenness(lambda z, labels: (turn(z, labels) > 1).float().cumsum(3), 8, 2).mean() > 1.3


def test_a_longer_sequence_keeps_more_for_the_way_back():
    model = rnn.Model(rnn.Config(width=8, embedding=4), DataSpec())
    short, middle, long = (speed.activations(model, n) for n in (32, 64, 96))
    assert long - middle == pytest.approx(middle - short, rel=0.2)
    assert middle - short > 32 * 257  # at least the probabilities of each token


def test_times_are_taken_in_turns():
    called = []
    found = speed.in_turns({("a", 1): lambda: called.append("a"), ("b", 1): lambda: called.append("b")}, 2)
    assert called == ["a", "b"] * 3
    assert [len(values) for values in found.values()] == [2, 2]


def test_few_steps_of_a_recipe_are_hasty():
    assert trial.hasty(39, rnn.Config(steps=400)) == "39 steps, under a tenth of the 400 of the recipe"
    assert not trial.hasty(40, rnn.Config(steps=400), rnn.Config(steps=10))
