"""G5, S2, S3, S6: the first steps of the families' own trainings, from several seeds.

Losses of different units are compared by a figure that no unit and no constant changes: how far a loss strays from its
moving mean, as a share of that and of how far the mean moves. 0 is a loss that goes its way without a detour, 1 one
that goes nowhere and strays. Beside it stands how far apart seeds end, in the distances that the mean moves: by
Levene's test (1960), with Welch's t of the distances of single seeds from the mean of all.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from gendata.compare import StabilityParams, stats, trial
from gendata.compare.evidence import Evidence, MissingError, findings
from gendata.compare.finding import Effect, Finding, Plot

READS = ("gan", "vae", "transformer")
LOSS = {"gan": "generator", "vae": "loss", "transformer": "loss"}
_LEAST = 4
"""Steps that a moving mean takes."""

Curves = list[list[dict[str, float]]]
Losses = list[list[float]]


def run(params: StabilityParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of G5, S2, S3 and S6, each of the families that it is about."""

    @cache
    def trained(name: str) -> tuple[Curves, str]:
        return _curves(name, params, seeds, evidence)

    def curves(name: str) -> Curves:
        return trained(name)[0]

    def losses(*names: str) -> dict[str, Losses]:
        return {name: [[row[LOSS[name]] for row in curve] for curve in curves(name)] for name in names}

    def finding(effects: tuple[Effect, ...], *names: str) -> Finding:
        limits = (_warming(params.steps, names, evidence), *(trained(name)[1] for name in names))
        limit = "; ".join(each for each in limits if each)
        judged = (replace(effect, interval=effect.interval.limited(limit)) for effect in effects)
        lines = {name: list(enumerate(_relative(found[0]), 1)) for name, found in losses(*names).items()}
        plot = Plot("loss of the first seed over its first value", "step", "loss over the first", lines)
        return Finding(tuple(judged), f"the first {params.steps} steps of the trainings of params.yaml", plot)

    def unsteady(other: str) -> Finding:
        found = losses("gan", other)
        early = _early(found["gan"], evidence, seeds) if other == "vae" else ()
        return finding((*_rougher(found["gan"], found[other], other, seeds), *early), "gan", other)

    return findings(
        {
            "G5": lambda: unsteady("vae"),
            "S6": lambda: unsteady("transformer"),
            "S2": lambda: finding(
                _game(curves("gan"), losses("transformer")["transformer"], seeds), "gan", "transformer"
            ),
            "S3": lambda: finding(_trends(losses("gan", "transformer"), seeds), "gan", "transformer"),
        }
    )


def _curves(name: str, params: StabilityParams, seeds: Sequence[int], evidence: Evidence) -> tuple[Curves, str]:
    """Of the seeds that did not diverge, and what is to be said of others."""
    config = evidence.checkpoint(name).config()
    steps = min(params.steps, config.steps)
    if steps < _LEAST:
        raise MissingError(f"the training of {name} has {steps} steps: at least {_LEAST} are measured")
    data = evidence.images(name) if name != "transformer" else evidence.texts(name)
    found, lost = [], list[str]()
    for seed in seeds:
        own = replace(trial.short(config, seed, config.steps, params.batch), warmup=config.warmup)
        try:
            found.append(trial.train(trial.make(name, own, data), own, data, steps))
        except MissingError as error:
            lost.append(str(error))
    if not found:
        raise MissingError(lost[0])
    return found, f"{len(lost)} of {len(seeds)} seeds of {name}: {lost[0]}" if lost else ""


def _warming(steps: int, names: Sequence[str], evidence: Evidence) -> str:
    """What limits a finding whose steps are all before the full learning rate of a family, or a small part of it."""
    for name in names:
        config = evidence.checkpoint(name).config()
        taken = min(steps, config.steps)
        if taken <= config.warmup:
            return f"{taken} steps, all within the {config.warmup} of the warm-up of {name}"
        if hasty := trial.hasty(steps, config):
            return hasty
    return ""


