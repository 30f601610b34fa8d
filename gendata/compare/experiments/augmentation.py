"""G8: a classifier of few real images, with and without generated ones beside.

An exception to the guard, in memory: generated images train a classifier that is thrown away. The GAN is trained on the
same few images: one that had seen more would bring in what the classifier is not given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.compare import AugmentationParams, sample, stats, trial
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding
from gendata.evaluate.features import fit_classifier, predict
from gendata.models.family import item_seed
from gendata.models.picture import to_bytes
from gendata.models.request import ImageRequest
from gendata.train.data import ImageData

READS = ("gan",)
_GENERATED = 300
_TAUGHT = 2
"""Times chance that the accuracy of a classifier is at least which has learned something."""


def run(params: AugmentationParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of G8, of one seed."""
    (seed,) = seeds
    data = evidence.classes("gan")
    train, labels = data.pixels["train"], data.labels["train"]
    held_out, wanted = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    config = evidence.checkpoint("gan").config()
    few = sample.some(len(train), params.real, seed)
    own = trial.short(config, seed, params.steps, params.batch)
    made, asked = _generated(own, ImageData({"train": train[few]}, {"train": labels[few]}, data.classes))

    def accuracy(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> float:
        fitted = fit_classifier(images, classes, len(data.classes), seed, params.steps)
        return float(np.mean(predict(fitted, held_out) == wanted))

    without = accuracy(train[few], labels[few])
    beside = accuracy(np.concatenate([train[few], made]), np.concatenate([labels[few], asked]))
    gain = stats.exact(beside - without).limited(trial.hasty(params.steps, config))
    if max(without, beside) < _TAUGHT / len(data.classes):
        gain = gain.limited("no classifier is far above chance")
    sides = {"real alone": without, "with generated": beside}
    what = f"accuracy on held-out images of a classifier of {params.real} real ones, {_GENERATED} generated"
    note = "an exception to the guard: generated images trained this classifier; their GAN saw the few real ones alone"
    return {"G8": Finding((Effect(what, sides, gain, "one seed"),), note)}


def _generated(config: Any, data: ImageData) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, C, H, W) of a GAN that is trained on these, and their labels: the classes in turn."""
    model = trial.make("gan", config, data)
    trial.train(model, config, data)
    labels = torch.arange(_GENERATED) % len(data.classes)
    seeds = [item_seed(config.seed, i) for i in range(_GENERATED)]
    return to_bytes(model.sample(seeds, labels, ImageRequest())).transpose(0, 3, 1, 2), labels.numpy()
