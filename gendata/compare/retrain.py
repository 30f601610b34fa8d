"""The image families trained again from other seeds, by their own recipes, and the figures of what each draws.

What one checkpoint draws says little of its family; a handful of trainings have a spread. The judge is a classifier of
the real training split, the same for all, as in stage evaluate.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.compare import sample, trial
from gendata.compare.evidence import Evidence, MissingError
from gendata.evaluate import copies, features, fidelity, sharpness
from gendata.models.family import ImageRequest, item_seed
from gendata.models.picture import to_bytes
from gendata.train.data import ImageData

_BLOCK = 100
"""Images that are drawn at once."""
_NEIGHBOURS = 3

Figures = dict[str, float]


class Judge:
    """Of images (n, C, H, W), against held-out real ones."""

    def __init__(self, data: ImageData, images: int) -> None:
        self._held_out = np.concatenate([data.pixels[split] for split in ("valid", "test")])
        if min(len(self._held_out), images) <= _NEIGHBOURS:
            raise MissingError("too few held-out images or samples to have neighbours")
        train, labels = data.pixels["train"], data.labels["train"]
        self._classifier = features.fit_classifier(train, labels, len(data.classes), 0)
        self._real = features.embed(self._classifier, self._held_out)
        self._distance = copies.duplicate_threshold(self._held_out, train)
        self._classes = len(data.classes)
        own = train[sample.some(len(train), images)]
        self.near_duplicates = copies.near_duplicate_rate(own, self._distance)
        """Of as many real images."""

    def figures(self, images: NDArray[np.uint8], asked: NDArray[np.int64]) -> Figures:
        """Of images that were meant to be of these classes; ``blur``: how far the logarithm of sharpness is off."""
        read = features.predict(self._classifier, images)
        near = fidelity.neighbourhoods(self._real, features.embed(self._classifier, images), _NEIGHBOURS)
        off = abs(np.log(max(sharpness.detail(images), 1e-12) / max(sharpness.detail(self._held_out), 1e-12)))
        return {
            "blur": float(off),
            "precision": near.precision,
            "recall": near.recall,
            "coverage": near.coverage,
            "near_duplicates": copies.near_duplicate_rate(images, self._distance),
            "missing": float(self._classes - len(np.unique(read[read == asked]))),
        }


def figures(name: str, trainings: int, images: int, evidence: Evidence, judge: Judge) -> dict[str, Sequence[float]]:
    """By name of the figure, one for each training of a family, from seeds 0, 1, and so on."""
    config, data = evidence.checkpoint(name).config(), evidence.images(name)
    found = []
    for seed in range(trainings):
        own = replace(config, seed=seed, device="cpu", precision="float32", compile=False)
        model = trial.make(name, own, data)
        trial.train(model, own, data)
        found.append(judge.figures(*_drawn(model, images, len(data.classes), seed)))
    return {key: [row[key] for row in found] for key in found[0]}


def _drawn(model: Any, n: int, classes: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, C, H, W) of the classes in turn, and those."""
    labels = torch.arange(n) % classes
    made = []
    for start in range(0, n, _BLOCK):
        part = labels[start : start + _BLOCK]
        seeds = [item_seed(seed, start + i) for i in range(len(part))]
        made.append(to_bytes(model.sample(seeds, part, ImageRequest())))
    return np.concatenate(made).transpose(0, 3, 1, 2), labels.numpy()