def parted(losses: Sequence[float]) -> tuple[float, float]:
    """How far a loss strays from its moving mean (the root of the mean square), and how far the mean moves.

    The mean is over a quarter of the steps, three at least. Raises ValueError for fewer than four losses.
    """
    values = np.asarray(losses, np.float64)
    if len(values) < _LEAST:
        raise ValueError(f"losses: at least {_LEAST}, not {len(values)}")
    width = max(3, len(values) // 4 | 1)
    mean = np.convolve(values, np.full(width, 1 / width), "valid")
    rest = values[width // 2 : len(values) - width // 2] - mean
    return float(np.sqrt(np.square(rest).mean())), float(np.ptp(mean))


def unsteadiness(losses: Sequence[float]) -> float:
    """The share of straying in straying and moving: 0 to 1, and 0 of a constant, up to rounding."""
    strays, moves = parted(losses)
    rounding = 1e-12 * float(np.abs(losses).max())
    return strays / (strays + moves) if strays + moves > rounding else 0.0


def distances(losses: Losses) -> list[float]:
    """How far the loss at the end of each seed, the mean of its last quarter, is from that of all, in mean moves."""
    ends: NDArray[np.float64] = np.array([np.mean(curve[-max(1, len(curve) // 4) :]) for curve in losses])
    moves = float(np.mean([parted(curve)[1] for curve in losses]))
    return [float(d) for d in np.abs(ends - ends.mean()) / (moves or 1.0)]


def trend(losses: Sequence[float]) -> float:
    """Correlation of the loss with the number of the step: -1 where it falls along a line."""
    return _correlation(np.arange(float(len(losses))), np.asarray(losses, np.float64))


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """0 where a side does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _relative(losses: Sequence[float]) -> list[float]:
    return [value / losses[0] for value in losses]


def _rougher(gan: Losses, other: Losses, name: str, seeds: Sequence[int]) -> tuple[Effect, ...]:
    effects = []
    for what, (more, less), test in (
        (
            "straying of the loss from its moving mean, as a share of that and of how far the mean moves",
            [[unsteadiness(curve) for curve in side] for side in (gan, other)],
            "Welch's t",
        ),
        ("distance of seeds from each other at the end, in such moves", map(distances, (gan, other)), "Levene's test"),
    ):
        sides = {"gan": float(np.mean(more)), name: float(np.mean(less))}
        effects.append(Effect(what, sides, stats.difference(more, less), f"{test} over {len(seeds)} seeds each"))
    return tuple(effects)


def _early(curves: Losses, evidence: Evidence, seeds: Sequence[int]) -> tuple[Effect, ...]:
    """The first tenth of the GAN's steps against the last, where the whole schedule was run."""
    whole = int(evidence.card("gan")["steps"])
    n = max(_LEAST, whole // 10)
    if len(curves[0]) < max(whole, 2 * n):
        return ()
    first, last = [parted(c[:n])[0] for c in curves], [parted(c[-n:])[0] for c in curves]
    sides = {"first tenth": float(np.mean(first)), "last tenth": float(np.mean(last))}
    what = "straying of the GAN's loss from its moving mean, in nats"
    gap = stats.mean_interval([a - b for a, b in zip(first, last, strict=True)])
    return (Effect(what, sides, gap, f"Student's t over {len(seeds)} paired seeds"),)


def _game(gan: Curves, transformer: Losses, seeds: Sequence[int]) -> tuple[Effect, ...]:
    """What one side of a game wins the other loses: their losses go against each other."""
    against = [_against(curve) for curve in gan]
    what = "correlation of the changes of the GAN's two losses; effect: how far below 0"
    over = f"Student's t over {len(seeds)} seeds"
    game = Effect(what, {"gan": float(np.mean(against))}, -stats.mean_interval(against), over)
    fall = [curve[0] - curve[-1] for curve in transformer]
    what = "fall of the transformer's one loss, in nats per token"
    return game, Effect(what, {"transformer": float(np.mean(fall))}, stats.mean_interval(fall), over)


def _against(curve: list[dict[str, float]]) -> float:
    """Correlation of the changes of both losses from step to step."""
    first, other = (np.diff([row[side] for row in curve]) for side in ("discriminator", "generator"))
    return _correlation(first, other)


def _trends(losses: dict[str, Losses], seeds: Sequence[int]) -> tuple[Effect, ...]:
    found = {name: [trend(curve) for curve in curves] for name, curves in losses.items()}
    sides = {name: float(np.mean(values)) for name, values in found.items()}
    what = "correlation of the loss with the step (cross-entropy falls, an adversarial loss need not)"
    gap = stats.difference(found["gan"], found["transformer"])
    return (Effect(what, sides, gap, f"Welch's t over {len(seeds)} seeds each"),)
