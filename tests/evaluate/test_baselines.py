"""The baselines: moments of what they draw against those of the training images, and the closed form of both."""

import numpy as np
import pytest

from gendata.evaluate.baselines import COMPONENTS, gaussians, pca_gaussians

SAMPLERS = pytest.mark.parametrize("sampler", [gaussians, pca_gaussians])


def training(n=300, d=(1, 3, 4), classes=2):
    """Correlated values around 90 or 150, by class, which no clipping reaches."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % classes
    mixing = random.normal(size=(12, 12))
    values = 90 + 60 * labels[:, None] + 4 * random.normal(size=(n, 12)) @ mixing
    return values.clip(0, 255).round().astype(np.uint8).reshape(n, *d), labels


def drawn(sampler, n=4000, seed=1):
    images, labels = training()
    wanted = np.arange(n) % 2
    return images, labels, sampler(images, labels, wanted, np.random.default_rng(seed)), wanted


@SAMPLERS
def test_a_class_has_its_mean_and_deviation(sampler):
    images, labels, made, wanted = drawn(sampler)
    assert made.shape == (4000, 1, 3, 4)
    assert made.dtype == np.uint8
    for label in (0, 1):
        real, fake = images[labels == label].astype(float), made[wanted == label].astype(float)
        assert np.abs(real.mean(0) - fake.mean(0)).max() < 1.5
        assert fake.std(0) == pytest.approx(real.std(0), rel=0.1)


def test_only_the_principal_components_keep_what_pixels_have_in_common():
    for sampler, kept in ((gaussians, False), (pca_gaussians, True)):
        images, labels, made, wanted = drawn(sampler)
        real, fake = (x.reshape(len(x), -1).astype(float) for x in (images[labels == 0], made[wanted == 0]))
        off = ~np.eye(12, dtype=bool)
        near = np.abs(np.cov(real, rowvar=False) - np.cov(fake, rowvar=False))[off].mean()
        assert (near < 0.2 * np.abs(np.cov(real, rowvar=False))[off].mean()) == kept


def test_the_directions_are_those_of_the_largest_eigenvalues():
    """With more pixels than components: the covariance is the best of that rank."""
    random = np.random.default_rng(2)
    values = random.normal(size=(120, 100)) * np.linspace(20, 1, 100)
    images = (128 + values).clip(0, 255).round().astype(np.uint8).reshape(120, 1, 10, 10)
    made = pca_gaussians(images, np.zeros(120, int), np.zeros(6000, int), np.random.default_rng(3))
    eigenvalues, vectors = np.linalg.eigh(np.cov(images.reshape(120, -1), rowvar=False))
    best = (vectors[:, -COMPONENTS:] * eigenvalues[-COMPONENTS:]) @ vectors[:, -COMPONENTS:].T
    found = np.cov(made.reshape(6000, -1), rowvar=False)
    assert np.linalg.norm(found - best) < 0.15 * np.linalg.norm(best)


@SAMPLERS
def test_a_class_of_one_image_gives_that_image(sampler):
    images, _ = training(2, classes=2)
    made = sampler(images, np.array([0, 1]), np.array([1, 0, 1]), np.random.default_rng(0))
    assert np.array_equal(made, images[[1, 0, 1]])


@SAMPLERS
def test_chance_alone_decides(sampler):
    first, again, other = (drawn(sampler, 20, seed)[2] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
