"""T6: transformer and LSTM on parts of the training texts, and on a simple time series: who predicts better.

The series is a sine with noise, each value one of some levels, as a byte: what comes next follows from few before.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.compare import ScarcityParams, sample, stats, trial
from gendata.compare.evidence import Evidence, same_tokens
from gendata.compare.finding import Effect, Finding, Plot
from gendata.train.data import TextData

READS = ("transformer", "rnn")
_HELD_OUT = 2048
"""Tokens of the held-out split that the loss is measured on."""
_SERIES, _PERIOD, _LEVELS, _NOISE = 4096, 24, 32, 0.1
"""Values of a series to train on, of a wave, and that there are; the deviation of the noise, of an amplitude of 1."""


def run(params: ScarcityParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of T6, of one seed."""
    same_tokens(evidence, *READS)
    (seed,), percents = seeds, sorted(params.percents)
    texts = {name: evidence.texts(name) for name in READS}
    lost = {
        name: {p: _loss(name, part(texts[name], p, seed), seed, params, evidence) for p in percents} for name in READS
    }
    simple = {name: _loss(name, series(texts[name].context, seed), seed, params, evidence) for name in READS}
    least = {name: found[percents[0]] for name, found in lost.items()}
    limit = trial.hasty(params.steps, *(evidence.checkpoint(name).config() for name in READS))
    few = Effect(
        f"held-out nats per token after training on {percents[0]} % of the texts",
        least,
        stats.exact(least["transformer"] - least["rnn"]).limited(limit),
        "one seed: both learn from the same texts",
    )
    lines = {name: [(float(p), loss) for p, loss in found.items()] for name, found in lost.items()}
    plot = Plot("held-out loss", "percent of the training texts", "nats per token", lines)
    waves = Effect(
        f"held-out nats per value of a noisy sine, {_SERIES} values to train on",
        simple,
        stats.exact(simple["transformer"] - simple["rnn"]).limited(limit),
        "one seed",
    )
    return {"T6": Finding((few, waves), f"{params.steps} steps each", plot)}


def _loss(name: str, data: TextData, seed: int, params: ScarcityParams, evidence: Evidence) -> float:
    made: Any = evidence.checkpoint(name).config()
    config = trial.short(made, seed, params.steps, params.batch)
    model = trial.make(name, config, data)
    trial.train(model, config, data)
    return trial.held_out_loss(model, config, data)


def part(data: TextData, percent: int, seed: int) -> TextData:
    """With texts of so many percent of the training stream by chance, at least two tokens, and some held-out ones.

    The held-out texts are the same for every seed.
    """
    train = data.streams["train"]
    streams = {**data.streams, "train": sample.excerpt(train, max(2, len(train) * percent // 100), seed)}
    streams[data.held_out] = sample.excerpt(streams[data.held_out], _HELD_OUT)
    return TextData(streams, data.context, data.tokenizer, data.classes)


def series(context: int, seed: int) -> TextData:
    """A noisy sine to train on and another one, as long as what texts are measured on, held out."""
    random = np.random.default_rng(seed)

    def wave(n: int) -> NDArray[np.uint16]:
        at = 2 * np.pi * (np.arange(n) / _PERIOD + random.random())
        values = (np.sin(at) + random.normal(0, _NOISE, n)) / (2 + 6 * _NOISE) + 0.5  # three deviations are inside
        return np.clip(values * _LEVELS, 0, _LEVELS - 1).astype(np.uint16)

    return TextData({"train": wave(_SERIES), "valid": wave(_HELD_OUT), "test": wave(0)}, context)
