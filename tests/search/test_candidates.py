"""Items of rankings, by brute force over their rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gendata.search.candidates import Candidates, place, ranked
from gendata.search.channels import Channel, Collected
from gendata.search.directory import Directory
from gendata.search.fusion import normalise
from gendata.search.ranking import Filter, Rows

SIZE = 12
tables = st.fixed_dictionaries({store: st.lists(st.integers(0, 5), min_size=SIZE, max_size=SIZE) for store in "ba"})
"""The item of each row of two stores; parts are counted."""
found = st.fixed_dictionaries(
    {},
    optional={
        store: st.dictionaries(st.integers(0, SIZE - 1), st.sampled_from([0.0, 0.5, 1.0, 3.0])) for store in "ba"
    },
)
"""Place to score, by store."""


class Ranking:
    reach = 0

    def __init__(self, items):
        parts = [items[:n].count(item) for n, item in enumerate(items)]
        rows, keys = np.arange(SIZE, dtype=np.uint64), np.array(items, np.uint64)
        self.directory = Directory.of_rows(rows, keys, np.array(parts, np.int32))


def collected(items, scores):
    channels = {store: Channel(Ranking(items[store]), Filter()) for store in scores}
    rows = {s: Rows(np.array([*some], np.int64), np.array([*some.values()], float)) for s, some in scores.items()}
    return Collected(channels, {}, rows, exhausted=True)


def passages(items, scores):
    """(store, item, part) to score."""
    return {
        (store, items[store][at], items[store][:at].count(items[store][at])): score
        for store, some in scores.items()
        for at, score in some.items()
    }


def best(scores):
    """(store, item) to its best score."""
    return {item: max(s for key, s in scores.items() if key[:2] == item) for item in {key[:2] for key in scores}}


@given(tables, found, found, st.integers(1, 8))
def test_items_and_their_scores(items, one, two, n):
    rankings = [collected(items, one), collected(items, two)]
    candidates = Candidates.of(rankings)
    expected = [best(passages(items, scores)) for scores in (one, two)]
    known = sorted(expected[0].keys() | expected[1].keys())
    assert [candidates.item(number) for number in range(len(candidates))] == known
    for ranking, wanted in zip(rankings, expected, strict=True):
        scores = candidates.scores(ranking)
        assert {item: s for item, s in zip(known, scores.tolist(), strict=True) if not np.isnan(s)} == wanted
        assert ranked(scores) == len(wanted)
        order = sorted(wanted, key=lambda item: (-wanted[item], item[1], item[0]))
        assert [candidates.item(number) for number in candidates.first(scores, n)] == order[:n]
        places = {item: at for at, item in enumerate(sorted(wanted, key=lambda item: (-wanted[item], item)), 1)}
        assert [place(scores, number) for number in range(len(known))] == [places.get(item) for item in known]


@given(tables, found, found, st.sampled_from([0.25, 0.5]))
def test_the_best_passage_of_an_item(items, one, two, weight):
    rankings = [collected(items, one), collected(items, two)]
    candidates = Candidates.of(rankings)
    both = [passages(items, scores) for scores in (one, two)]
    every = sorted(both[0].keys() | both[1].keys())
    first, second = (normalise(np.array([scores.get(key, 0.0) for key in every])) for scores in both)
    total = dict(zip(every, (weight * first + (1 - weight) * second).tolist(), strict=True))
    parts = candidates.parts((rankings[0], weight), (rankings[1], 1 - weight)).tolist()
    for number, part in enumerate(parts):
        mine = [key for key in every if key[:2] == candidates.item(number)]
        assert part == min(mine, key=lambda key: (-total[key], key))[2]
