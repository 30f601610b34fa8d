"""The Hamming search against comparing all with all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gendata.dedup import hamming
from gendata.dedup.hamming import Chunk, HammingIndex, chunks


def clustered(rng, count):
    """Hashes of which half lie near others, at up to some 16 bits."""
    hashes = rng.integers(0, 2**64, count, dtype=np.uint64)
    half = count // 2
    hashes[count - half :] = hashes[:half]
    for _ in range(16):
        flips = (rng.random(half) < rng.random()).astype(np.uint64) << rng.integers(0, 64, half).astype(np.uint64)
        hashes[count - half :] ^= flips
    return hashes


def cut(m, radius):
    """A plan of m chunks, whatever it costs."""
    widths = [64 // m + (i >= m - 64 % m) for i in range(m)]
    radii = [radius // m - (i > radius % m) for i in range(m)]
    starts = np.cumsum([0, *widths]).tolist()
    return [Chunk(*c) for c in zip(starts[:m], widths, radii, strict=True) if c[2] >= 0]


def check(hashes, added, queries, radius):
    index = HammingIndex(hashes, radius)
    index.add(added)
    bounds, found = index.near(queries)
    distance = np.bitwise_count(queries[:, None] ^ hashes[None, :])
    inside = np.zeros(len(hashes), bool)
    inside[added] = True
    for i in range(len(queries)):
        expected = np.flatnonzero((distance[i] <= radius) & inside)
        assert found[bounds[i] : bounds[i + 1]].tolist() == expected.tolist()
    return len(found)


@given(st.integers(0, 2**32 - 1), st.integers(0, 24), st.integers(4, 9), st.integers(1, 400))
def test_every_way_to_cut_finds_exactly_the_pairs_within_the_radius(seed, radius, m, count):
    rng = np.random.default_rng(seed)
    hashes = clustered(rng, count)
    added = np.flatnonzero(rng.random(count) < 0.7)
    before = hamming.chunks
    hamming.chunks = lambda _count, r: cut(m, r)
    try:
        found = check(hashes, added, hashes[:50], radius)
    finally:
        hamming.chunks = before
    assert found >= np.count_nonzero(added < 50)  # each that was added finds itself


@pytest.mark.parametrize("radius", [0, 1, 10, 12, 20, 40, 64])
@pytest.mark.parametrize("count", [0, 1, 2, 5000, 60_000])
def test_the_cheapest_cut_is_exact(count, radius):
    rng = np.random.default_rng(count + radius)
    hashes = clustered(rng, count)
    queries = np.concatenate((hashes[-20:], rng.integers(0, 2**64, 5, dtype=np.uint64)))
    found = check(hashes, np.arange(count), queries, radius)
    assert found >= min(count, 20)


def test_many_hashes_are_cut_and_few_or_a_wide_radius_are_scanned():
    assert len(chunks(100_000, 12)) > 3
    assert chunks(100, 12) == chunks(10_000_000, 64) == [Chunk(0, 0, 0)]
    for count in (10**4, 10**5, 10**6, 10**7):
        scanned, searched = count, sum(c.cost(count) for c in chunks(count, 12))
        assert searched < scanned / 2


def test_hashes_are_found_once_added_and_equal_ones_all():
    hashes = np.array([7, 7, 8, 2**63], np.uint64)
    index = HammingIndex(hashes, 0)
    assert index.near(hashes)[1].tolist() == []
    index.add(np.array([1]))
    index.add(np.array([0, 3]))
    bounds, found = index.near(hashes)
    assert (bounds.tolist(), found.tolist()) == ([0, 2, 4, 4, 5], [0, 1, 0, 1, 3])


def test_more_pairs_than_there_was_room_for():
    hashes = np.zeros(1000, np.uint64)
    assert check(hashes, np.arange(1000), hashes[:100], 12) == 100_000
