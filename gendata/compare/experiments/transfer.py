"""N2: a VAE trained on half of the classes goes on with few images of the others, against one that starts afresh.

Both take the same steps on the same images with the same learning rates; what is compared is the held-out negative ELBO
of the new classes.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from gendata.compare import StepsParams, sample, stats, trial
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Effect, Finding, Plot
from gendata.train.data import SPLITS, ImageData

READS = ("vae",)
_FEW = 200
"""Images of the new classes."""

_CHECKS = 4

Curve = list[tuple[float, float]]


def run(params: StepsParams, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """The finding of N2."""
    data = evidence.classes("vae")
    made = evidence.checkpoint("vae").config()
    tuned, fresh = zip(
        *(_both(trial.short(made, seed, params.steps, params.batch), data) for seed in range(seeds)), strict=True
    )
    ends = {name: [curve[-1][1] for curve in curves] for name, curves in (("tuned", tuned), ("fresh", fresh))}
    gain = stats.mean_interval([b - a for a, b in zip(ends["tuned"], ends["fresh"], strict=True)])
    gain = gain.limited(trial.hasty(params.steps, made))
    sides = {name: float(np.mean(values)) for name, values in ends.items()}
    what = f"held-out nats per image of new classes after {params.steps} steps on {_FEW} images"
    plot = Plot("held-out loss of the first seed", "step", "nats per image", {"tuned": tuned[0], "fresh": fresh[0]})
    note = f"trained before on the other classes, {2 * params.steps} steps"
    return {"N2": Finding((Effect(what, sides, gain, f"Student's t over {seeds} paired seeds"),), note, plot)}


def _both(config: Any, data: ImageData) -> tuple[Curve, Curve]:
    middle = len(data.classes) // 2
    old, new = of(data, range(middle)), of(data, range(middle, len(data.classes)), _FEW, config.seed)
    trained, fresh = (trial.make("vae", config, data) for _ in range(2))
    before = replace(config, steps=2 * config.steps)
    trial.train(trained, before, old)
    return _curve(trained, config, new), _curve(fresh, config, new)


def _curve(model: Any, config: Any, data: ImageData) -> Curve:
    found = [(0.0, trial.held_out_loss(model, config, data))]

    def watch(done: int, _: Any) -> None:
        if done % max(1, config.steps // _CHECKS) == 0 or done == config.steps:
            found.append((float(done), trial.held_out_loss(model, config, data)))

    trial.train(model, config, data, watch=watch)
    return found


def of(data: ImageData, classes: range, few: int | None = None, seed: int = 0) -> ImageData:
    """The images of some classes, of the training split at most ``few``, by chance. Raises MissingError."""
    at = {split: np.flatnonzero(np.isin(data.labels[split], classes)) for split in SPLITS}
    at["train"] = at["train"][sample.some(len(at["train"]), few or len(at["train"]), seed)]
    if not all(len(at[split]) for split in ("train", data.held_out)):
        raise MissingError("too few images of half of the classes")
    pixels = {split: data.pixels[split][at[split]] for split in SPLITS}
    return ImageData(pixels, {split: data.labels[split][at[split]] for split in SPLITS}, data.classes)
