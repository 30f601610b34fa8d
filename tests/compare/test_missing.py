"""A statement is measured by what is there; what it misses takes nothing from the others, and is named."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gendata.compare import ScarcityParams, StabilityParams, StepsParams, trial
from gendata.compare.evidence import MissingError
from gendata.compare.experiments import (
    anomalies,
    compression,
    copies,
    drawing,
    explanations,
    latents,
    likeness,
    race,
    samples,
    scarcity,
    speed,
    stability,
    steering,
)
from gendata.compare.finding import IMPOSSIBLE
from gendata.models import gan, rnn, transformer, vae
from gendata.models.family import DataSpec
from gendata.train.data import ImageData, TextData

SPEC = DataSpec(("a", "b"))
SEEDS = range(3)
CONFIGS = {
    "gan": (gan, gan.Config(size=8, width=8, hidden=8, latent=4, warmup=2, steps=40)),
    "vae": (vae, vae.Config(size=8, width=8, hidden=8, latent=4, warmup=2, steps=40)),
    "transformer": (transformer, transformer.Config(width=8, context=8, span=1, warmup=2, steps=40)),
    "rnn": (rnn, rnn.Config(width=8, embedding=4, context=8, warmup=2, steps=40)),
}


class Toy:
    """Evidence of some families as they are before training."""

    def __init__(self, *names, validations=2, **figures):
        self.names, self._validations, self._figures = names, validations, figures

    def card(self, name):
        if name not in self.names:
            raise MissingError(f"{name} was skipped")
        return {"steps": 40, "config": vars(CONFIGS[name][1])}

    def checkpoint(self, name):
        card, (module, config) = self.card(name), CONFIGS[name]
        spec = SPEC if name in {"gan", "vae"} else DataSpec()
        return SimpleNamespace(
            card=card, data=spec, config=lambda: config, model=lambda: module.Model(config, spec).eval()
        )

    def figure(self, name, key):
        self.card(name)
        if key not in self._figures:
            raise MissingError(f"{name} has no figure {key}")
        return self._figures[key]

    def history(self, name):
        self.card(name)
        return [{"step": i, "valid_reconstruction": 9.0 - i, "valid_kl": 1.0} for i in range(self._validations)]

    def images(self, name):
        self.card(name)
        pixels = np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8)).astype(np.uint8)
        splits = ("train", "valid", "test")
        return ImageData(dict.fromkeys(splits, pixels), dict.fromkeys(splits, np.arange(40) % 2), SPEC.classes)

    classes = images

    def outputs(self, name):
        self.card(name)
        raise MissingError(f"{name} made nothing")

    def texts(self, name):
        self.card(name)
        stream = np.random.default_rng(0).choice(np.array([256, 97, 98, 65, 46], np.uint16), 400)
        return TextData(dict.fromkeys(("train", "valid", "test"), stream), 8)


def test_the_latent_of_a_vae_is_measured_without_a_gan_and_its_curve_takes_two_points():
    torch.manual_seed(0)
    found = latents.run(None, SEEDS, Toy("vae"))
    assert (found["G3"].verdict, found["G3"].note) == (IMPOSSIBLE, "gan was skipped")
    assert len(found["G9"].effects) == 2
    found = latents.run(None, SEEDS, Toy("vae", validations=1))
    assert found["G9"].verdict == IMPOSSIBLE
    assert "validated 1 times" in found["G9"].note
    assert len(latents.run(None, SEEDS, Toy("gan", "vae"))["G3"].effects) == 3


def test_a_missing_figure_is_missed_by_its_statement_alone():
    figures = {"samples": 50, "near_duplicates": 0.5, "near_duplicates_floor": 0.0, "classes": 2, "classes_covered": 2}
    found = samples.run(None, SEEDS, Toy("gan", **figures))
    assert len(found["G2"].effects) == 2
    assert found["G2"].note == "vae was skipped"
    assert found["G4"].verdict == IMPOSSIBLE
    assert (found["G1"].note, found["G4"].note) == ("vae was skipped", "gan has no figure held_out")
    assert samples.run(None, SEEDS, Toy("gan", "vae", **figures))["G1"].note == "gan made nothing"


@pytest.mark.parametrize(("here", "missing"), [("transformer", "rnn"), ("rnn", "transformer")])
def test_drawing_is_measured_of_the_families_that_are_there(here, missing):
    found = drawing.run(None, SEEDS, Toy(here))["T8"]
    assert all(effect.what.startswith(here) for effect in found.effects)
    assert found.note.endswith(f"{missing} was skipped")
    assert f"{here} " in found.note
    with pytest.raises(MissingError, match="transformer was skipped; rnn was skipped"):
        drawing.run(None, SEEDS, Toy())
    with pytest.raises(MissingError, match="gan was skipped; vae was skipped"):
        likeness.run(None, SEEDS, Toy())


@pytest.mark.filterwarnings("error")
def test_stability_is_of_the_families_that_a_statement_is_about_and_the_warm_up_decides_nothing():
    found = stability.run(StabilityParams(8, 4), SEEDS, Toy("gan", "transformer"))
    assert (found["G5"].verdict, found["G5"].note) == (IMPOSSIBLE, "vae was skipped")
    for key in ("S6", "S2", "S3"):
        assert not any(effect.interval.limit for effect in found[key].effects), key
    assert len(found["S6"].effects) == 2  # one training, and seeds from each other
    few = stability._warming(2, ("gan",), Toy("gan"))
    assert few == "2 steps, all within the 2 of the warm-up of gan"
    assert stability._warming(3, ("gan",), Toy("gan")) == "3 steps, under a tenth of the 40 of the recipe"
    assert stability._warming(4, ("gan",), Toy("gan")) == ""


def test_bits_are_compared_at_equal_distortion_or_not_at_all(monkeypatch):
    def coded(error):
        return lambda model, pixels, labels: (np.full(len(pixels), 10.0), np.full(len(pixels), error))

    monkeypatch.setattr(compression, "_coded", coded(0.9))  # worse than any JPEG
    with pytest.raises(MissingError, match="40 of 40 images of the VAE have no JPEG of equal distortion"):
        compression.run(None, SEEDS, Toy("vae"))
    monkeypatch.setattr(compression, "_coded", coded(0.03))
    found = compression.run(None, SEEDS, Toy("vae"))["G7"].effects[0]
    assert found.interval.low > 0
    assert not found.interval.limit


def test_an_activation_steers_where_the_head_reads_it():
    torch.manual_seed(0)
    model = transformer.Model(CONFIGS["transformer"][1], DataSpec())
    data = Toy("transformer").texts("transformer")
    assert steering.steered(model, data)[0] == [0, 0]  # a head of zeros expects the same whatever is added
    wanted = torch.ones(257)
    wanted[[*b"abcdefghijklmnopqrstuvwxyz \n", 256]] = -1
    model.head.weight.data[:, 0] = wanted  # the first activation says it all
    (found, chance), n = steering.steered(model, data)
    assert n == 200
    assert found > 0.9
    assert 0.2 < chance < 0.7
    assert not model.blocks[0]._forward_hooks
    effects = steering.run(None, SEEDS, Toy("gan", "transformer"))["S5"].effects
    assert all(math.isfinite(effect.interval.low) for effect in effects)
    with pytest.raises(MissingError, match="too few tokens"):
        steering.steered(model, TextData({"train": data.streams["train"][:2], "valid": data.streams["train"][:2]}, 8))


def test_an_explanation_is_true_where_it_names_what_the_output_comes_from():
    torch.manual_seed(0)
    model, data = transformer.Model(CONFIGS["transformer"][1], DataSpec()), Toy("transformer").texts("transformer")
    for shares in explanations.tokens_held(model, data).values():
        assert (shares == 0.5).all()  # a head of zeros says the same whatever it reads
    torch.nn.init.normal_(
        model.head.weight
    )  # blocks of zeros: the last token alone, of which attention keeps a quarter
    held = explanations.tokens_held(model, data)
    assert held["attention"].min() == 0.5  # another window may have the same last token
    assert held["attention"].mean() > 0.7
    assert abs(held["surprisal"].mean() - 0.5) < 0.1
    assert not model.blocks[0].attend._forward_hooks

    first = explanations.direction_held(lambda z, labels: z[:, :1, None, None], 8, 2)
    assert first.mean() > 0.8  # the ink is the first number of the latent
    assert (explanations.direction_held(lambda z, labels: 0 * z[:, :1, None, None], 8, 2) == 0.5).all()
    found = explanations.run(None, SEEDS, Toy("gan", "transformer"))["S7"]
    assert [set(effect.sides) for effect in found.effects] == [
        {f"transformer, {name}", "gan, attribute vector", "by chance"} for name in ("attention", "surprisal")
    ]
    with pytest.raises(MissingError, match="too few tokens"):
        explanations.tokens_held(
            model, TextData({"train": data.streams["train"][:2], "valid": data.streams["train"][:2]}, 8)
        )


def test_a_seed_that_diverges_is_missed_by_its_statements_and_takes_no_other_seed_away(monkeypatch):
    broken, own = {1}, trial.take_step

    def step(training, batches, number):
        if training.config.seed in broken and number == 1:
            raise FloatingPointError("the loss of vae is nan")
        return own(training, batches, number)

    monkeypatch.setattr(trial, "take_step", step)
    short = StepsParams(2, 4)
    assert copies.run(short, (0,), Toy("vae"))["D1"].effects
    with pytest.raises(MissingError, match="a training of seed 1 diverged at step 2: the loss of vae is nan"):
        copies.run(short, (1,), Toy("vae"))
    found = stability.run(StabilityParams(4, 4), SEEDS, Toy("gan", "vae", "transformer"))
    limits = {effect.interval.limit for effect in found["G5"].effects}
    assert any("1 of 3 seeds of gan: a training of seed 1 diverged" in limit for limit in limits)
    broken |= {0, 2}
    assert "diverged" in stability.run(StabilityParams(4, 4), SEEDS, Toy("gan", "vae", "transformer"))["G5"].note


def test_text_families_of_other_tokens_are_not_compared_per_token():
    class Other(Toy):
        def texts(self, name):
            data = super().texts(name)
            data.tokenizer = SimpleNamespace(text=name)
            return data

    for experiment, params in ((race, StepsParams(2, 4)), (scarcity, ScarcityParams((50,), 2, 4))):
        with pytest.raises(MissingError, match="transformer and rnn read other tokens"):
            experiment.run(params, (0,), Other("transformer", "rnn"))


def test_images_of_other_sizes_and_a_class_more_than_there_are_decide_nothing():
    class Other(Toy):
        def images(self, name):
            data = super().images(name)
            return ImageData(
                {k: v[..., : 4 if name == "vae" else 8] for k, v in data.pixels.items()}, data.labels, "ab"
            )

    assert samples.run(None, (), Other("gan", "vae"))["G1"].note == "gan and vae draw images of different sizes"
    with pytest.raises(MissingError, match="every class was left out once"):
        anomalies.run(StepsParams(2, 4), (2,), Toy("vae"))


@pytest.mark.parametrize("length", [16, 64, 1024])
def test_as_many_tokens_are_trained_on_at_every_length_and_no_text_ends_early(length):
    for name in speed.SIDES:
        model = speed._model(name, length)
        assert speed.step(model, length, 1024)() == 1024
        assert speed.drawing(model, length)() == 4 * length
