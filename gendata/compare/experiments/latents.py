"""G3, G9: what the latents of VAE and GAN can be used for, and the shape that the VAE's has; one training of each.

An attribute vector (White 2016, arXiv 1609.04468) is the difference of mean latents of bold and of faint images; it
works on an image if the ink grows with every step along it. Both decoders get draws of their prior, so that neither
profits from an encoder; only a VAE has one, and can reconstruct what it is given.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gendata.compare import stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot

READS = ("gan", "vae")
_DRAWS, _MOVED = 2000, 400
_FACTORS = (-1.0, -0.5, 0.0, 0.5, 1.0)
NOTE = "one training of each family: the interval is over images, not over seeds"


def run(params: None, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """Findings of G3 and G9."""
    return {"G3": _control(evidence), "G9": _shaped(evidence)}


@torch.no_grad()
def _control(evidence: Evidence) -> Finding:
    gan, vae = (evidence.checkpoint(name) for name in READS)
    model: Any = gan.model()
    classes = len(gan.data.classes)
    works = {"gan": moved(model.average, model.config.latent, classes)}
    model = vae.model()
    works["vae"] = moved(model.decode, model.config.latent, classes)
    n = _MOVED
    low, high = stats.shares(works["vae"], n, works["gan"], n)
    what = "share of images whose ink grows with every step along the attribute vector"
    attribute = Effect(what, works, low, high, f"Agresti-Caffo interval over {n} each")
    images, labels = _held_out(evidence)
    error = (model.reconstruct({"pixels": images, "labels": labels}) - images).square().flatten(1).mean(1).numpy()
    means = torch.stack([images[labels == label].mean(0) for label in range(classes)])
    plain = (means.nan_to_num()[labels] - images).square().flatten(1).mean(1).numpy()
    low, high = stats.bootstrap(lambda a, b: float(b.mean() - a.mean()), error, plain)
    sides = {"vae": float(error.mean()), "mean image of the class": float(plain.mean())}
    what = "mean squared error of reconstructed held-out images, of values in [-1, 1]"
    given = Effect(what, sides, low, high, f"bootstrap over {len(error)} images")
    note = f"{NOTE}; this GAN has no encoder, so it cannot reconstruct an image that it is given"
    return Finding((attribute, given), note)


def moved(decode: Any, latent: int, classes: int) -> float:
    """The share of images that an attribute vector of ink works on.

    Args:
        decode: latents (B, latent) and labels (B,) to images (B, C, H, W).
        latent: their length.
        classes: how many labels there are.
    """
    random = torch.Generator().manual_seed(0)
    z = torch.randn(_DRAWS, latent, generator=random)
    labels = torch.arange(_DRAWS) % classes
    ink = _ink(decode(z, labels))
    middle = torch.stack([ink[labels == label].median() for label in range(classes)])[labels]
    bold = ink > middle
    direction = z[bold].mean(0) - z[~bold].mean(0)
    direction *= 2 / direction.norm()  # two deviations of the prior, for every family
    at = slice(0, _MOVED)
    steps = torch.stack([_ink(decode(z[at] + factor * direction, labels[at])) for factor in _FACTORS], 1)
    return float((steps.diff(dim=1) > 0).all(1).float().mean())


def _ink(images: Tensor) -> Tensor:
    return images.mean((1, 2, 3))


def _held_out(evidence: Evidence) -> tuple[Tensor, Tensor]:
    data = evidence.images("vae")
    pixels, labels = (np.concatenate([part[s] for s in ("valid", "test")]) for part in (data.pixels, data.labels))
    return torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1, torch.from_numpy(labels)


@torch.no_grad()
def _shaped(evidence: Evidence) -> Finding:
    """Both curves fall together, and the latents of all images together are as the prior, though no single one is."""
    history = [row for row in evidence.history("vae") if "valid_reconstruction" in row]
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
    low, high = stats.bootstrap(
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
        low,
        high,
        f"bootstrap over {len(rows)} images",
    )
    first, last = (row["valid_reconstruction"] for row in (history[0], history[-1]))
    sides = {"first validation": first, "last": last}
    what = "cost of reconstruction of held-out images, in nats"
    falls = Effect(what, sides, first - last, first - last, "exact difference, one training")
    names = ("valid_reconstruction", "valid_kl")
    lines = {name.removeprefix("valid_"): [(row["step"], row[name]) for row in history] for name in names}
    return Finding((falls, shape), NOTE, Plot("both terms of the loss", "step", "nats per image", lines))
