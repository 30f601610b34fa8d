"""Hashes of 64 bits within a Hamming distance of others: exact, and far fewer comparisons than all pairs.

Multi-index hashing: Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012.
The bits are cut into m chunks. With radius = m r + a, two hashes within the radius differ by at most r bits in one of
the first a + 1 chunks, or by at most r - 1 bits in one of the others (else they would differ by
(a + 1)(r + 1) + (m - a - 1) r = radius + 1 bits at least). So each chunk has a table of buckets by its bits, a query
looks up all values near its own, and what it meets is compared whole. Which m is cheapest is estimated from the
number of hashes; one table of one bucket, a plain scan, is best for few hashes and for a large radius.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from gendata.dedup.compiled import jit

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_WIDEST = 22  # bits of a chunk: a table of 4 million buckets
_PROBE = 60.0  # what looking up a bucket costs, in comparisons of two hashes
_FIRST_ROOM = 1 << 12  # pairs


@dataclass(frozen=True, slots=True)
class Chunk:
    """``width`` bits from bit ``shift`` on, in which hashes that meet here differ by ``radius`` at most."""

    shift: int
    width: int
    radius: int

    def cost(self, count: int) -> float:
        """What a query costs among ``count`` evenly spread hashes, in comparisons."""
        values = sum(math.comb(self.width, k) for k in range(self.radius + 1))
        return float(values * (_PROBE + count / 2**self.width))

    def masks(self) -> list[int]:
        """The values that differ from 0 by at most ``radius`` bits."""
        sets = (bits for k in range(self.radius + 1) for bits in combinations(range(self.width), k))
        return [sum(1 << bit for bit in bits) for bits in sets]


def chunks(count: int, radius: int) -> list[Chunk]:
    """The cheapest way to cut for ``count`` hashes; a single chunk of no width is a plain scan."""
    plans = [[Chunk(0, 0, 0)]]
    for m in range(math.ceil(64 / _WIDEST), 9):
        widths = [64 // m + (i >= m - 64 % m) for i in range(m)]  # narrow ones first: these get the larger radius
        shifts = np.cumsum([0, *widths]).tolist()
        radii = [radius // m - (i > radius % m) for i in range(m)]
        if max(radii) <= 4:
            plans.append([Chunk(*c) for c in zip(shifts[:m], widths, radii, strict=True) if c[2] >= 0])
    return min(plans, key=lambda plan: sum(chunk.cost(count) for chunk in plan))


class HammingIndex:
    """Finds hashes within ``radius`` of others among those added so far.

    Memory: 12 bytes per chunk (mostly four) and hash that may be added, plus the tables of buckets.
    """

    def __init__(self, hashes: Hashes, radius: int) -> None:
        """``hashes``: all that may be added, shape (n,); none is in the index yet."""
        plan = chunks(len(hashes), radius)
        self._hashes, self._radius = hashes, radius
        masks = [np.array(c.masks(), np.uint64) for c in plan]
        # of each chunk: where it is cut, what to keep after the shift, and in how many bits it may differ
        self._cut = (
            np.array([c.shift for c in plan], np.uint64),
            np.array([(1 << c.width) - 1 for c in plan], np.uint64),
            np.array([c.radius for c in plan], np.int64),
        )
        self._masks = (np.concatenate(masks), np.cumsum([0, *map(len, masks)]))
        self._tables = np.cumsum([0, *(1 << c.width for c in plan)])  # where the buckets of each chunk begin
        room = np.zeros(self._tables[-1] + 1, np.int64)
        _count(hashes, self._cut, self._tables, room)
        starts = np.cumsum(room)
        self._buckets = np.stack((starts[:-1], starts[:-1]), axis=1)  # first slot, and the one after the last in use
        self._slots = (np.empty(starts[-1], np.uint64), np.empty(starts[-1], np.uint32))  # hash and its place
        self._near = np.empty(_FIRST_ROOM, np.int64)

    def add(self, places: Ints) -> None:
        """Add the hashes at these places; each may be added once."""
        _add(places, self._hashes, self._cut, self._tables, self._buckets, self._slots)

    def near(self, queries: Hashes) -> tuple[Ints, Ints]:
        """All added hashes within the radius of each query.

        Returns:
            bounds (queries + 1,) and places: those of query i are ``places[bounds[i]:bounds[i + 1]]``, ascending.
        """
        bounds = np.zeros(len(queries) + 1, np.int64)
        lookup = (*self._masks, self._tables, self._buckets)
        while True:
            count = _find(queries, self._radius, self._cut, lookup, self._slots, bounds, self._near)
            if count <= len(self._near):
                return bounds, self._near[:count].copy()
            self._near = np.empty(count + count // 4, np.int64)


Cut = tuple[Hashes, Hashes, Ints]
Slots = tuple[Hashes, npt.NDArray[np.uint32]]


@jit
def popcount(x: np.uint64) -> np.uint64:
    """The number of bits that are set (LLVM makes one instruction of it)."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@jit
def _bucket(value: np.uint64, k: int, cut: Cut, tables: Ints) -> int:
    """The bucket of a hash in the table of chunk k."""
    return int(tables[k] + np.int64((value >> cut[0][k]) & cut[1][k]))


@jit
def _count(hashes: Hashes, cut: Cut, tables: Ints, room: Ints) -> None:
    """How many hashes each bucket may get, one place to the right."""
    for k in range(len(cut[0])):
        for value in hashes:
            room[_bucket(value, k, cut, tables) + 1] += 1


@jit
def _add(places: Ints, hashes: Hashes, cut: Cut, tables: Ints, buckets: Ints, slots: Slots) -> None:
    for place in places:
        for k in range(len(cut[0])):
            bucket = _bucket(hashes[place], k, cut, tables)
            slot = buckets[bucket, 1]
            slots[0][slot], slots[1][slot] = hashes[place], place
            buckets[bucket, 1] += 1


@jit
def _find(
    queries: Hashes,
    radius: int,
    cut: Cut,
    lookup: tuple[Hashes, Ints, Ints, Ints],
    slots: Slots,
    bounds: Ints,
    near: Ints,
) -> int:
    """Fill ``bounds`` and as much of ``near`` as it holds; returns how many pairs there are."""
    shifts, values, _ = cut
    masks, mask_bounds, tables, buckets = lookup
    slot_hash, slot_place = slots
    count = 0
    for i in range(len(queries)):
        query = queries[i]
        for k in range(len(shifts)):
            own = (query >> shifts[k]) & values[k]
            for m in range(mask_bounds[k], mask_bounds[k + 1]):
                bucket = tables[k] + np.int64(own ^ masks[m])
                for slot in range(buckets[bucket, 0], buckets[bucket, 1]):
                    differing = query ^ slot_hash[slot]
                    if popcount(differing) <= radius and _first_met(differing, k, cut):
                        if count < len(near):
                            near[count] = slot_place[slot]
                        count += 1
        bounds[i + 1] = count
        if count <= len(near):
            near[bounds[i] : count].sort()
    return count


@jit
def _first_met(differing: np.uint64, k: int, cut: Cut) -> bool:
    """Whether a pair is met in chunk k for the first time, so that it counts once."""
    met_before = False
    for j in range(k):
        met_before |= popcount((differing >> cut[0][j]) & cut[1][j]) <= cut[2][j]
    return not met_before
