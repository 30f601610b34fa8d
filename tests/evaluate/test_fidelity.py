import numpy as np
import pytest
from scipy.linalg import sqrtm

from gendata.evaluate import fidelity
from gendata.evaluate.fidelity import Neighbourhoods, frechet_distance, kernel_distance, neighbourhoods


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


def radii(points, k):
    return [sorted(np.linalg.norm(points - row, axis=1))[k] for row in points]  # [0] is the row itself


def by_definition(real, fake, k):
    """One point at a time."""
    of_real, of_fake = radii(real, k), radii(fake, k)
    balls = [[np.linalg.norm(f - r) <= radius for r, radius in zip(real, of_real, strict=True)] for f in fake]
    recalled = [any(np.linalg.norm(r - fake, axis=1) <= of_fake) for r in real]
    return (
        np.mean([any(row) for row in balls]),
        np.mean(recalled),
        sum(map(sum, balls)) / (k * len(fake)),
        np.mean([any(row[i] for row in balls) for i in range(len(real))]),
    )


@pytest.mark.parametrize("block", [1, 100, 1 << 22])
@pytest.mark.parametrize("k", [1, 3])
def test_neighbourhoods_agree_with_brute_force(monkeypatch, block, k):
    monkeypatch.setattr(fidelity, "_BLOCK", block)
    real, fake = random(7, 40, 3).astype(np.float32), (random(7, 55, 3)[::2] + 0.5).astype(np.float32)
    found = neighbourhoods(real, fake, k)
    assert found == pytest.approx(by_definition(real, fake, k))
    assert all(0 < value < 1 for value in found)


def test_what_neighbourhoods_tell_apart():
    real = np.random.default_rng(8).normal(size=(200, 2))
    assert neighbourhoods(real, real)[:2] == (1, 1)
    assert neighbourhoods(real, real).coverage == 1
    assert neighbourhoods(real, real + 100) == (0, 0, 0, 0)
    one_mode = neighbourhoods(real, np.repeat(real[:1], 50, axis=0))
    assert one_mode[:2] == (1, 1 / 200)
    assert one_mode.coverage < 0.1


def test_an_outlier_raises_precision_and_hardly_density():
    """The example of Naeem et al.: fakes far out, within the ball of one real row that lies far out too."""
    generator = np.random.default_rng(9)
    real = np.concatenate([generator.normal(size=(100, 2)), [[40.0, 0]]])
    found = neighbourhoods(real, generator.normal((20.0, 0.0), size=(100, 2)))
    assert found.precision == 1
    assert found.density < 0.4
    assert found.coverage == 1 / 101


def test_far_from_zero_nothing_is_lost():
    real, fake = random(9, 50, 4), random(10, 50, 4)
    assert neighbourhoods(real + 1e6, fake + 1e6) == neighbourhoods(real, fake)


@pytest.mark.parametrize(("n", "m", "least"), [(10, 3, 3), (3, 10, 3), (10, 0, 0)])
def test_a_neighbour_has_to_exist(n, m, least):
    with pytest.raises(ValueError, match=f"more than k = 3 rows, not {least}"):
        neighbourhoods(np.ones((n, 2)), np.ones((m, 2)))
    assert Neighbourhoods._fields == ("precision", "recall", "density", "coverage")


def mmd(a, b):
    """Pair by pair."""

    def kernel(x, y):
        return (sum(p * q for p, q in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        return np.mean([kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j])

    return within(a) + within(b) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_the_kernel_distance_agrees_with_the_sum_over_all_pairs():
    a, b = random(11, 7, 3), random(12, 7, 3)
    assert fidelity._squared_mmd(a, b) == pytest.approx(mmd(a.tolist(), b.tolist()))


def test_the_kernel_distance_of_points_is_the_closed_form():
    """All rows of a are x and all of b are y: k(x, x) + k(y, y) - 2 k(x, y)."""
    x, y = np.array([1.0, 0, 2]), np.array([0.0, 1, 1])
    kernel = [(p @ q / 3 + 1) ** 3 for p, q in ((x, x), (y, y), (x, y))]
    mean, std = kernel_distance(np.tile(x, (10, 1)), np.tile(y, (12, 1)))
    assert mean == pytest.approx(kernel[0] + kernel[1] - 2 * kernel[2])
    assert std == pytest.approx(0, abs=1e-9)


def test_the_kernel_distance_has_no_bias_and_sees_what_moved():
    draws = [np.random.default_rng(seed).normal(size=(200, 4)) for seed in range(20)]
    same = [kernel_distance(a, b, subsets=5)[0] for a, b in zip(draws[::2], draws[1::2], strict=True)]
    assert min(same) < 0 < max(same)
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    moved, spread = kernel_distance(draws[0], draws[1] + 0.5)
    assert moved > 10 * max(np.abs(same))
    assert 0 < spread < moved


def test_the_kernel_distance_repeats_with_its_seed():
    a, b = random(13, 40, 4), random(14, 30, 4)
    assert kernel_distance(a, b, seed=1) == kernel_distance(a, b, seed=1) != kernel_distance(a, b, seed=2)
    with pytest.raises(ValueError, match="at least 4 rows, not 3"):
        kernel_distance(a, b[:3])
