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
from numba import njit

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
        return sum(math.comb(self.width, k) for k in range(self.radius + 1)) * (_PROBE + count / 2**self.width)

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
        self._shifts = np.array([c.shift for c in plan], np.uint64)
        self._values = np.array([(1 << c.width) - 1 for c in plan], np.uint64)  # what to keep after the shift
        self._radii = np.array([c.radius for c in plan], np.int64)
        masks = [c.masks() for c in plan]
        self._masks = np.array(sum(masks, []), np.uint64)
        self._mask_bounds = np.cumsum([0, *map(len, masks)])
        self._tables = np.cumsum([0, *(1 << c.width for c in plan)])  # where the buckets of each chunk begin
        room = np.zeros(self._tables[-1] + 1, np.int64)
        _count(hashes, self._shifts, self._values, self._tables, room)
        starts = np.cumsum(room)
        self._buckets = np.stack((starts[:-1], starts[:-1]), axis=1)  # first slot, and the one after the last in use
        self._slot_hash = np.empty(starts[-1], np.uint64)
        self._slot_place = np.empty(starts[-1], np.uint32)
        self._near = np.empty(_FIRST_ROOM, np.int64)

    def add(self, places: Ints) -> None:
        """Add the hashes at these places; each may be added once."""
        _add(
            places,
            self._hashes,
            self._shifts,
            self._values,
            self._tables,
            self._buckets,
            self._slot_hash,
            self._slot_place,
        )

    def near(self, queries: Hashes) -> tuple[Ints, Ints]:
        """All added hashes within the radius of each query.

        Returns:
            bounds (queries + 1,) and places: those of query i are ``places[bounds[i]:bounds[i + 1]]``, ascending.
        """
        bounds = np.zeros(len(queries) + 1, np.int64)
        args = (self._masks, self._mask_bounds, self._tables, self._buckets)
        while True:
            count = _find(
                queries,
                self._radius,
                (self._shifts, self._values, self._radii),
                args,
                (self._slot_hash, self._slot_place),
                bounds,
                self._near,
            )
            if count <= len(self._near):
                return bounds, self._near[:count].copy()
            self._near = np.empty(count + count // 4, np.int64)


@njit(nogil=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def popcount(x: np.uint64) -> np.uint64:
    """The number of bits that are set (LLVM makes one instruction of it)."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (x * np.uint64(0x0101010101010101)) >> np.uint64(56)


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _count(hashes: Hashes, shifts: Hashes, values: Hashes, tables: Ints, room: Ints) -> None:
    """How many hashes each bucket may get, one place to the right."""
    for k in range(len(shifts)):
        for value in hashes:
            room[tables[k] + np.int64((value >> shifts[k]) & values[k]) + 1] += 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _add(
    places: Ints,
    hashes: Hashes,
    shifts: Hashes,
    values: Hashes,
    tables: Ints,
    buckets: Ints,
    slot_hash: Hashes,
    slot_place: npt.NDArray[np.uint32],
) -> None:
    for place in places:
        value = hashes[place]
        for k in range(len(shifts)):
            bucket = tables[k] + np.int64((value >> shifts[k]) & values[k])
            slot_hash[buckets[bucket, 1]] = value
            slot_place[buckets[bucket, 1]] = place
            buckets[bucket, 1] += 1


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _find(queries, radius, cut, lookup, slots, bounds, near):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913
    """Fill ``bounds`` and as much of ``near`` as it holds; returns how many pairs there are."""
    shifts, values, radii = cut
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
                    if popcount(differing) <= radius and _first_met(differing, k, shifts, values, radii):
                        if count < len(near):
                            near[count] = slot_place[slot]
                        count += 1
        bounds[i + 1] = count
        if count <= len(near):
            near[bounds[i] : count].sort()
    return count


@njit(nogil=True, cache=True)  # type: ignore[untyped-decorator]
def _first_met(differing, k, shifts, values, radii):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Whether a pair is met in chunk k for the first time, so that it counts once."""
    for j in range(k):
        if np.int64(popcount((differing >> shifts[j]) & values[j])) <= radii[j]:
            return False
    return True
