"""What our image families learn in some minutes on one core, beside the DCGAN and the VAE of pytorch/examples.

``python -m benchmarks.train_images [--minutes 10] [--mnist DIR]``. Each of the four is trained on the 60,000 digits
of MNIST (ours on all but 2,000, with which they are validated) for so many minutes of processor time on one thread,
in one process, one after the other; a peer gets the seconds that ours of its kind took. ``benchmarks.image_peers`` has
the peers, written anew.

All are measured by 3,000 samples, ours of the labels of the 3,000 held-out digits, against those digits: Fréchet and
kernel distance, precision, recall, density and coverage in the features of a classifier that was trained on the
60,000; label accuracy and classes covered by another one, of other weights and order. ``real`` is 3,000 digits of
the training set, ``pca`` a Gaussian along 50 principal components per class. Peers have no label to be accurate in.
"""

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import image_peers
from gendata.evaluate import baselines, features, fidelity
from gendata.models import gan, vae
from gendata.models.family import DataSpec, ImageRequest, Recipe, item_seed
from gendata.models.picture import grid, to_bytes
from gendata.train.data import ImageData
from gendata.train.loop import fit
from gendata.train.machine import CPU

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

DIGITS = tuple("0123456789")
VALID = 2_000
CLASSIFIER_STEPS = 1_000
CALIBRATION = (5, 20)
"""Steps of two short trainings; the difference is what a step takes."""


def recipe(name: str, steps: int, seed: int) -> tuple[Any, Recipe]:
    """A family and its Config: the defaults are for 400 steps, more take a lower rate and a longer average."""
    own: dict[str, Any] = {"steps": steps, "every": steps, "warmup": min(50, steps // 4), "seed": seed}
    if name == "gan":
        return gan, gan.Config(lr=3e-3, final=0.05, ema=max(0.0, 1 - 8 / steps), **own)
    return vae, vae.Config(lr=2e-3, final=0.02, **own)


def read(folder: Path, name: str) -> tuple[Pixels, Labels]:
    """Images (n, 1, 28, 28) and labels (n,) of a pair of IDX files."""
    images = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy()  # writable, as torch wants it
    return pixels, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


class _Quiet:
    """A Watch that looks away."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def validated(self, step: int) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


def train(name: str, data: ImageData, seconds: float, seed: int) -> tuple[Any, int, float]:
    """A trained model of ours, its steps, and the seconds of processor time that all of it took."""
    begin = time.process_time()

    def fitted(steps: int) -> tuple[Any, float]:
        family, config = recipe(name, steps, seed)
        torch.manual_seed(seed)
        model = family.Model(config, DataSpec(DIGITS))
        start = time.process_time()
        with tempfile.TemporaryDirectory(prefix="gendata-bench-") as work:
            fit(name, model, config, data, Path(work), _Quiet(), CPU)
        return model.eval(), time.process_time() - start

    few, more = (fitted(steps)[1] for steps in CALIBRATION)
    step = (more - few) / (CALIBRATION[1] - CALIBRATION[0])
    fixed = max(0.0, few - CALIBRATION[0] * step)
    steps = max(20, int((seconds - (time.process_time() - begin) - fixed) / step))
    return fitted(steps)[0], steps, time.process_time() - begin


class Judge:
    """Measures samples against held-out digits."""

    def __init__(self, train: tuple[Pixels, Labels], held_out: tuple[Pixels, Labels], seed: int) -> None:
        self.held_out, self.labels = held_out
        self.space, self.reader = (
            features.fit_classifier(*train, len(DIGITS), seed + i, CLASSIFIER_STEPS) for i in (1, 2)
        )
        self.real = features.embed(self.space, self.held_out)
        right = features.predict(self.reader, self.held_out) == self.labels
        print(f"the classifier that reads labels is right on {100 * right.mean():.2f} % of the held-out digits")

    def measure(self, name: str, samples: Pixels, labels: Labels | None, note: str = "") -> float:
        """Print a line of figures; the Fréchet distance."""
        made = features.embed(self.space, samples)
        frechet = fidelity.frechet_distance(self.real, made)
        kid, spread = fidelity.kernel_distance(self.real, made, seed=0)
        near = fidelity.neighbourhoods(self.real, made, k=5)
        read = features.predict(self.reader, samples)
        accuracy = "" if labels is None else f"{100 * np.mean(read == labels):.2f}"
        print(
            f"{name:<14}{accuracy:>9}{len(np.unique(read)):>9}{frechet:>10.3f}{1000 * kid:>9.3f} ±{1000 * spread:<7.3f}"
            f"{near.precision:>6.3f}{near.recall:>8.3f}{near.density:>9.3f}{near.coverage:>10.3f}  {note}",
            flush=True,
        )
        return frechet


HEAD = f"{'':<14}{'label %':>9}{'classes':>9}{'Fréchet':>10}{'KID/1000':>9}{'':9}precision recall density  coverage"


def sample_ours(model: Any, labels: Labels, seed: int) -> Pixels:
    """Images of these labels."""
    wanted = torch.from_numpy(labels)
    parts = [
        to_bytes(model.sample([item_seed(seed, i + j) for j in range(len(part))], part, ImageRequest()))
        for i, part in zip(range(0, len(labels), 500), torch.split(wanted, 500), strict=True)
    ]
    return np.concatenate(parts).transpose(0, 3, 1, 2)


@torch.no_grad()
def sample_peer(sampler: Callable[[int], torch.Tensor], n: int) -> Pixels:
    """So many images."""
    return to_bytes(sampler(n)).transpose(0, 3, 1, 2)


def main() -> None:
    """Train and measure all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=10.0)
    root = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data"))
    parser.add_argument("--mnist", type=Path, default=root / "img_mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of samples of each")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train_set, held_out = read(args.mnist, "train"), read(args.mnist, "test3k")
    pixels = {"train": train_set[0][:-VALID], "valid": train_set[0][-VALID:], "test": held_out[0]}
    labels = {"train": train_set[1][:-VALID], "valid": train_set[1][-VALID:], "test": held_out[1]}
    data = ImageData(pixels, labels, DIGITS)
    print(f"torch {torch.__version__}, one thread, {args.minutes:g} minutes of processor time each, seed {args.seed}")
    judge, random = Judge(train_set, held_out, args.seed), np.random.default_rng(args.seed)
    print(HEAD)
    wanted = held_out[1]
    real = random.choice(len(train_set[0]), len(wanted), replace=False)
    judge.measure("real", train_set[0][real], train_set[1][real])
    pca = judge.measure("pca", baselines.pca_gaussians(*train_set, wanted, random), wanted)
    as_tensor = torch.from_numpy(train_set[0]).float().div_(127.5).sub_(1)
    for name, peer in (("gan", image_peers.dcgan), ("vae", image_peers.vae)):
        model, steps, seconds = train(name, data, 60 * args.minutes, args.seed)
        ours = sample_ours(model, wanted, args.seed)
        found = judge.measure(f"ours {name}", ours, wanted, f"{steps} steps, {seconds:.0f} s")
        sampler, steps = peer(as_tensor, seconds, args.seed)
        theirs = sample_peer(sampler, len(wanted))
        other = judge.measure(f"example {name}", theirs, None, f"{steps} steps, {seconds:.0f} s")
        print(f"  Fréchet of ours: 1/{pca / found:.1f} of pca, 1/{other / found:.2f} of the example's")
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
            for who, made in (("ours", ours), ("example", theirs)):
                (args.pictures / f"{name}-{who}.png").write_bytes(grid(made[:100].transpose(0, 2, 3, 1)))


if __name__ == "__main__":
    main()
