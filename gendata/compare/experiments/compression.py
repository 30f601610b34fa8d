"""G7: bits that the VAE's latent takes for an image, against JPEG at the same distortion, and PNG.

The latent costs the divergence of its posterior from the prior (bits back: Hinton & van Camp 1993; Townsend et al.
2019, arXiv 1901.04866); of a JPEG the coded data alone is counted, without headers, which a collection would share.
Decoder and tables are not counted on either side. Distortion is the mean squared error of the mean images. JPEG comes
in qualities and scales, of which the cheapest mixture of two counts. An image that the VAE leaves worse than the
cheapest JPEG, or better than the best, has no equal there, and is left out.
"""

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gendata.compare import sample, stats
from gendata.compare.evidence import Evidence, MissingError
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models.picture import to_bytes, to_image

READS = ("vae",)
_QUALITIES = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_SCALES = (1, 2, 4)
"""By which the sides of an image are divided before it is a JPEG, and multiplied after."""
_IMAGES = 200
_SCAN = b"\xff\xda"
"""Marker of the header after which the coded data of a JPEG begins; what it is ended by is ``_END``."""
_END = b"\xff\xd9"


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of G7."""
    data = evidence.images("vae")
    at = sample.some(len(data.labels[data.held_out]), _IMAGES)
    pixels = data.pixels[data.held_out][at]
    bits, error = _coded(evidence.checkpoint("vae").model(), pixels, torch.from_numpy(data.labels[data.held_out][at]))
    images = pixels.transpose(0, 2, 3, 1)
    points = np.array([[jpeg(image, q, s) for s in _SCALES for q in _QUALITIES] for image in images])
    equal = np.array([bits_at(own, e) for own, e in zip(points, error, strict=True)])
    inside = np.isfinite(equal)
    left = int((~inside).sum())
    if 2 * left > len(images):
        raise MissingError(f"{left} of {len(images)} images of the VAE have no JPEG of equal distortion")
    png = float(np.mean([8 * len(_encoded(to_image(image), "PNG")) for image in images]))
    sides = {"vae": float(bits[inside].mean()), "jpeg": float(equal[inside].mean()), "png, without loss": png}
    saved = stats.bootstrap(lambda rows: float(rows.mean()), equal[inside] - bits[inside])
    what = "bits of an image at the VAE's distortion; effect: JPEG's less the VAE's"
    effect = Effect(what, sides, saved, f"bootstrap over {inside.sum()} held-out images, paired")
    curves = {f"jpeg, 1/{s}": points[:, i * len(_QUALITIES) : (i + 1) * len(_QUALITIES)] for i, s in enumerate(_SCALES)}
    lines = {name: [(float(x), float(y)) for x, y in curve.mean(0)] for name, curve in curves.items()}
    lines["vae"] = [(float(bits.mean()), float(error.mean()))]
    plot = Plot("distortion over rate", "bits of an image", "mean squared error, 0 to 1", lines)
    note = f"ideal bits of the latent: no coder is run; {left} of {len(images)} images have no JPEG of equal distortion"
    return {"G7": Finding((effect,), note, plot)}


@torch.no_grad()
def _coded(
    model: Any, pixels: NDArray[np.uint8], labels: torch.Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bits of the latents of images (n, C, H, W), and the error of what a draw of them gives."""
    mu, logvar = model.encode(torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1, labels)
    bits: NDArray[np.float64] = (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).sum(1).double().numpy() / np.log(2)
    noise = torch.randn(mu.shape, generator=torch.Generator().manual_seed(0))
    made = to_bytes(model.decode(mu + noise * (0.5 * logvar).exp(), labels))
    return bits, _error(made, pixels.transpose(0, 2, 3, 1))


def _error(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.float64]:
    difference: NDArray[np.float64] = (made.astype(np.float64) - real) / 255
    error: NDArray[np.float64] = np.square(difference).reshape(len(real), -1).mean(1)
    return error


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, optimize=True, **options)
    return out.getvalue()


def jpeg(image: NDArray[np.uint8], quality: int, scale: int = 1) -> tuple[float, float]:
    """Bits of the coded data of an image (H, W, C), and the error that it leaves."""
    whole = to_image(image)
    small = (
        whole
        if scale == 1
        else whole.resize((max(1, whole.width // scale), max(1, whole.height // scale)), Image.Resampling.BICUBIC)
    )
    data = _encoded(small, "JPEG", quality=quality)
    with Image.open(io.BytesIO(data)) as opened:
        back = opened if scale == 1 else opened.resize(whole.size, Image.Resampling.BICUBIC)
        made = np.asarray(back).reshape(image.shape)
    return coded_bits(data), float(_error(made[None], image[None])[0])


def coded_bits(data: bytes) -> float:
    """Of a JPEG's coded data alone: what lies between the header of its scan and the marker of its end."""
    scan = data.rindex(_SCAN) + len(_SCAN)  # the last: tables before it may hold these bytes, coded data never does
    header = int.from_bytes(data[scan : scan + 2], "big")
    return 8.0 * (len(data) - scan - header - len(_END))


def bits_at(points: NDArray[np.float64], error: float) -> float:
    """The least bits at an error, by points (bits, error) and mixtures of two; not a number beyond their ends."""
    order = np.lexsort((points[:, 0], points[:, 1]))
    hull = list[tuple[float, float]]()  # the lower left side of the convex hull: error up, bits down
    for bits, at in points[order]:
        if hull and bits >= hull[-1][0]:
            continue
        while len(hull) > 1 and _above(hull[-2], hull[-1], (bits, at)):
            hull.pop()
        hull.append((bits, at))
    errors = [at for _, at in hull]
    return float(np.interp(error, errors, [bits for bits, _ in hull], left=math.nan, right=math.nan))


def _above(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) >= (c[0] - a[0]) * (b[1] - a[1])
