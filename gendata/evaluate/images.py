"""The report on an image family: fidelity, variety, labels, and what was copied from the training data."""

import csv
import hashlib
import inspect
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from gendata import files
from gendata.evaluate import EvaluateParams, ImageFigures, copies, features, fidelity
from gendata.models.checkpoint import load_weights, save_tensors
from gendata.records.manifest import Manifest
from gendata.train.data import ImageData, decode_image

Pixels = NDArray[np.uint8]

_CLASSIFIER_ITEMS = 20_000
"""Training images that the classifier learns from at most: it holds them in memory."""


def report(outputs: pa.Table, manifest: Manifest, data: ImageData, params: EvaluateParams, out: Path) -> ImageFigures:
    """Measure the outputs of a family and write neighbours.png and neighbours.csv into ``out``.

    Args:
        outputs: rows of OUTPUT_SCHEMA with id, label and data.
        manifest: what the family was trained on.
        data: the manifest's images, at the size of the family.
        params: of the stage.
        out: an existing folder.
    """
    train = data.pixels["train"]
    samples = np.stack([decode_image(r["id"], r["data"], train.shape[1:]) for r in outputs.to_pylist()])
    asked = np.array([data.classes.index(label) for label in outputs["label"].to_pylist()])
    held_out, labels = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    random = np.random.default_rng(params.seed)
    real = train[np.sort(random.choice(len(train), min(len(samples), len(train)), replace=False))]
    classifier = _classifier(manifest, data, params)
    made, floor, baseline = (
        _Fidelity.of(features.embed(classifier, held_out), features.embed(classifier, some), params.neighbours)
        for some in (samples, real, _gaussians(data, asked, random))
    )
    distance = copies.duplicate_threshold(held_out, train, params.duplicate_share)
    nearest, near = copies.nearest(samples, train)
    real_near = copies.nearest(held_out, train)[1]
    _write_neighbours(out / "neighbours.csv", outputs, manifest, nearest, near)
    closest = np.argsort(near, kind="stable")[: params.shown]
    picture = copies.neighbours_picture(samples[closest], train[nearest[closest]])
    picture.save(out / "neighbours.png")
    return ImageFigures(
        samples=len(samples),
        held_out=len(held_out),
        frechet=made.frechet,
        frechet_floor=floor.frechet,
        frechet_baseline=baseline.frechet,
        precision=made.precision,
        precision_floor=floor.precision,
        recall=made.recall,
        recall_floor=floor.recall,
        label_accuracy=float(np.mean(features.predict(classifier, samples) == asked)),
        label_accuracy_floor=float(np.mean(features.predict(classifier, held_out) == labels)),
        near_duplicates=_near_duplicates(samples, distance),
        near_duplicates_floor=_near_duplicates(real, distance),
        training_copies=float(np.mean(near <= distance)),
        training_copies_floor=float(np.mean(real_near <= distance)),
        duplicate_distance=distance,
        nearest_distance=float(np.median(near)),
        nearest_distance_floor=float(np.median(real_near)),
    )


class _Fidelity:
    """Fréchet distance, precision and recall; None where there are too few images for a measure."""

    def __init__(self, frechet: float | None, precision: float | None, recall: float | None) -> None:
        self.frechet, self.precision, self.recall = frechet, precision, recall

    @classmethod
    def of(cls, real: NDArray[np.float32], fake: NDArray[np.float32], k: int) -> "_Fidelity":
        fewest = min(len(real), len(fake))
        frechet = fidelity.frechet_distance(fake, real) if fewest > 1 else None
        return cls(frechet, *(fidelity.precision_recall(real, fake, k) if fewest > k else (None, None)))


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
    if path.is_file():
        load_weights(classifier, path)
        return classifier.eval()
    some = np.random.default_rng(params.seed).permutation(len(train))[:_CLASSIFIER_ITEMS]
    some.sort()
    fitted = features.fit_classifier(train[some], labels[some], len(data.classes), params.seed, params.classifier_steps)
    with files.output(path.parent) as work:
        save_tensors(work / path.name, fitted.state_dict())
    return fitted


def _gaussians(data: ImageData, labels: NDArray[np.int64], random: np.random.Generator) -> Pixels:
    """Images of these labels from a Gaussian per class and pixel: the simplest model that knows the label."""
    train, known = data.pixels["train"], data.labels["train"]
    made = np.empty((len(labels), *train.shape[1:]), np.uint8)
    for label in np.unique(labels):
        at = np.flatnonzero(known == label)[:_CLASSIFIER_ITEMS]
        some = train[at].astype(np.float32)
        wanted = np.flatnonzero(labels == label)
        drawn = random.normal(some.mean(axis=0), some.std(axis=0), (len(wanted), *train.shape[1:]))
        made[wanted] = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    return made


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
