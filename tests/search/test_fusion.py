import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.search.fusion import blend, fuse, normalise

rankings = st.lists(st.tuples(st.floats(-1, 50), st.floats(-1, 50)), max_size=8).map(
    lambda pairs: np.array(pairs, float).reshape(-1, 2).T
)


def test_formula():
    keyword = np.array([10.0, 5.0, 0.0])  # normalised: 1, .5, 0
    semantic = np.array([0.2, 0.6, 1.0])  # normalised: 0, .5, 1
    assert blend(keyword, semantic, 0.5).tolist() == pytest.approx([0.5, 0.5, 0.5])
    assert blend(keyword, semantic, 0.8).tolist() == pytest.approx([0.8, 0.5, 0.2])


def test_equal_scores():
    assert normalise(np.array([2.0, 2.0])).tolist() == [1.0, 1.0]
    assert normalise(np.array([0.0])).tolist() == [0.0]
    assert normalise(np.array([])).tolist() == []


@given(rankings, st.floats(0, 1))
def test_blend_is_bounded_and_whole(scores, weight):
    first, second = scores
    mixed = blend(first, second, weight)
    assert len(mixed) == len(first)
    assert ((mixed >= 0) & (mixed <= 1 + 1e-9)).all()
    assert mixed == pytest.approx(blend(second, first, 1 - weight))


def test_standard_scores():
    words, meaning = np.array([4.0, 2.0, 0.0]), np.array([0.1, 0.4, 0.7])
    w, m = words - 2, meaning - 0.4
    expected = 1 / (1 + np.exp(-(0.3 * w / w.std() + 0.7 * m / m.std()) / 2))
    assert fuse(words, meaning, 0.3) == pytest.approx(expected)
    assert fuse(np.array([]), np.array([]), 0.3).tolist() == []
    assert fuse(np.array([1.0]), np.array([1.0]), 0.3).tolist() == [0.5]


@given(rankings, st.floats(0, 1), st.floats(0.1, 9))
def test_fusion_does_not_depend_on_the_unit_of_a_ranking(scores, weight, unit):
    first, second = scores
    mixed = fuse(first, second, weight)
    assert len(mixed) == len(first)
    assert ((mixed >= 0) & (mixed <= 1)).all()
    if len(first) and first.std() > 1e-6:
        assert fuse(first * unit, second, weight) == pytest.approx(mixed, abs=1e-6)
