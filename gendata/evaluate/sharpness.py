"""How much fine detail images have: the energy of their Laplacian.

A blurred image has less of it than a real one, a noisy one more. Blur is what the mean images of a VAE are known for,
and what features of a classifier hardly see; the variance of the Laplacian is the usual measure of focus (Pech-Pacheco
et al. 2000, "Diatom autofocusing in brightfield microscopy").
"""

import numpy as np
from numpy.typing import NDArray

_BLOCK = 256
"""Images that are held as float32 at once."""


def detail(images: NDArray[np.uint8]) -> float:
    """The mean square of the Laplacian (four neighbours) of images (n, C, H, W), of values from 0 to 1.

    Raises:
        ValueError: there is no image, or one side has fewer than 3 pixels.
    """
    if not len(images) or min(images.shape[2:]) < 3:
        raise ValueError(f"images: at least 1 of at least 3 x 3 pixels, not of shape {images.shape}")
    total = 0.0
    for start in range(0, len(images), _BLOCK):
        x = images[start : start + _BLOCK].astype(np.float32) / 255
        middle = x[:, :, 1:-1, 1:-1]
        laplacian = x[:, :, :-2, 1:-1] + x[:, :, 2:, 1:-1] + x[:, :, 1:-1, :-2] + x[:, :, 1:-1, 2:] - 4 * middle
        total += float(np.square(laplacian, dtype=np.float64).mean()) * len(x)
    return total / len(images)
