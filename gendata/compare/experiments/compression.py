"""G7: bits that the VAE's latent takes for an image, against JPEG at the same distortion, and PNG.

The latent costs the divergence of its posterior from the prior (bits back: Hinton & van Camp 1993; Townsend et al.
2019, arXiv 1901.04866); of a JPEG the coded data alone is counted, without headers, which a collection would share.
Decoder and tables are not counted on either side. Distortion is the mean squared error of the mean images.
"""

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.compare import stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models.picture import to_bytes, to_image

READS = ("vae",)
_QUALITIES = (2, 5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
_IMAGES = 200
_SCAN = b"\xff\xda"
"""Marker after which the coded data of a JPEG begins."""


@torch.no_grad()
def run(params: None, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """The finding of G7."""
    data = evidence.images("vae")
    model: Any = evidence.checkpoint("vae").model()
    pixels = data.pixels[data.held_out][:_IMAGES]
    labels = torch.from_numpy(data.labels[data.held_out][:_IMAGES])
    real = torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1
    mu, logvar = model.encode(real, labels)
    bits = (0.5 * (mu.square() + logvar.exp() - 1 - logvar)).sum(1).double().numpy() / np.log(2)
    images = pixels.transpose(0, 2, 3, 1)
    error = _error(
        to_bytes(
            model.decode(
                mu + torch.randn(mu.shape, generator=torch.Generator().manual_seed(0)) * (0.5 * logvar).exp(), labels
            )
        ),
        images,
    )
    curves = np.array([[_jpeg(image, q) for q in _QUALITIES] for image in images])  # (n, qualities, bits and error)
    jpeg = np.array([bits_at(curve, e) for curve, e in zip(curves, error, strict=True)])
    low, high = stats.bootstrap(lambda a, b: float(b.mean() - a.mean()), np.stack([bits, jpeg], 1)[:, 0], jpeg)
    png = float(np.mean([8 * len(_encoded(image, "PNG", optimize=True)) for image in images]))
    sides = {"vae": float(bits.mean()), "jpeg": float(jpeg.mean()), "png, without loss": png}
    what = "bits of an image at the VAE's distortion; effect: JPEG's less the VAE's"
    lines = {"jpeg": curves.mean(0).tolist(), "vae": [(float(bits.mean()), float(error.mean()))]}
    plot = Plot(
        "distortion over rate",
        "bits of an image",
        "mean squared error, 0 to 1",
        {k: [(x, y) for x, y in v] for k, v in lines.items()},
    )
    effect = Effect(what, sides, low, high, f"bootstrap over {len(images)} held-out images")
    return {"G7": Finding((effect,), "ideal bits of the latent: no coder is run", plot)}


def _error(made: NDArray[np.uint8], real: NDArray[np.uint8]) -> NDArray[np.float64]:
    difference: NDArray[np.float64] = (made.astype(np.float64) - real) / 255
    error: NDArray[np.float64] = np.square(difference).reshape(len(real), -1).mean(1)
    return error


def _encoded(image: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    to_image(image).save(out, kind, **options)
    return out.getvalue()


def _jpeg(image: NDArray[np.uint8], quality: int) -> tuple[float, float]:
    """Bits of the coded data, and the error that it leaves."""
    from PIL import Image

    data = _encoded(image, "JPEG", quality=quality, optimize=True)
    with Image.open(io.BytesIO(data)) as opened:
        made = np.asarray(opened).reshape(image.shape)
    return 8.0 * (len(data) - data.index(_SCAN)), float(_error(made[None], image[None])[0])


def bits_at(curve: NDArray[np.float64], error: float) -> float:
    """Bits at an error, on straight lines through the points (bits, error); at its ends, those of the end."""
    order = np.argsort(curve[:, 1], kind="stable")
    return float(np.interp(error, curve[order, 1], curve[order, 0]))
