"""MinHash: the banding curve, and that signatures follow it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.dedup import minhash


@given(st.floats(0.05, 1), st.integers(16, 256), st.floats(0.5, 0.999))
def test_banding_keeps_the_recall_with_the_most_rows(threshold, permutations, recall):
    try:
        bands, rows = minhash.banding(threshold, permutations, recall)
    except ValueError:
        assert minhash.chance(threshold, permutations, 1) < recall
        return
    assert bands * rows <= permutations
    assert minhash.chance(threshold, bands, rows) >= recall
    for more in range(rows + 1, permutations + 1):
        assert minhash.chance(threshold, permutations // more, more) < recall


def test_banding_of_the_defaults():
    assert minhash.banding(0.8, 128, 0.98) == (18, 7)
    assert minhash.chance(0.8, 18, 7) == pytest.approx(0.9855, abs=1e-4)
    assert minhash.chance(0.3, 18, 7) < 0.005


def test_signatures_find_pairs_as_often_as_the_curve_says():
    rng = np.random.default_rng(5)
    pairs, bands, rows = 1500, 18, 7
    for common, similarity in [(160, 0.8), (100, 100 / 260), (133, 133 / 227)]:
        sides = []
        for _ in range(pairs):  # two sets of 180 words share `common`
            words = [f"w{i}" for i in rng.integers(0, 2**60, 360 - common)]
            sides.append((" ".join(words[:180]), " ".join(words[180 - common :])))
        one, other = (minhash.sketch(pa.array(side), 1, bands, rows).keys for side in zip(*sides, strict=True))
        expected = minhash.chance(similarity, bands, rows)
        found = (one == other).any(axis=0).mean()
        assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)


def test_the_curve_is_that_of_the_bands():
    assert minhash.curve(18, 7)["0.8"] == round(minhash.chance(0.8, 18, 7), 4)
    assert [*minhash.curve(18, 7)] == [f"{i / 10:.1f}" for i in range(1, 11)]
    assert [*minhash.curve(18, 7).values()] == sorted(minhash.curve(18, 7).values())
