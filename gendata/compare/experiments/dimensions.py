"""X1: how many values an image and a text have, and how many bits are left of them by a general compressor."""

import zlib

import numpy as np

from gendata.compare import stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding
from gendata.evaluate.texts import documents

READS = ("vae", "transformer")
_ITEMS = 1000


def run(params: None, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """The finding of X1."""
    images = [image.tobytes() for image in evidence.images("vae").pixels["train"][:_ITEMS]]
    data = evidence.texts("transformer")
    texts = [text for text, _ in zip(documents(data.bytes_of("train")), range(_ITEMS), strict=False)]
    effects = []
    for what, size in (
        ("values of an item (pixels, bytes)", len),
        ("bits of an item after zlib", lambda item: 8 * len(zlib.compress(item, 9))),
    ):
        a, b = (np.array([size(item) for item in items], np.float64) for items in (images, texts))
        low, high = stats.bootstrap(lambda x, y: float(np.median(x) - np.median(y)), a, b)
        sides = {"image": float(np.median(a)), "text": float(np.median(b))}
        over = f"bootstrap of medians over {len(a)} images and {len(b)} texts"
        effects.append(Effect(f"{what}, median", sides, low, high, over))
    return {"X1": Finding(tuple(effects), "of the images at the size of params.yaml, and the texts, of this project")}
