"""G6: a VAE that never saw one class: do images of that class score as stranger than held-out ones of the others?

The model is the project's own without labels, trained shortly, a class left out per seed. Beside it stands the distance
of an image from the principal components of the same training images, which needs no model.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.compare import StepsParams, sample, stats, trial
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Effect, Finding
from gendata.models.family import item_seed
from gendata.train.data import SPLITS, ImageData

READS = ("vae",)
_COMPONENTS = 20
_FITTED = 2000
"""Training images that the principal components are of."""


def run(params: StepsParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of G6, of one class left out."""
    (seed,) = seeds
    data = evidence.classes("vae")
    if seed >= len(data.classes):
        raise MissingError("every class was left out once")
    config = evidence.checkpoint("vae").config()
    vae, plain = _left_out(trial.short(config, seed, params.steps, params.batch), data)
    sides = {"vae": vae, "principal components": plain}
    what = "area under the ROC curve for images of a class that was left out"
    limit = trial.hasty(params.steps, config)
    chance = Effect(f"{what}; effect: above chance", sides, stats.exact(vae - 0.5).limited(limit), "one class")
    better = stats.exact(vae - plain).limited(limit)
    beside = Effect(f"{what}; effect: above that of principal components", sides, better, "one class")
    return {"G6": Finding((chance, beside), f"negative ELBO after {params.steps} steps, no labels")}


def _left_out(config: Any, data: ImageData) -> tuple[float, float]:
    """Areas of the VAE's score and of the distance from principal components."""
    seed, left = config.seed, config.seed
    kept = _without(data, left)
    model = trial.make("vae", config, kept)
    trial.train(model, config, kept)
    images, labels = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    pixels = torch.from_numpy(images.astype(np.float32)) / 127.5 - 1
    batch = {"pixels": pixels, "labels": torch.zeros(len(images), dtype=torch.int64)}
    score = model.score(batch, [item_seed(seed, i) for i in range(len(images))]).numpy()
    strange = labels == left
    train = kept.pixels["train"]
    plain = _far_from_components(train[sample.some(len(train), _FITTED, seed)], images)
    return area(score[strange], score[~strange]), area(plain[strange], plain[~strange])


def _without(data: ImageData, left: int) -> ImageData:
    """The images of all classes but one, as of one class."""
    at = {split: np.flatnonzero(data.labels[split] != left) for split in SPLITS}
    pixels = {split: data.pixels[split][at[split]] for split in SPLITS}
    return ImageData(pixels, {split: np.zeros(len(at[split]), np.int64) for split in SPLITS}, ("",))


def _far_from_components(train: NDArray[np.uint8], images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Squared distance of each image from the plane of the principal components."""
    flat, other = (x.reshape(len(x), -1).astype(np.float64) / 255 for x in (train, images))
    centre = flat.mean(0)
    _, vectors = np.linalg.eigh(np.cov((flat - centre).T))
    basis = vectors[:, -_COMPONENTS:]
    rest = other - centre
    far: NDArray[np.float64] = np.square(rest - rest @ basis @ basis.T).sum(1)
    return far


def area(strange: NDArray[np.floating], usual: NDArray[np.floating]) -> float:
    """The chance that a strange one scores above a usual one, ties by half: the area under the ROC curve.

    Raises MissingError where a side is empty.
    """
    if not len(strange) or not len(usual):
        raise MissingError("no held-out image of the class that was left out")
    above = (strange[:, None] > usual[None]).mean()
    return float(above + 0.5 * (strange[:, None] == usual[None]).mean())
