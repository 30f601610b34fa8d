"""G3, G9: what the latents of VAE and GAN can be used for, and the shape that the VAE's has; one training of each.

An attribute vector (White 2016, arXiv 1609.04468) is the difference of mean latents of bold and of faint images; it
works on an image if the ink grows with every step along it. Both decoders get draws of their prior, so that neither
profits from an encoder; only a VAE has one, and can reconstruct what it is given.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gendata.compare import stats
from gendata.compare.direction import MOVED, moved
from gendata.compare.evidence import Evidence, MissingError, findings
from gendata.compare.finding import Effect, Finding, Plot

READS = ("gan", "vae")
_WAYS, _STEPS = 200, 9
"""Pairs of latents that are gone between, in how many pictures."""


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of G3 and G9."""
    return findings({"G3": lambda: _control(evidence), "G9": lambda: _shaped(evidence)})


@torch.no_grad()
def _control(evidence: Evidence) -> Finding:
    gan, vae = (evidence.checkpoint(name) for name in READS)
    model: Any = gan.model()
    classes = len(gan.data.classes)
    works = {"gan": moved(model.average, model.config.latent, classes)}
    even = {"gan": evenness(model.average, model.config.latent, classes)}
    model = vae.model()
    classes = len(vae.data.classes)
    works["vae"] = moved(model.decode, model.config.latent, classes)
    even["vae"] = evenness(model.decode, model.config.latent, classes)
    n = MOVED
    better = stats.shares(works["vae"], n, works["gan"], n)
    what = "share of images whose ink grows with every step along the attribute vector"
    attribute = Effect(what, works, better, f"Agresti-Caffo interval over {n} each")
    smoother = stats.bootstrap(lambda a, b: float(a.mean() - b.mean()), even["gan"], even["vae"])
    what = f"largest of {_STEPS - 1} equal steps between two images, over their mean; effect: the GAN's less the VAE's"
    smooth = Effect(what, {k: float(v.mean()) for k, v in even.items()}, smoother, f"bootstrap over {_WAYS} pairs each")
    images, labels = _held_out(evidence)
    error = (model.reconstruct({"pixels": images, "labels": labels}) - images).square().flatten(1).mean(1).numpy()
    means = torch.stack([images[labels == label].mean(0) for label in range(classes)])
    plain = (means.nan_to_num()[labels] - images).square().flatten(1).mean(1).numpy()
    nearer = stats.bootstrap(lambda rows: float(rows.mean()), plain - error)
    sides = {"vae": float(error.mean()), "mean image of the class": float(plain.mean())}
    what = "mean squared error of reconstructed held-out images, of values in [-1, 1]"
    given = Effect(what, sides, nearer, f"bootstrap over {len(error)} images, paired")
    note = "this GAN has no encoder, so it cannot reconstruct an image that it is given"
    return Finding((attribute, smooth, given), note)


@torch.no_grad()
def evenness(decode: Any, latent: int, classes: int) -> NDArray[np.float64]:
    """Of interpolations along great circles between draws of the prior: the largest step over the mean one, 1 at least.

    Args:
        decode: latents (B, latent) and labels (B,) to images (B, C, H, W).
        latent: their length.
        classes: how many labels there are.
    """
    first, last = torch.randn(2, _WAYS, 1, latent, generator=torch.Generator().manual_seed(1))
    angle = torch.linspace(0, torch.pi / 2, _STEPS).view(1, -1, 1)  # draws in many dimensions are about orthogonal
    z = angle.cos() * first + angle.sin() * last
    labels = (torch.arange(_WAYS) % classes).repeat_interleave(_STEPS)
    images = decode(z.flatten(0, 1), labels).view(_WAYS, _STEPS, -1)
    steps = images.diff(dim=1).norm(dim=2).double()
    even: NDArray[np.float64] = (steps.amax(1) / steps.mean(1).clamp(min=1e-12)).numpy()
    return even


def _held_out(evidence: Evidence) -> tuple[Tensor, Tensor]:
    data = evidence.images("vae")
    pixels, labels = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1, torch.from_numpy(labels)


@torch.no_grad()
def _shaped(evidence: Evidence) -> Finding:
    """Both curves fall together, and the latents of all images together are as the prior, though no single one is."""
    history = [row for row in evidence.history("vae") if "valid_reconstruction" in row]
    if len(history) < 2:
        raise MissingError(
            f"vae was validated {len(history)} times: a curve takes two; `every` of its section says when"
        )
    model: Any = evidence.checkpoint("vae").model()
    images, labels = _held_out(evidence)
    mu, logvar = model.encode(images, labels)
    single = (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).sum(1).numpy()

    def gap(mean: np.ndarray, variance: np.ndarray) -> float:
        """Of a Gaussian with the moments of the aggregate posterior from the prior, in nats."""
        centre, spread = mean.mean(0), variance.mean(0) + mean.var(0)
        return float(0.5 * (centre**2 + spread - 1 - np.log(spread)).sum())

    rows = np.concatenate([mu.numpy(), logvar.exp().numpy()], 1)
    half = mu.shape[1]
    own = stats.bootstrap(
        lambda r: (
            float(0.5 * (r[:, :half] ** 2 + r[:, half:] - 1 - np.log(r[:, half:])).sum(1).mean())
            - 2 * gap(r[:, :half], r[:, half:])
        ),
        rows,
    )
    sides = {"of single images": float(single.mean()), "of all together": gap(rows[:, :half], rows[:, half:])}
    shape = Effect(
        "divergence of the latents from the prior, in nats; effect: that of single images less twice that of all",
        sides,
        own,
        f"bootstrap over {len(rows)} images",
    )
    first, last = (row["valid_reconstruction"] for row in (history[0], history[-1]))
    sides = {"first validation": first, "last": last}
    what = "cost of reconstruction of held-out images, in nats"
    falls = Effect(what, sides, stats.exact(first - last), "exact difference")
    names = ("valid_reconstruction", "valid_kl")
    lines = {name.removeprefix("valid_"): [(row["step"], row[name]) for row in history] for name in names}
    return Finding((falls, shape), "", Plot("both terms of the loss", "step", "nats per image", lines))
