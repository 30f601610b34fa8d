import hashlib

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gendata.search import ranking
from gendata.search.directory import Directory, keys_of
from gendata.search.ranking import Filter, Rows, among, scores_of, top


def of(name):
    """An id."""
    return hashlib.sha256(name.encode()).hexdigest()


def key(name):
    return int(of(name)[:16], 16)


def keys(names):
    return np.array(sorted(map(key, names)), np.uint64)


def pairs(memory, found):
    """Rows in their order: ((key, part), score)."""
    columns = (memory.directory.keys[found.places], memory.directory.parts[found.places], found.scores)
    return [((key, part), score) for key, part, score in zip(*(c.tolist() for c in columns), strict=True)]


class InMemory:
    """A ranking of (name, part, score) that returns ties in the order of the rows, and the calls it got."""

    def __init__(self, rows, reach=0):
        self.rows, self.reach, self.calls = rows, reach, []
        ids = pa.array([of(name) for name, *_ in rows], pa.string())
        parts = np.array([part for _, part, _ in rows], np.int32)
        # row ids as after a compaction: not in the order of the table
        self.directory = Directory.of_rows(np.arange(len(rows), dtype=np.uint64)[::-1].copy(), keys_of(ids), parts)

    def best(self, where, limit):
        self.calls.append((where, limit))
        conditions = where.split(" AND ") if where else []
        taken = [
            n
            for n, row in enumerate(self.rows)
            if all((f"'{of(row[0])}'" in one) != ("NOT" in one) for one in conditions)
        ]
        return self._rows(sorted(taken, key=lambda n: -self.rows[n][2])[:limit])

    def scores(self, places):
        self.calls.append(places)
        return self._rows([n for n in places.tolist() if self.rows[n][2] > 0])

    def _rows(self, numbers):
        return Rows(np.array(numbers, np.int64), np.array([self.rows[n][2] for n in numbers], np.float64))


rows = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    unique_by=lambda row: row[:2],
    max_size=40,
)


@given(
    rows,
    st.integers(1, 10),
    st.none() | st.sets(st.sampled_from("abcdefgh")),
    st.none() | st.sets(st.sampled_from("abcdefgh")),
    st.sampled_from([0, 100]),
    st.sampled_from([0, 100]),
)
def test_top_equals_brute_force(rows, depth, ids, without, pushed, reach):
    wanted = [r for r in rows if (ids is None or r[0] in ids) and (without is None or r[0] not in without)]
    expected = sorted(((key(name), part), score) for name, part, score in wanted)
    expected = sorted(expected, key=lambda pair: -pair[1])[:depth]
    where = Filter(
        None, *(None if some is None else pa.array(map(of, sorted(some)), pa.string()) for some in (ids, without))
    )
    old, ranking.PUSHED_IDS = ranking.PUSHED_IDS, pushed
    try:
        memory = InMemory(rows, reach)
        found = top(memory, where, depth)
    finally:
        ranking.PUSHED_IDS = old
    assert pairs(memory, found.best) == expected
    if found.whole:
        assert sorted(found.seen.scores) == sorted(score for *_, score in wanted)


@given(rows, st.sets(st.sampled_from("abcdefgh")), st.integers(1, 10), st.sampled_from([0, 100]))
def test_scores_of_given_items(rows, names, depth, reach):
    rows = [row for row in rows if row[2] > 0]
    memory = InMemory(rows, reach)
    expected = {(key(name), part): score for name, part, score in rows if name in names}
    assert dict(pairs(memory, scores_of(memory, keys(names)))) == expected
    found = top(memory, Filter(), depth)
    memory.calls.clear()
    assert dict(pairs(memory, scores_of(memory, keys(names), found))) == expected
    assert not (found.whole and memory.calls)


def test_literals_are_quoted():
    assert among(["it's", "\ud800"]) == "id IN ('it''s', '?')"
    assert among([]) == "false"
