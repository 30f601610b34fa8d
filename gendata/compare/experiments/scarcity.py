"""T6: transformer and LSTM on parts of the training texts: who predicts held-out text better when there is little."""

from collections.abc import Sequence
from typing import Any

from gendata.compare import ScarcityParams, sample, stats, trial
from gendata.compare.evidence import Evidence, same_tokens
from gendata.compare.finding import Effect, Finding, Plot
from gendata.train.data import TextData

READS = ("transformer", "rnn")
_HELD_OUT = 2048
"""Tokens of the held-out split that the loss is measured on."""


def run(params: ScarcityParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of T6, of one seed."""
    same_tokens(evidence, *READS)
    (seed,), percents = seeds, sorted(params.percents)
    lost = {name: {p: _loss(name, p, seed, params, evidence) for p in percents} for name in READS}
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
    note = f"{params.steps} steps each: of the data alone, simple sequences are in T1 and T7"
    return {"T6": Finding((few,), note, plot)}


def _loss(name: str, percent: int, seed: int, params: ScarcityParams, evidence: Evidence) -> float:
    made: Any = evidence.checkpoint(name).config()
    config = trial.short(made, seed, params.steps, params.batch)
    data = part(evidence.texts(name), percent, seed)
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
