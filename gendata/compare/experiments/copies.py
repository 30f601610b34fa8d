"""D1: the same number of steps on training images without copies, and with a tenth of them ten times.

The data of a project are deduplicated already, so copies are put in here, of one class first, as crawls repeat some
things more than others. What is compared is the held-out negative ELBO of a VAE, and the share of the largest class.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gendata.compare import StepsParams, stats, trial
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding
from gendata.train.data import ImageData

READS = ("vae",)
_SHARE, _TIMES = 0.1, 10


def run(params: StepsParams, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """The finding of D1."""
    data = evidence.images("vae")
    made: Any = evidence.checkpoint("vae").config()
    plain, copied = list[float](), list[float]()
    for seed in range(seeds):
        config = trial.short(made, seed, params.steps, params.batch)
        both = ((data, plain), (with_copies(data, seed), copied))
        for images, found in both:
            model = trial.make("vae", config, images)
            trial.train(model, config, images)
            found.append(trial.held_out_loss(model, config, images))
    low, high = stats.mean_interval([b - a for a, b in zip(plain, copied, strict=True)])
    sides = {"without copies": float(np.mean(plain)), "with copies": float(np.mean(copied))}
    what = f"held-out nats per image after {params.steps} steps"
    loss = Effect(what, sides, low, high, f"Student's t over {seeds} paired seeds")
    shares = {name: largest_share(d) for name, d in (("without copies", data), ("with copies", with_copies(data, 0)))}
    gap = shares["with copies"] - shares["without copies"]
    bias = Effect("share of the largest class in the training images", shares, gap, gap, "exact count")
    note = f"{_SHARE:.0%} of the images {_TIMES} times, those of the first class first; the imbalance follows from that"
    return {"D1": Finding((loss, bias), note)}


def with_copies(data: ImageData, seed: int) -> ImageData:
    """The training images with a tenth of them ten times, those of the first class before others."""
    labels = data.labels["train"]
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order] != 0, kind="stable")]
    chosen = order[: max(1, int(len(labels) * _SHARE))]
    at: NDArray[np.int64] = np.sort(np.concatenate([np.arange(len(labels)), np.repeat(chosen, _TIMES - 1)]))
    pixels = {**data.pixels, "train": data.pixels["train"][at]}
    return ImageData(pixels, {**data.labels, "train": labels[at]}, data.classes)


def largest_share(data: ImageData) -> float:
    """Of the class with most training images, 0 to 1."""
    counted = np.bincount(data.labels["train"], minlength=len(data.classes))
    return float(counted.max() / counted.sum())
