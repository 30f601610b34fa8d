"""N2: a VAE trained on half of the classes goes on with few images of the others, against one that starts afresh.

Both take the same steps on the same images with the same learning rates; what is compared is the held-out negative ELBO
of the new classes.
"""

from collections.abc import Sequence
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


def run(params: StepsParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of N2, of one seed."""
    (seed,) = seeds
    data = evidence.classes("vae")
    made = evidence.checkpoint("vae").config()
    tuned, fresh = _both(trial.short(made, seed, params.steps, params.batch), data)
    sides = {"tuned": tuned[-1][1], "fresh": fresh[-1][1]}
    gain = stats.exact(sides["fresh"] - sides["tuned"]).limited(trial.hasty(params.steps, made))
    what = f"held-out nats per image of new classes after {params.steps} steps on {_FEW} images"
    plot = Plot("held-out loss", "step", "nats per image", {"tuned": tuned, "fresh": fresh})
    note = f"trained before on the other classes, {2 * params.steps} steps"
    return {"N2": Finding((Effect(what, sides, gain, "one seed"),), note, plot)}


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
