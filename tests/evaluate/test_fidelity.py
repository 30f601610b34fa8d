import numpy as np
import pytest
from scipy.linalg import sqrtm

from gendata.evaluate import fidelity
from gendata.evaluate.fidelity import frechet_distance, precision_recall


def random(seed, n, d):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, d)) @ generator.normal(size=(d, d)) + generator.normal(size=d)


def gaussian(mean, deviations):
    """Rows whose mean and (diagonal) covariance are exactly these."""
    d = len(mean)
    steps = np.diag(deviations) * np.sqrt((2 * d - 1) / 2)
    return np.concatenate([mean + steps, mean - steps])


def test_of_diagonal_gaussians_it_is_the_closed_form():
    a, b = gaussian([0.0, 1, 2], [1, 2, 0.5]), gaussian([1.0, 1, 0], [3, 0, 0.5])
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (1 - 3) ** 2 + (2 - 0) ** 2)


@pytest.mark.parametrize(("n", "m", "d"), [(60, 80, 1), (60, 80, 16), (500, 20, 8)])
def test_it_agrees_with_the_matrix_root_of_scipy(n, m, d):
    a, b = random(1, n, d), random(2, m, d)
    cov_a, cov_b = np.cov(a, rowvar=False).reshape(d, d), np.cov(b, rowvar=False).reshape(d, d)
    root = sqrtm(cov_a @ cov_b).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-6)


def test_with_fewer_rows_than_features_it_agrees_with_the_space_that_the_rows_span():
    a, b = random(3, 5, 3), random(4, 4, 3)
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(64, 64)))[0][:3]
    assert frechet_distance((a @ turn).astype(np.float32), b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-5)


@pytest.mark.parametrize(("n", "d"), [(2, 64), (30, 64), (300, 8)])
def test_equal_sets_are_at_zero_and_moved_ones_at_the_square_of_the_way(n, d):
    a = random(6, n, d)
    assert 0 <= frechet_distance(a, a[::-1]) < 1e-9 * a.var() * d
    assert frechet_distance(a, a + 2) == pytest.approx(4 * d)


def test_one_row_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 rows, not 1"):
        frechet_distance(np.ones((1, 4)), np.ones((5, 4)))


def covered(points, manifold, k):
    """By the definition, one point at a time."""
    radii = [sorted(np.linalg.norm(manifold - row, axis=1))[k] for row in manifold]  # [0] is the row itself
    return np.mean([any(np.linalg.norm(p - manifold, axis=1) <= radii) for p in points])


@pytest.mark.parametrize("block", [1, 100, 1 << 22])
@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_agree_with_brute_force(monkeypatch, block, k):
    monkeypatch.setattr(fidelity, "_BLOCK", block)
    real, fake = random(7, 40, 3).astype(np.float32), (random(7, 55, 3)[::2] + 0.5).astype(np.float32)
    precision, recall = precision_recall(real, fake, k)
    assert (precision, recall) == (pytest.approx(covered(fake, real, k)), pytest.approx(covered(real, fake, k)))
    assert 0 < precision < 1
    assert 0 < recall < 1


def test_what_precision_and_recall_tell_apart():
    real = np.random.default_rng(8).normal(size=(200, 2))
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 100) == (0, 0)
    precision, recall = precision_recall(real, np.repeat(real[:1], 50, axis=0))  # one mode, many times
    assert (precision, recall) == (1, 1 / 200)


def test_far_from_zero_nothing_is_lost():
    real, fake = random(9, 50, 4), random(10, 50, 4)
    assert precision_recall(real + 1e6, fake + 1e6) == precision_recall(real, fake)


@pytest.mark.parametrize(("n", "m", "least"), [(10, 3, 3), (3, 10, 3), (10, 0, 0)])
def test_a_neighbour_has_to_exist(n, m, least):
    with pytest.raises(ValueError, match=f"more than k = 3 rows, not {least}"):
        precision_recall(np.ones((n, 2)), np.ones((m, 2)))
