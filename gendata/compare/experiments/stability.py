"""G5, S2, S3, S6: the first steps of the families' own trainings, from several seeds.

Unsteadiness is the mean change of a loss from step to step over its mean height, in the first steps of the schedule of
params.yaml: a figure without unit that compares losses of different units.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gendata.compare import StabilityParams, stats, trial
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot

READS = ("gan", "vae", "transformer")
LOSS = {"gan": "generator", "vae": "loss", "transformer": "loss"}

Curves = list[list[dict[str, float]]]


def run(params: StabilityParams, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """Findings of G5, S2, S3 and S6."""
    curves = {name: _curves(name, params, seeds, evidence) for name in READS}
    losses = {name: [[row[LOSS[name]] for row in curve] for curve in found] for name, found in curves.items()}
    rough = {name: [unsteadiness(curve) for curve in found] for name, found in losses.items()}
    over = f"Welch's t over {seeds} seeds each, {params.steps} steps"
    lines = {name: list(enumerate(_relative(found[0]), 1)) for name, found in losses.items()}
    plot = Plot("loss of the first seed over its first value", "step", "loss over the first", lines)
    note = f"the first {params.steps} steps of the trainings of params.yaml"
    return {
        "G5": Finding((_rougher(rough, "gan", "vae", over), *_early(losses["gan"], evidence, seeds)), note, plot),
        "S6": Finding((_rougher(rough, "gan", "transformer", over),), note, plot),
        "S2": Finding(_game(curves, losses, seeds), note, plot),
        "S3": Finding(_trends(losses, over), note, plot),
    }


def _curves(name: str, params: StabilityParams, seeds: int, evidence: Evidence) -> Curves:
    config = evidence.checkpoint(name).config()
    data = evidence.images(name) if name != "transformer" else evidence.texts(name)
    found = []
    for seed in range(seeds):
        own = replace(trial.short(config, seed, config.steps, params.batch), warmup=config.warmup)
        found.append(trial.train(trial.make(name, own, data), own, data, min(params.steps, own.steps)))
    return found


def unsteadiness(losses: Sequence[float]) -> float:
    """Mean change from step to step over the mean height; 0 of a constant."""
    values = np.asarray(losses, np.float64)
    return float(np.abs(np.diff(values)).mean() / np.abs(values).mean()) if len(values) > 1 else 0.0


def trend(losses: Sequence[float]) -> float:
    """Correlation of the loss with the number of the step: -1 where it falls along a line."""
    values = np.asarray(losses, np.float64)
    if len(values) < 2 or values.std() == 0:
        return 0.0
    return float(np.corrcoef(np.arange(len(values)), values)[0, 1])


def _relative(losses: Sequence[float]) -> list[float]:
    return [value / losses[0] for value in losses]


def _rougher(rough: dict[str, list[float]], more: str, less: str, over: str) -> Effect:
    low, high = stats.difference(rough[more], rough[less])
    sides = {name: float(np.mean(rough[name])) for name in (more, less)}
    return Effect("change of the loss from step to step over its height", sides, low, high, over)


def _early(curves: list[list[float]], evidence: Evidence, seeds: int) -> tuple[Effect, ...]:
    """The first tenth of the GAN's steps against the last, where the whole schedule was run."""
    whole = int(evidence.card("gan")["steps"])
    n = max(2, whole // 10)
    if len(curves[0]) < max(whole, 2 * n):
        return ()
    first, last = [unsteadiness(c[:n]) for c in curves], [unsteadiness(c[-n:]) for c in curves]
    sides = {"first tenth": float(np.mean(first)), "last tenth": float(np.mean(last))}
    what = "change of the GAN's loss from step to step over its height"
    low, high = stats.mean_interval([a - b for a, b in zip(first, last, strict=True)])
    return (Effect(what, sides, low, high, f"Student's t over {seeds} paired seeds"),)


def _game(curves: dict[str, Curves], losses: dict[str, list[list[float]]], seeds: int) -> tuple[Effect, ...]:
    """What one side of a game wins the other loses: their losses go against each other."""
    against = [_against(curve) for curve in curves["gan"]]
    low, high = stats.mean_interval(against)
    what = "correlation of the changes of the GAN's two losses; effect: how far below 0"
    game = Effect(what, {"gan": float(np.mean(against))}, -high, -low, f"Student's t over {seeds} seeds")
    fall = [curve[0] - curve[-1] for curve in losses["transformer"]]
    low, high = stats.mean_interval(fall)
    what = "fall of the transformer's one loss, in nats per token"
    return game, Effect(what, {"transformer": float(np.mean(fall))}, low, high, f"Student's t over {seeds} seeds")


def _against(curve: list[dict[str, float]]) -> float:
    """Correlation of the changes of both losses from step to step."""
    changes = [np.diff([row[side] for row in curve]) for side in ("discriminator", "generator")]
    return float(np.corrcoef(np.stack(changes))[0, 1])


def _trends(losses: dict[str, list[list[float]]], over: str) -> tuple[Effect, ...]:
    found = {name: [trend(curve) for curve in losses[name]] for name in ("gan", "transformer")}
    low, high = stats.difference(found["gan"], found["transformer"])
    sides = {name: float(np.mean(values)) for name, values in found.items()}
    what = "correlation of the loss with the step (cross-entropy falls, an adversarial loss need not)"
    return (Effect(what, sides, low, high, over),)
