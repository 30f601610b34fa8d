import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from gendata.search import ranking
from gendata.search.ranking import Filter, among, scores_of, top


def in_memory(rows):
    """A ranker over (id, part, score) that returns ties in the order of the rows, and the calls it got."""
    calls = []

    def rank(where, limit):
        calls.append((where, limit))
        best = sorted(rows, key=lambda row: -row[2])[:limit]
        if where:
            best = sorted((r for r in rows if f"'{r[0]}'" in where), key=lambda row: -row[2])[:limit]
        names = ("id", "part", "score")
        columns = zip(*best, strict=True) if best else ([], [], [])
        types = (pa.string(), pa.int32(), pa.float64())
        return pa.table({n: pa.array(list(c), t) for n, c, t in zip(names, columns, types, strict=True)})

    rank.calls = calls
    return rank


rows = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    unique_by=lambda row: row[:2],
    max_size=40,
)


@given(rows, st.integers(1, 10), st.none() | st.sets(st.sampled_from("abcdefgh")), st.sampled_from([0, 100]))
def test_top_equals_brute_force(rows, depth, ids, pushed):
    wanted = [r for r in rows if ids is None or r[0] in ids]
    expected = sorted(((i, part), score) for i, part, score in wanted)
    expected = sorted(expected, key=lambda pair: -pair[1])[:depth]
    where = Filter(ids=None if ids is None else pa.array(sorted(ids), pa.string()))
    old, ranking.PUSHED_IDS = ranking.PUSHED_IDS, pushed
    try:
        assert list(top(in_memory(rows), where, depth).items()) == expected
    finally:
        ranking.PUSHED_IDS = old


def test_scores_of_given_rows(monkeypatch):
    monkeypatch.setattr(ranking, "PUSHED_IDS", 2)
    rank = in_memory([("a", 0, 1.0), ("a", 1, 2.0), ("b", 0, 3.0), ("c", 0, 4.0)])
    found = {("a", 0): 1.0, ("a", 1): 2.0, ("b", 0): 3.0, ("c", 0): 4.0}
    assert scores_of(rank, ["a", "c", "b", "d"], 4) == found
    assert len(rank.calls) == 2


def test_literals_are_quoted():
    assert among(["it's", "\ud800"]) == "id IN ('it''s', '?')"
    assert among([]) == "false"
