"""The report on an image family: fidelity, variety, labels, and what was copied from the training data."""

import csv
import hashlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gendata import files
from gendata.evaluate import (
    EvaluateParams,
    ImageFigures,
    baselines,
    copies,
    features,
    fidelity,
    inception,
    sharpness,
)
from gendata.models.checkpoint import load_weights, save_tensors
from gendata.records.manifest import Manifest
from gendata.train.data import ImageData
from gendata.train.decode import decode_image

Pixels = NDArray[np.uint8]

_CLASSIFIER_ITEMS = 20_000
"""Training images that the classifier learns from at most: it holds them in memory."""

_KID_ROWS = 4

_NEIGHBOURHOODS = fidelity.Neighbourhoods._fields
_WITH_FLOOR = ("frechet", "kid", *_NEIGHBOURHOODS, "sharpness")
_WITH_PCA = (*_WITH_FLOOR, "label_accuracy")


def report(outputs: pa.Table, manifest: Manifest, data: ImageData, params: EvaluateParams, out: Path) -> ImageFigures:
    """Measure the outputs of a family and write neighbours.png and neighbours.csv into ``out``.

    Args:
        outputs: rows of OUTPUT_SCHEMA with id, label and data.
        manifest: what the family was trained on.
        data: the manifest's images, at the size of the family.
        params: of the stage.
        out: an existing folder.

    Raises:
        ParamsError: Inception is asked for and not at hand.
    """
    if params.inception:
        inception.check(params.inception)
    train = data.pixels["train"]
    samples = np.stack([decode_image(r["id"], r["data"], train.shape[1:]) for r in outputs.to_pylist()])
    asked = np.array([data.classes.index(label) for label in outputs["label"].to_pylist()])
    held_out, labels = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    random = np.random.default_rng(params.seed)
    at = np.sort(random.choice(len(train), min(len(samples), len(train)), replace=False))
    real, real_labels = train[at], data.labels["train"][at]
    gaussian, pca = (
        sampler(train, data.labels["train"], asked, random)
        for sampler in (baselines.gaussians, baselines.pca_gaussians)
    )
    distance = copies.duplicate_threshold(held_out, train, params.duplicate_share)
    nearest, near = copies.nearest(samples, train)
    _write_neighbours(out / "neighbours.csv", outputs, manifest, nearest, near)
    closest = np.argsort(near, kind="stable")[: params.shown]
    copies.neighbours_picture(samples[closest], train[nearest[closest]]).save(out / "neighbours.png")
    judge = _Judge(_classifier(manifest, data, params), held_out, labels, params)
    figures = (
        judge.measure(samples, asked)
        | _named(judge.measure(real, real_labels), "floor", _WITH_FLOOR)
        | _named(judge.measure(gaussian, asked), "baseline", ("frechet", "kid"))
        | _named(judge.measure(pca, asked), "pca", _WITH_PCA)
        | _copied(samples, real, held_out, train, distance)
        | {"training_copies": float(np.mean(near <= distance)), "nearest_distance": float(np.median(near))}
    )
    if params.inception:
        compared, *others = inception.embed(params.inception, held_out, samples, real)
        names = ("frechet_inception", "frechet_inception_floor")
        figures |= {name: _frechet(compared, other) for name, other in zip(names, others, strict=True)}
    return ImageFigures(samples=len(samples), held_out=len(held_out), classes=len(data.classes), **figures)


class _Judge:
    """Measures sets of images against held-out real ones; null where there are too few for a measure."""

    def __init__(
        self, classifier: features.Classifier, held_out: Pixels, labels: NDArray[np.int64], params: EvaluateParams
    ) -> None:
        self._classifier, self._params = classifier, params
        self._real, self._detail = features.embed(classifier, held_out), sharpness.detail(held_out)
        self._right = float(np.mean(features.predict(classifier, held_out) == labels))

    def measure(self, images: Pixels, labels: NDArray[np.int64]) -> dict[str, Any]:
        """Figures by name of images that were meant to be of these labels."""
        made, k = features.embed(self._classifier, images), self._params.neighbours
        read = features.predict(self._classifier, images)
        fewest = min(len(self._real), len(made))
        kid, kid_std = None, None
        if fewest >= _KID_ROWS:
            kid, kid_std = fidelity.kernel_distance(self._real, made, seed=self._params.seed)
        near = fidelity.neighbourhoods(self._real, made, k)._asdict() if fewest > k else dict.fromkeys(_NEIGHBOURHOODS)
        return near | {
            "frechet": _frechet(self._real, made),
            "kid": kid,
            "kid_std": kid_std,
            "label_accuracy": float(np.mean(read == labels)),
            "label_accuracy_floor": self._right,
            "classes_covered": len(np.unique(read[read == labels])),
            "sharpness": sharpness.detail(images) / self._detail if self._detail else None,
        }


def _named(figures: dict[str, Any], suffix: str, names: Sequence[str]) -> dict[str, Any]:
    return {f"{name}_{suffix}": figures[name] for name in names}


def _frechet(real: NDArray[np.float32], fake: NDArray[np.float32]) -> float | None:
    return fidelity.frechet_distance(fake, real) if min(len(real), len(fake)) > 1 else None


def _copied(samples: Pixels, real: Pixels, held_out: Pixels, train: Pixels, distance: float) -> dict[str, Any]:
    """Figures of what is alike among the samples; as much of the real training images beside."""
    real_near = copies.nearest(held_out, train)[1]
    return {
        "near_duplicates": _near_duplicates(samples, distance),
        "near_duplicates_floor": _near_duplicates(real, distance),
        "support": copies.birthday_support(samples, distance) if len(samples) > 1 else None,
        "support_floor": copies.birthday_support(real, distance) if len(real) > 1 else None,
        "training_copies_floor": float(np.mean(real_near <= distance)),
        "duplicate_distance": distance,
        "nearest_distance_floor": float(np.median(real_near)),
    }


def _near_duplicates(images: Pixels, distance: float) -> float | None:
    return copies.near_duplicate_rate(images, distance) if len(images) > 1 else None


def _classifier(manifest: Manifest, data: ImageData, params: EvaluateParams) -> features.Classifier:
    """The classifier of the real training split; families on the same manifest and size share it by the cache."""
    train, labels = data.pixels["train"], data.labels["train"]
    parts = [
        manifest.id,
        train.shape,
        params.classifier_steps,
        params.seed,
        inspect.getsource(features),
        torch.__version__,
    ]
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
    path = files.WORK / "cache" / "classifier" / key / "weights.safetensors"
    classifier = features.Classifier(train.shape[1], len(data.classes))

    def fit(work: Path) -> None:
        some = np.random.default_rng(params.seed).permutation(len(train))[:_CLASSIFIER_ITEMS]
        some.sort()
        chosen = train[some], labels[some]
        fitted = features.fit_classifier(*chosen, len(data.classes), params.seed, params.classifier_steps)
        save_tensors(work / path.name, fitted.state_dict())

    files.fill(path.parent, lambda folder: (folder / path.name).is_file(), fit)
    load_weights(classifier, path)
    return classifier.eval()


def _write_neighbours(
    path: Path, outputs: pa.Table, manifest: Manifest, nearest: NDArray[np.int64], near: NDArray[np.float64]
) -> None:
    """The nearest training image of every sample, nearest first."""
    trained_on = manifest.split("train")["id"].to_pylist()
    rows = sorted(zip(near.tolist(), outputs["id"].to_pylist(), (trained_on[i] for i in nearest), strict=True))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["output_id", "training_id", "distance"])
        writer.writerows((output, training, f"{distance:.6f}") for distance, output, training in rows)
