import numpy as np
import pytest

from gendata.evaluate import sharpness
from gendata.evaluate.sharpness import detail


def random(n, shape=(1, 8, 9)):
    return np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)


def by_definition(images):
    x = images / 255
    found = []
    for n, c, i, j in np.ndindex(*images.shape):
        if 0 < i < images.shape[2] - 1 and 0 < j < images.shape[3] - 1:
            around = x[n, c, i - 1, j] + x[n, c, i + 1, j] + x[n, c, i, j - 1] + x[n, c, i, j + 1]
            found.append((around - 4 * x[n, c, i, j]) ** 2)
    return np.mean(found)


@pytest.mark.parametrize("block", [1, 2, 256])
@pytest.mark.parametrize("shape", [(1, 8, 9), (3, 4, 3)])
def test_it_is_the_mean_square_of_the_laplacian(monkeypatch, block, shape):
    monkeypatch.setattr(sharpness, "_BLOCK", block)
    images = random(5, shape)
    assert detail(images) == pytest.approx(by_definition(images), rel=1e-5)


def test_a_slope_has_no_detail_a_blurred_image_less_and_a_noisy_one_more():
    slope = np.tile(np.arange(0, 90, 10, dtype=np.uint8), (1, 1, 9, 1))
    assert detail(slope) < 1e-10
    edges = np.zeros((1, 1, 16, 16), np.uint8)
    edges[..., 4:12, 4:12] = 200
    blurred = (edges.astype(float) + np.roll(edges, 1, 2) + np.roll(edges, 1, 3)).astype(np.uint8) // 3
    noisy = edges + np.random.default_rng(1).integers(0, 50, edges.shape, dtype=np.uint8)
    assert detail(blurred) < detail(edges) < detail(noisy)


@pytest.mark.parametrize("images", [random(0), random(2, (1, 2, 9))])
def test_what_has_no_laplacian(images):
    with pytest.raises(ValueError, match="at least 1 of at least 3 x 3 pixels"):
        detail(images)
