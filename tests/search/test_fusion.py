import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.search.fusion import best_by, blend, fuse, normalise

scores = st.dictionaries(st.text(max_size=3), st.floats(-1, 50), max_size=8)


def test_formula():
    keyword = {"a": 10.0, "b": 5.0}
    semantic = {"a": 0.2, "b": 0.6, "c": 1.0}
    # keyword normalised over a, b, c = 10, 5, 0: 1, .5, 0; semantic: 0, .5, 1
    assert blend(keyword, semantic, 0.5) == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert blend(keyword, semantic, 0.8) == pytest.approx({"a": 0.8, "b": 0.5, "c": 0.2})


def test_equal_scores():
    assert normalise({"a": 2.0, "b": 2.0}) == {"a": 1.0, "b": 1.0}
    assert normalise({"a": 0.0}) == {"a": 0.0}
    assert normalise({}) == {}


@given(scores, scores, st.floats(0, 1))
def test_blend_is_bounded_and_whole(first, second, weight):
    mixed = blend(first, second, weight)
    assert mixed.keys() == first.keys() | second.keys()
    assert all(0 <= score <= 1 + 1e-9 for score in mixed.values())
    assert mixed == pytest.approx(blend(second, first, 1 - weight))


def test_standard_scores():
    words, meaning = {"a": 4.0, "b": 2.0}, {"a": 0.1, "b": 0.4, "c": 0.7}
    w = np.array([4, 2, 0]) - 2
    m = np.array([0.1, 0.4, 0.7]) - 0.4
    mixed = 0.3 * w / w.std() + 0.7 * m / m.std()
    expected = dict(zip("abc", 1 / (1 + np.exp(-mixed / 2)), strict=True))
    assert fuse(words, meaning, 0.3) == pytest.approx(expected)
    assert fuse({}, {}, 0.3) == {}
    assert fuse({"a": 1.0}, {"a": 1.0}, 0.3) == {"a": 0.5}


@given(scores, scores, st.floats(0, 1), st.floats(0.1, 9))
def test_fusion_does_not_depend_on_the_unit_of_a_ranking(first, second, weight, unit):
    mixed = fuse(first, second, weight)
    assert mixed.keys() == first.keys() | second.keys()
    assert all(0 <= score <= 1 for score in mixed.values())
    scaled = fuse({key: score * unit for key, score in first.items()}, second, weight)
    if np.std([first.get(key, 0.0) for key in mixed] or [0.0]) > 1e-6:
        assert scaled == pytest.approx(mixed, abs=1e-6)


def test_best_of_a_group_is_the_first_of_equals():
    rows = {"a1": 1.0, "a2": 3.0, "a3": 3.0, "b1": 0.5}
    assert best_by(rows, ((key, key[0]) for key in sorted(rows))) == {"a": "a2", "b": "b1"}
