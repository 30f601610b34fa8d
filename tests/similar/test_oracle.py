"""Who stays, against all pairs compared one by one; the same whatever the order, the shards and the blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.items import ORIGINS
from gendata.similar import SimilarParams, greedy, partition
from gendata.similar.greedy import judge
from gendata.similar.partition import Partition
from gendata.similar.vectors import MOST_PARTS, Vectors, VectorsWriter, compare, rounded

THRESHOLD, LEVELS = 0.8, (0.6, 0.9)


def _similarity(ones, others):
    """Of two items as (vector, weight) lists, by the definition."""

    def share(mine, theirs):
        best = [max(sum(int(x) * int(y) for x, y in zip(a, b, strict=True)) for b, _ in theirs) for a, _ in mine]
        weights = [int(weight) for _, weight in mine]
        return sum(w * b for w, b in zip(weights, best, strict=True)) / sum(weights) / 2**22

    return np.float32(min(share(ones, others), share(others, ones)))


def _stay(items, origins, threshold):
    """Items in visiting order: the best that stays of the own origin for each that goes, and of another origin."""
    staying, match, rival = [], {}, {}
    for n, item in enumerate(items):
        scores = {m: _similarity(item, items[m]) for m in staying}
        high = {m: s for m, s in scores.items() if s >= np.float32(threshold)}
        for found, mine in ((match, True), (rival, False)):
            among = {m: s for m, s in high.items() if (origins[m] == origins[n]) == mine}
            if among:
                best = max(among, key=lambda m: (among[m], -m))
                found[n] = best, among[best]
        if n not in match:
            staying.append(n)
    return match, rival


@st.composite
def corpora(draw, most_parts=3):
    """Items of a few dimensions in which many are alike, in visiting order, with their origins."""
    coordinate = st.integers(-3, 3)
    vector = st.lists(coordinate, min_size=3, max_size=3).filter(any)
    parts = st.lists(st.tuples(vector, st.integers(1, 9)), min_size=1, max_size=most_parts)
    items = draw(st.lists(parts, min_size=1, max_size=14))
    origins = sorted(draw(st.lists(st.integers(0, 2), min_size=len(items), max_size=len(items))))
    return items, np.array(origins, np.int8)


def _vectors(path, items):
    path.unlink(missing_ok=True)
    writer = VectorsWriter(path)
    for item in items:
        matrix, weights = np.array([v for v, _ in item], float), np.array([w for _, w in item])
        writer.add(matrix, np.array([len(item)]), weights)
    return writer.vectors()


def _all(count):
    return Partition(np.zeros(count, np.int32), np.zeros((count, 1), np.int32))


@given(corpora(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_judged_as_by_all_pairs_one_by_one(tmp_path_factory, corpus, block, rows, workers):
    items, origins = corpus
    path = tmp_path_factory.getbasetemp() / "vectors"
    vectors = _vectors(path, items)
    exact = [list(zip(rounded(np.array([v for v, _ in item])), [w for _, w in item], strict=True)) for item in items]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(greedy, "BLOCK", block)
        patch.setattr(greedy, "CHUNK", block)
        patch.setattr(greedy, "ROWS", rows)
        found = judge(vectors, np.arange(len(items)), origins, _all(len(items)), THRESHOLD, LEVELS, workers)
    match, rival = _stay(exact, origins, THRESHOLD)
    assert {n: (m, found.score[n]) for n, m in enumerate(found.match) if m >= 0} == match
    assert {n: (m, found.rival_score[n]) for n, m in enumerate(found.rival) if m >= 0} == rival
    for level in (*LEVELS, THRESHOLD):
        assert found.going[level] == len(_stay(exact, origins, level)[0])


@given(st.lists(st.integers(0, 40), min_size=2, max_size=30), st.randoms(use_true_random=False), st.integers(1, 9))
def test_order_and_shards_change_nothing(box_for_examples, thing, degrees, random, shard_rows):
    things = [
        thing(str(n), [[np.cos(d / 25), np.sin(d / 25)]], origin=ORIGINS[n % 3], size=n % 4)
        for n, d in enumerate(degrees)
    ]
    how = SimilarParams(remove=True)
    first = box_for_examples({"s": things}, how)
    random.shuffle(things)
    again = box_for_examples({"s": things}, how, shard_rows=shard_rows)
    assert again.rows == first.rows
    assert again.summary == first.summary


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(0, 99), st.randoms(use_true_random=False))
def test_every_item_has_one_part_and_is_compared_with_it(tmp_path_factory, counts, exact, random):
    rng = np.random.default_rng(sum(counts))
    items = [[(rng.normal(size=4).tolist(), 1) for _ in range(count)] for count in counts]
    vectors, order = _vectors(tmp_path_factory.getbasetemp() / "parts", items), np.arange(len(items))
    random.shuffle(order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partition, "LIST", 16)
        parts = partition.partition(vectors, order, exact)
    assert len(parts.home) == len(parts.probes) == len(items)
    assert np.array_equal(parts.probes[:, 0], parts.home)
    assert all(len(set(row)) == len(row) for row in parts.probes.tolist())
    if sum(counts) <= exact:
        assert parts.parts == 1


def test_what_stays_is_not_alike_and_what_goes_is_like_it(box, thing):
    rng = np.random.default_rng(0)
    things = [thing(str(n), rng.normal(size=(rng.integers(1, 4), 4))) for n in range(120)]
    found = box({"s": things}, SimilarParams(remove=True, text_threshold=0.8))
    kept = [t for t in things if found.rows[t.name]["kept"]]
    assert 0 < len(kept) < len(things)
    assert box({"s": kept}, SimilarParams(remove=True, text_threshold=0.8)).pairs() == {}


def test_scores_do_not_depend_on_what_is_compared_beside(tmp_path):
    rng = np.random.default_rng(1)
    parts = rounded(rng.normal(size=(300, 384)))
    vectors = Vectors(parts, np.arange(301), np.ones(300, np.int64))
    whole = compare(vectors.take(np.arange(300)), vectors.take(np.arange(300)))
    for some in (np.array([7]), np.arange(5, 70), np.array([299, 3, 150])):
        assert np.array_equal(compare(vectors.take(some), vectors.take(np.arange(300))), whole[some])
    exact = parts.astype(np.int64) @ parts.astype(np.int64).T
    assert np.array_equal(whole * 2.0**22, exact)


def test_a_text_is_not_like_one_that_holds_it_and_much_else(box, thing):
    axes = np.eye(8)
    things = [
        thing("long", axes[:6], size=60),
        thing("part", axes[:2], size=20),
        thing("turned", axes[[5, 4, 3, 2, 1, 0]], size=60),
    ]
    assert set(box({"s": things}).pairs()) in [{"long"}, {"turned"}]  # passages in another order are the same text


def test_a_very_long_text_is_compared_by_runs_of_its_passages(box, thing):
    rng = np.random.default_rng(2)
    passages = rng.normal(size=(3 * MOST_PARTS + 5, 16))
    near = passages + 0.001 * rng.normal(size=passages.shape)
    things = [thing("long", passages, size=9000), thing("near", near, size=8000), thing("short", passages[:2])]
    found = box({"s": things})
    assert found.pairs() == {"near": "long"}
    assert found.summary["compared"]["text"]["vectors"] == 2 * MOST_PARTS + 2


def test_a_partition_finds_nearly_all_that_is_alike(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    count = 3000
    matrix = rng.normal(size=(count, 32))
    matrix[1::2] = matrix[::2] + 0.1 * rng.normal(size=(count // 2, 32))  # each with one like it
    vectors = Vectors(rounded(matrix), np.arange(count + 1), np.ones(count, np.int64))
    order, origins = rng.permutation(count), np.zeros(count, np.int8)
    monkeypatch.setattr(partition, "LIST", 100)
    parts = partition.partition(vectors, order, exact=1000)
    assert parts.parts > 20
    exact = judge(vectors, order, origins, _all(count), 0.95)
    found = judge(vectors, order, origins, parts, 0.95)
    assert exact.going[0.95] == count // 2
    assert found.going[0.95] >= 0.99 * exact.going[0.95]
    assert set(np.flatnonzero(found.match >= 0)) <= set(np.flatnonzero(exact.match >= 0))
    again = partition.partition(vectors, order, exact=1000)
    assert np.array_equal(again.probes, parts.probes)


def test_threads_change_nothing(monkeypatch):
    rng = np.random.default_rng(4)
    centres = rng.normal(size=(40, 16))
    matrix = centres[rng.integers(0, 40, 2000)] + 0.4 * rng.normal(size=(2000, 16))
    vectors = Vectors(rounded(matrix), np.arange(2001), np.ones(2000, np.int64))
    order, origins = rng.permutation(2000), np.repeat(np.arange(2, dtype=np.int8), 1000)
    monkeypatch.setattr(partition, "LIST", 50)
    monkeypatch.setattr(partition, "_CHUNK", 128)
    monkeypatch.setattr(greedy, "BLOCK", 300)
    found = []
    for workers in (1, 2, 4):
        parts = partition.partition(vectors, order, 500, workers)
        one = judge(vectors, order, origins, parts, 0.9, LEVELS, workers)
        found.append([*(a.tobytes() for a in (*parts, one.match, one.score, one.rival, one.rival_score)), one.going])
    assert found[0] == found[1] == found[2]
    assert (one.match >= 0).any()
    assert (one.rival >= 0).any()
