"""Features of images, for measures that compare sets: a small classifier trained on the real training split.

The usual features come from Inception trained on ImageNet, which needs a download and says little about small
pictures of another kind; the penultimate layer of a classifier of the data at hand separates what its labels
separate (as Bińkowski et al. 2018, "Demystifying MMD GANs", have it for MNIST). The same network tells whether a
sample of a label looks like that label. Distances in its features compare only with distances in the features of
the same classifier, and samples with held-out images: those it was trained on it knows too well.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gendata.engine import Progress

FEATURES = 64
"""Length of the penultimate layer."""

_BATCH = 64
_EMBED_BATCH = 256
_POOLED = 4  # side of the last feature map, whatever the size of the images
_LR = 3e-3


class Classifier(nn.Module):
    """Three convolutions and two linear layers, for images of about 8 to 64 pixels a side.

    Args:
        channels: 1 (grey) or 3 (RGB).
        classes: How many labels there are; one is enough.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(channels, 16, stride=2),
            *_convolution(16, 32, stride=2),
            *_convolution(32, 64, stride=1),
            nn.AdaptiveAvgPool2d(_POOLED),
            nn.Flatten(),
        )
        # normalised, so that no feature dies: without, half of them are 0 for every digit
        self.penultimate = nn.Sequential(nn.Linear(64 * _POOLED**2, FEATURES), nn.BatchNorm1d(FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, FEATURES), 0 or more."""
        features: Tensor = self.penultimate(self.convolutions(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> logits (B, classes)."""
        logits: Tensor = self.head(self.features(images))
        return logits


def fit_classifier(
    pixels: NDArray[np.uint8], labels: NDArray[np.int64], classes: int, seed: int, steps: int = 300
) -> Classifier:
    """A classifier trained by Adam with a learning rate that falls to zero, in batches of 64, on the CPU.

    The same arguments give the same weights on one type of processor, however many cores it has; torch's global
    random state is neither used nor changed. One class teaches nothing: the features are then those of the random
    first weights, which still tell pictures apart (Naeem et al. 2020, "Reliable Fidelity and Diversity Metrics for
    Generative Models").

    Args:
        pixels: Images (n, C, H, W), in memory or mapped: only batches are read.
        labels: The class of each image (n,), from 0 to ``classes`` - 1.
        classes: How many classes there are.
        seed: Of weights and order.
        steps: Batches to train on.

    Raises:
        ValueError: there is no image.
    """
    if not len(pixels):
        raise ValueError("pixels: at least 1 image, not 0")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        classifier = Classifier(pixels.shape[1], classes)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=_LR)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps)
    order = _order(len(pixels), seed)
    with _one_thread(), Progress("classifier", steps, "steps") as progress:
        for _ in range(steps):
            batch = next(order)
            loss = functional.cross_entropy(classifier(_images(pixels[batch])), torch.from_numpy(labels[batch]))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress.add()
    return classifier


def embed(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The features (n, FEATURES) of images (n, C, H, W), 0 or more, in no unit; read batch by batch."""
    features = np.empty((len(pixels), FEATURES), np.float32)
    classifier.eval()
    with _one_thread(), torch.inference_mode():
        for at in _batches(len(pixels)):
            features[at] = classifier.features(_images(pixels[at])).numpy()
    return features


def predict(classifier: Classifier, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The likeliest class (n,) of images (n, C, H, W); read batch by batch."""
    labels = np.empty(len(pixels), np.int64)
    classifier.eval()
    with _one_thread(), torch.inference_mode():
        for at in _batches(len(pixels)):
            labels[at] = classifier(_images(pixels[at])).argmax(dim=1).numpy()
    return labels


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order, whatever the number of cores; so small a network is hardly faster on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _convolution(channels: int, filters: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, filters, 3, stride, padding=1), nn.BatchNorm2d(filters), nn.ReLU()


def _order(n: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Positions of full batches without end: every image once, then all in another order."""
    random = np.random.default_rng(seed)
    order = np.empty(0, np.int64)
    while True:
        while len(order) < _BATCH:
            order = np.concatenate([order, random.permutation(n)])
        yield np.sort(order[:_BATCH])  # sorted, so that a mapped file is read forwards
        order = order[_BATCH:]


def _batches(n: int) -> Iterator[slice]:
    return (slice(start, start + _EMBED_BATCH) for start in range(0, n, _EMBED_BATCH))


def _images(pixels: NDArray[np.uint8]) -> Tensor:
    """Bytes as float32 in [-1, 1]."""
    return torch.from_numpy(pixels.astype(np.float32)).div_(127.5).sub_(1)
