"""What a family with a latent shows of it: pictures that people look at, and a score of every real image.

The pictures are of held-out images: above, reconstructions below them; rows that go from one image to another of its
label; an image with one latent changed at a time, the most used first; and images made bolder and fainter along the
attribute vector of ink. Labels are never changed: the latent is all but the label.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from gendata.evaluate import copies
from gendata.models.family import Batch, LatentModel, item_seed
from gendata.models.picture import grid, to_bytes
from gendata.records.manifest import Manifest
from gendata.train.data import SPLITS, ImageData

_BATCH = 256
_ATTRIBUTE_ITEMS = 2000
"""Training images that the attribute vector is the mean of."""

_SHOWN, _ROWS, _STEPS = 20, 8, 9
_REACH = 3.0
"""How far a traversal goes from the prior's mean, in its deviations."""


class Scores(NamedTuple):
    """How strange every real image is to the model."""

    ids: pa.ChunkedArray
    values: NDArray[np.float32]
    """In the order of ``ids``; of the training images too."""
    median: float
    """Of held-out images."""
    wrong_label: float | None
    """Share of them that score higher with another label; null where there is one class alone."""


def report(model: LatentModel, manifest: Manifest, data: ImageData, out: Path) -> Scores:
    """Write the pictures into ``out``; the scores of all images of the manifest.

    Args:
        model: in evaluation mode, on the CPU.
        manifest: what the model was trained on.
        data: the manifest's images.
        out: an existing folder.
    """
    _pictures(model, data, out)
    found = {split: _scores(model, data, split) for split in SPLITS}
    ids = pa.chunked_array([c for split in SPLITS for c in manifest.split(split)["id"].chunks], pa.string())
    held_out = np.concatenate([found["valid"], found["test"]])
    wrong = np.concatenate([_scores(model, data, split, shift=1) for split in ("valid", "test")])
    share = float(np.mean(wrong > held_out)) if len(data.classes) > 1 else None
    return Scores(ids, np.concatenate([found[split] for split in SPLITS]), float(np.median(held_out)), share)


def _scores(model: LatentModel, data: ImageData, split: str, shift: int = 0) -> NDArray[np.float32]:
    """The score (n,) of each image of a split; with ``shift``, of the class so much further on."""
    parts = [np.empty(0, np.float32)]
    for start, batch in _batches(data, split):
        labels = (batch["labels"] + shift) % len(data.classes)
        seeds = [item_seed(0, start + i) for i in range(len(labels))]
        parts.append(model.score({**batch, "labels": labels}, seeds).numpy())
    return np.concatenate(parts)


def _pictures(model: LatentModel, data: ImageData, out: Path) -> None:
    shown = _some(data, data.held_out, _SHOWN)
    real, again = (to_bytes(images).transpose(0, 3, 1, 2) for images in (shown["pixels"], model.reconstruct(shown)))
    copies.neighbours_picture(real, again).save(out / "reconstructions.png")
    first, second = _pairs(shown)
    _write(out / "interpolations.png", model.interpolate(first, second, _STEPS))
    values = np.linspace(-_REACH, _REACH, _STEPS).tolist()
    _write(out / "traversals.png", model.traverse(shown, _ROWS, values))
    many = _some(data, "train", _ATTRIBUTE_ITEMS)
    ink = many["pixels"].mean((1, 2, 3))
    bold = ink > ink.median()
    if bool(bold.any()):  # of images of one shade none is bolder than another
        direction = model.attribute(many, bold)
        rows = {name: tensor[:_ROWS] for name, tensor in shown.items()}
        _write(out / "attribute-ink.png", model.move(rows, direction, np.linspace(-2, 2, _STEPS).tolist()))


def _pairs(batch: Batch) -> tuple[Batch, Batch]:
    """Images, and to each the next one of its label in the batch, around its end; so many as rows are shown."""
    labels = batch["labels"].tolist()
    others = []
    for i, label in enumerate(labels[:_ROWS]):
        after = [*range(i + 1, len(labels)), *range(i + 1)]
        others.append(next(j for j in after if labels[j] == label))
    return {k: v[: len(others)] for k, v in batch.items()}, {k: v[others] for k, v in batch.items()}


def _some(data: ImageData, split: str, n: int) -> Batch:
    """Images spread evenly over a split, at most ``n``."""
    at = np.unique(np.linspace(0, len(data.labels[split]) - 1, n).astype(np.int64))
    return _batch(data.pixels[split][at], data.labels[split][at])


def _batches(data: ImageData, split: str) -> Iterator[tuple[int, Batch]]:
    """All of a split: (first, batch), batch after batch."""
    for start in range(0, len(data.labels[split]), _BATCH):
        at = slice(start, start + _BATCH)
        yield start, _batch(data.pixels[split][at], data.labels[split][at])


def _batch(pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> Batch:
    images = torch.from_numpy(pixels.astype(np.float32)).div_(127.5).sub_(1)
    return {"pixels": images, "labels": torch.from_numpy(labels)}


def _write(path: Path, images: Tensor) -> None:
    """Images (rows, columns, C, H, W) as a grid."""
    path.write_bytes(grid(to_bytes(images.flatten(0, 1)), columns=images.shape[1]))
