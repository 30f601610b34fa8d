import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gendata.evaluate import copies
from gendata.evaluate.copies import (
    birthday_support,
    duplicate_threshold,
    near_duplicate_rate,
    nearest,
    neighbours_picture,
)

SHAPE = (2, 2, 1)


def sets(least):
    values = st.sampled_from([0, 1, 2, 254, 255])  # few values: ties and copies
    return st.integers(least, 8).flatmap(lambda n: arrays(np.uint8, (n, *SHAPE), elements=values))


def random(seed, n, shape=(1, 8, 8)):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def distances(a, b):
    """All root mean squared differences (n, m)."""
    difference = (a[:, None].astype(float) - b[None].astype(float)) / 255
    return np.sqrt((difference**2).mean(axis=(2, 3, 4)))


@given(sets(0), sets(1), st.integers(1, 9))
def test_nearest_agrees_with_brute_force_and_takes_the_first(queries, training, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_BLOCK_ROWS", rows)
        index, distance = nearest(queries, training)
    expected = distances(queries, training)
    whole = (expected**2 * 255**2 * np.prod(SHAPE)).round()  # free of rounding, so that ties are ties
    assert index.tolist() == whole.argmin(axis=1).tolist()
    assert distance == pytest.approx(expected.min(axis=1))


@given(sets(2), st.integers(1, 9), st.sampled_from([0, 0.003, 0.5]))
def test_near_duplicates_agree_with_brute_force(images, rows, threshold):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_BLOCK_ROWS", rows)
        rate = near_duplicate_rate(images, threshold)
    expected = distances(images, images)
    np.fill_diagonal(expected, np.inf)
    assert rate == (expected.min(axis=1) <= threshold).mean()


@given(sets(2), st.integers(1, 9), st.sampled_from([0, 0.003, 0.5]))
def test_the_support_agrees_with_brute_force(images, rows, threshold):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "_BLOCK_ROWS", rows)
        support = birthday_support(images, threshold)
    n = len(images)
    within = distances(images, images) <= threshold
    pairs = sum(within[i, j] for i in range(n) for j in range(i))
    assert support == (n * (n - 1) / 2 / pairs if pairs else None)


def test_the_support_of_a_sampler_is_about_how_many_images_it_has():
    few = random(9, 40)
    draws = few[np.random.default_rng(10).integers(0, 40, 400)]
    assert 35 < birthday_support(draws, 0.01) < 46
    assert birthday_support(draws[:1].repeat(9, axis=0), 0.01) == 1
    assert birthday_support(few, 0.01) is None


def test_the_training_set_may_be_a_mapped_file(tmp_path):
    training, queries = random(0, 30), random(1, 5)
    np.save(tmp_path / "pixels.npy", training)
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    for found, expected in zip(nearest(queries, mapped), nearest(queries, training), strict=True):
        assert found.tolist() == expected.tolist()
    assert nearest(training[7:9], mapped)[0].tolist() == [7, 8]


def test_distances_are_from_0_to_1():
    black, white = np.zeros((1, 3, 64, 64), np.uint8), np.full((1, 3, 64, 64), 255, np.uint8)
    assert nearest(black, white)[1].tolist() == [1]
    assert nearest(white, white)[1].tolist() == [0]


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (lambda: nearest(random(0, 2), random(0, 0)), "too few"),
        (lambda: nearest(random(0, 2), random(0, 2, (3, 8, 8))), "shape"),
        (lambda: near_duplicate_rate(random(0, 1), 0.1), "too few"),
        (lambda: birthday_support(random(0, 1), 0.1), "at least 2, not 1"),
        (lambda: duplicate_threshold(random(0, 0), random(0, 2)), "at least 1 image"),
        (lambda: duplicate_threshold(random(0, 2), random(0, 2), share=0), "share"),
    ],
)
def test_what_cannot_be_measured(measure, message):
    with pytest.raises(ValueError, match=message):
        measure()


@pytest.mark.parametrize(("n", "share", "within"), [(200, 0.01, 2), (250, 0.01, 3), (5, 0.01, 1), (5, 1, 5)])
def test_the_threshold_is_the_least_that_the_share_is_within(n, share, within):
    held_out, training = random(2, n), random(3, 40)
    threshold = duplicate_threshold(held_out, training, share)
    found = distances(held_out, training).min(axis=1)
    assert threshold == pytest.approx(np.sort(found)[within - 1])


def test_planted_copies_are_within_the_threshold_and_others_are_not():
    training, held_out, samples = random(4, 100), random(5, 100), random(6, 50)
    samples[:10] = training[:10] ^ 1  # off by one grey level
    threshold = duplicate_threshold(held_out, training)
    index, distance = nearest(samples, training)
    assert index[:10].tolist() == list(range(10))
    assert (distance <= threshold)[:10].all()
    assert (distance <= threshold)[10:].mean() < 0.1


@pytest.mark.parametrize(
    ("shape", "n", "size", "mode"),
    [
        ((1, 28, 28), 25, (10 * 60 + 4, 3 * 117 + 4), "L"),
        ((1, 28, 28), 3, (3 * 60 + 4, 117 + 4), "L"),
        ((3, 8, 6), 1, (6 * 7 + 8, 2 * 8 * 7 + 1 + 8), "RGB"),
        ((3, 64, 64), 2, (2 * 68 + 4, 133 + 4), "RGB"),
    ],
)
def test_the_picture_has_every_pair_in_its_place(shape, n, size, mode):
    samples, neighbours = random(7, n, shape), random(8, n, shape)
    picture = neighbours_picture(samples, neighbours)
    assert (picture.size, picture.mode) == (size, mode)
    assert picture.tobytes() == neighbours_picture(samples, neighbours).tobytes()

    _, height, width = shape
    scale = max(1, -(-56 // max(height, width)))
    pixels = np.asarray(picture).reshape(*picture.size[::-1], -1).transpose(2, 0, 1)
    for i in range(n):
        top, left = 4 + (i // 10) * (2 * height * scale + 5), 4 + (i % 10) * (width * scale + 4)
        for image, at in ((samples[i], top), (neighbours[i], top + height * scale + 1)):
            shown = pixels[:, at : at + height * scale, left : left + width * scale]
            assert (shown[:, ::scale, ::scale] == image).all()
            assert (shown[:, scale - 1 :: scale, scale - 1 :: scale] == image).all()
