"""D1: the same number of steps on training images without copies, and with a tenth of them ten times.

The data of a project are deduplicated already, so copies are put in here, of one class first, as crawls repeat some
things more than others. What is compared is the held-out negative ELBO of a VAE, the share of the largest class, and
what is memorised, as the counterfactual has it (Feldman & Zhang 2020, arXiv 2008.03703): of which share of the copied
images the loss is lower with the copies than without, less that share of held-out images of the same class.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.compare import StepsParams, sample, stats, trial
from gendata.compare.evidence import Evidence
from gendata.compare.finding import COUNTED, Effect, Finding
from gendata.models.family import item_seed
from gendata.train.data import ImageData

READS = ("vae",)
_SHARE, _TIMES = 0.1, 10
_ASKED = 200
"""Images whose loss is asked for."""


def run(params: StepsParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of D1, of one seed."""
    (seed,) = seeds
    data = evidence.images("vae")
    made: Any = evidence.checkpoint("vae").config()
    config, copied = trial.short(made, seed, params.steps, params.batch), with_copies(data, seed)
    models, losses = list[Any](), list[float]()
    for images in (data, copied):
        models.append(trial.make("vae", config, images))
        trial.train(models[-1], config, images)
        losses.append(trial.held_out_loss(models[-1], config, images))
    limit = trial.hasty(params.steps, made)
    sides = {"without copies": losses[0], "with copies": losses[1]}
    worse = stats.exact(losses[1] - losses[0]).limited(limit)
    loss = Effect(f"held-out nats per image after {params.steps} steps", sides, worse, "one seed")
    learned = cheaper(models, data, "train", repeated(data, seed))
    other = cheaper(models, data, data.held_out, np.flatnonzero(data.labels[data.held_out] == 0))
    sides = {"copied images": learned, "held-out images": other}
    more = stats.exact(learned - other).limited(limit)
    memorised = Effect("share of images of the first class whose loss the copies lower", sides, more, "one seed")
    shares = {"without copies": largest_share(data), "with copies": largest_share(copied)}
    gap = stats.exact(shares["with copies"] - shares["without copies"])
    bias = Effect("share of the largest class in the training images", shares, gap, COUNTED)
    note = f"{_SHARE:.0%} of the images {_TIMES} times, those of the first class first; the imbalance follows from that"
    return {"D1": Finding((loss, memorised, bias), note)}


def cheaper(models: Sequence[Any], data: ImageData, split: str, at: NDArray[np.int64]) -> float:
    """The share of images of a split that the second model has a lower loss of; a half of none."""
    at = at[data.labels[split][at] == 0][:_ASKED]
    if not len(at):
        return 0.5
    batch = {
        "pixels": torch.from_numpy(data.pixels[split][at].astype(np.float32)) / 127.5 - 1,
        "labels": torch.from_numpy(data.labels[split][at]),
    }
    first, second = (model.score(batch, [item_seed(0, i) for i in range(len(at))]) for model in models)
    return float((second < first).float().mean())


def repeated(data: ImageData, seed: int) -> NDArray[np.int64]:
    """A tenth of the training images, in a random order, those of the first class before others."""
    labels = data.labels["train"]
    order = sample.some(len(labels), len(labels), seed)
    order = order[np.argsort(labels[order] != 0, kind="stable")]
    return order[: max(1, int(len(labels) * _SHARE))]


def with_copies(data: ImageData, seed: int) -> ImageData:
    """The training images with the repeated ones ten times."""
    labels = data.labels["train"]
    again = np.repeat(repeated(data, seed), _TIMES - 1)
    at: NDArray[np.int64] = np.sort(np.concatenate([np.arange(len(labels)), again]))
    pixels = {**data.pixels, "train": data.pixels["train"][at]}
    return ImageData(pixels, {**data.labels, "train": labels[at]}, data.classes)


def largest_share(data: ImageData) -> float:
    """Of the class with most training images, 0 to 1."""
    counted = np.bincount(data.labels["train"], minlength=len(data.classes))
    return float(counted.max() / counted.sum())
