"""Verdicts: the best match of one's own origin, groups, conflicts; the visiting order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gendata.keep import NO_MATCH, Verdicts, code, visiting_order


def judge(verdicts, item, others, scores, threshold=0.8):
    values = np.array(scores, float)
    reasons = np.where(values >= threshold, code("near-text"), NO_MATCH).astype(np.int8)
    return verdicts.judge(item, np.array(others, int), values, reasons)


def test_best_match_wins_and_the_first_of_equals():
    verdicts = Verdicts(np.zeros(4, np.int8))
    assert judge(verdicts, 3, [], [])
    assert judge(verdicts, 1, [3], [0.6])
    assert not judge(verdicts, 0, [3, 1], [0.9, 0.9])
    assert not judge(verdicts, 2, [3, 1], [0.85, 0.95])
    assert verdicts.stays_as.tolist() == [3, 1, 1, 3]
    assert verdicts.score.tolist()[::2] == [0.9, 0.95]
    assert verdicts.groups().tolist() == [0, 0, 0, 0]


def test_another_origin_is_a_conflict_and_never_a_merge():
    verdicts = Verdicts(np.array([2, 0, 2], np.int8))
    assert judge(verdicts, 1, [], [])
    assert judge(verdicts, 0, [1], [0.95])
    assert not judge(verdicts, 2, [1, 0], [0.99, 0.85])
    assert verdicts.conflict.tolist() == [1, -1, 1]
    assert verdicts.stays_as.tolist() == [0, 1, 0]


def test_order_is_the_ranks_then_size_then_id():
    items, sizes = np.array([4, 7, 1, 2]), np.array([10, 30, 30, 99])
    assert items[visiting_order(items, sizes, np.array([0, 0, 0, 1]))].tolist() == [1, 7, 4, 2]
    first, second = np.array([1, 0, 0, 1]), np.array([0, 1, 0, 1])
    assert items[visiting_order(items, sizes, first, second)].tolist() == [1, 7, 4, 2]


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60))
def test_groups_are_components_named_by_their_smallest(pairs):
    verdicts = Verdicts(np.zeros(31, np.int8))
    for a, b in pairs:
        judge(verdicts, a, [b], [0.5])
    expected = list(range(31))
    for _ in range(31):  # relax until nothing changes: slow and plain
        for a, b in pairs:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert verdicts.groups().tolist() == expected
