"""Features of Inception, for the Fréchet distance that papers state (FID): an extra, for who has the weights at hand.

The network is torch-fidelity's, the weights are those of the FID's authors; neither comes with gendata, and nothing is
downloaded. Pictures of 28 pixels are enlarged to 299, so that the figure says little about them.
"""

import hashlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gendata.errors import ParamsError

PACKAGE = "torch_fidelity"

DIGEST = "6726825d"
"""How the sha256 of the weights begins. The file is a pickle, which may run any code: no other one is opened."""

_BATCH = 32


def check(weights: str) -> None:
    """Raise ParamsError, in one line, where the package or the weights are not at hand, or are other weights."""
    path = Path(weights)
    if find_spec(PACKAGE) is None:
        raise ParamsError(
            "params.yaml: evaluate.inception: needs the package torch-fidelity: pip install torch-fidelity"
        )
    if not path.is_file():
        raise ParamsError(f"params.yaml: evaluate.inception: {weights}: not found; nothing is downloaded")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(DIGEST):
        raise ParamsError(
            f"params.yaml: evaluate.inception: {weights}: not the weights of FID: sha256 {found[:8]}, not {DIGEST}"
        )


def embed(weights: str, *sets: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """The pooled features (n, 2048) of each set of images (n, C, H, W), C 1 or 3. Raises ParamsError as ``check``."""
    check(weights)
    extractor = import_module(f"{PACKAGE}.feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    network = extractor("inception-v3-compat", ["2048"], feature_extractor_weights_path=weights).eval()
    with torch.inference_mode():
        return [np.concatenate([_features(network, part) for part in _parts(images)]) for images in sets]


def _parts(images: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]


def _features(network: torch.nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    coloured = np.repeat(images, 3, axis=1) if images.shape[1] == 1 else np.ascontiguousarray(images)
    (features,) = network(torch.from_numpy(coloured))
    found: NDArray[np.float32] = features.float().numpy()
    return found
