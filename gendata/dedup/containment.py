"""Texts that are contained in a longer one: quoted, cut short, or with something added around them.

The containment of A in B is the share of A's shingles that B has (Broder 1997). Of each text that stays the least
hashes of its shingles are kept; a text that has at least half of another's is a candidate to contain it, verified
by both sets of shingles. At a containment of 0.9 all but one candidate of a thousand are found.

Hashes that very many texts share (a footer on every page) point at nothing, and are not looked up: a text that has
no others is left out, and counted.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata import engine
from gendata.compiled import jit
from gendata.dedup.minhash import NONE, Keys, Sieve, shingles
from gendata.dedup.settings import TextParams
from gendata.dedup.texts import Sketches, in_threads, sets_of
from gendata.keep import NO_MATCH, Ints, Verdicts, code
from gendata.ranges import spread

COMMON = 200
"""Texts that share a hash, from which it is not looked up."""


class Index(NamedTuple):
    """Of some texts, by the least hashes of their shingles.

    ``hashes`` ascend; those of place i are of the texts ``owners[starts[i]:starts[i + 1]]``, of whose hashes ``needed``
    must occur.
    """

    sieve: Sieve
    hashes: Keys
    starts: Ints
    owners: npt.NDArray[np.int32]
    needed: npt.NDArray[np.int32]

    @classmethod
    def of(cls, least: Keys, asked: npt.NDArray[np.bool_]) -> "Index":
        """Of the texts that are ``asked`` for (texts,); ``least`` (texts, LEAST) as in a sketch."""
        owners = np.repeat(np.flatnonzero(asked).astype(np.int32), least.shape[1])
        values = least[asked].ravel()
        owners, values = owners[values != NONE], values[values != NONE]
        order = np.argsort(values, kind="stable")
        owners, values = owners[order], values[order]
        hashes, counts = np.unique(values, return_counts=True)
        rare = np.repeat(counts < COMMON, counts)
        owners, hashes, counts = owners[rare], hashes[counts < COMMON], counts[counts < COMMON]
        has = np.bincount(owners, minlength=len(least))
        starts = np.concatenate(([0], np.cumsum(counts)))
        needed = ((has + 1) // 2).astype(np.int32)
        return cls(Sieve.of(hashes.astype(np.uint64) << np.uint64(32)), hashes, starts, owners, needed)

    def owned(self, found: Keys, of_text: Ints) -> Ints:
        """Which owners have as many of their hashes in a text as they need: pairs of owner and text (pairs, 2).

        ``found`` are hashes of texts, ``of_text`` the number of the text of each.
        """
        place = np.minimum(np.searchsorted(self.hashes, found), len(self.hashes) - 1)
        met = self.hashes[place] == found
        text, place = np.divmod(np.unique(of_text[met] * len(self.hashes) + place[met]), len(self.hashes))
        hit, entry = spread(self.starts[place], self.starts[place + 1])
        both, counts = np.unique(text[hit] * len(self.needed) + self.owners[entry], return_counts=True)
        text, owner = np.divmod(both, len(self.needed))
        enough = counts >= self.needed[owner]
        return np.stack((owner[enough], text[enough]), axis=1)


def search(sketches: Sketches, order: Ints, verdicts: Verdicts, params: TextParams, workers: int) -> dict[str, int]:
    """Find what is contained in what among the texts that stay; judge it, if contained texts are to be removed.

    A text is dropped if and only if one that comes before it, stays and is of its origin contains it; what was merged
    into it follows it.

    Args:
        sketches: of all texts.
        order: of the keep policy, as positions.
        verdicts: of the search for near-duplicates.
        params: the threshold, and whether to remove.
        workers: threads.

    Returns:
        How many texts are contained in another, and how many were left out.
    """
    if not params.contained:
        return {"found": 0, "left_out": 0}
    stays: npt.NDArray[np.bool_] = verdicts.reason[sketches.items] == NO_MATCH
    asked = stays & (sketches.words >= params.contained_words)
    index = Index.of(sketches.least, asked)
    left_out = int((asked & (index.needed == 0)).sum())
    if not len(index.hashes):
        return {"found": 0, "left_out": left_out}
    pairs = np.concatenate([np.empty((0, 2), np.int64), *_candidates(sketches, stays, index, params, workers)])
    if not len(pairs):
        return {"found": 0, "left_out": left_out}
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    pairs = pairs[np.lexsort((rank[pairs[:, 1]], rank[pairs[:, 0]]))]
    places, flat = np.unique(pairs, return_inverse=True)
    sets = sets_of(sketches, places, params, workers)
    shares = _shares(flat.reshape(-1, 2), *sets)
    enough = shares >= params.contained
    _judge(sketches, pairs[enough], shares[enough], rank, verdicts, params)
    verdicts.stays_as = verdicts.stays_as[verdicts.stays_as]
    _name(sketches.items[pairs[enough]], shares[enough], verdicts)
    return {"found": int((verdicts.inside >= 0).sum()), "left_out": left_out}


def _candidates(
    sketches: Sketches, stays: npt.NDArray[np.bool_], index: Index, params: TextParams, workers: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Pairs of places: what may be contained, and in what."""
    chosen = np.zeros(sketches.count, bool)
    chosen[sketches.among[stays]] = True
    places, start = np.flatnonzero(stays), 0
    probe = partial(_probe, n=params.shingle, index=index)
    with engine.Progress("dedup: contained texts", len(places), "items") as progress:
        for pairs, count in in_threads(probe, sketches.texts, workers, chosen):
            numbers = places[start : start + count]
            start += count
            pairs[:, 1] = numbers[pairs[:, 1]]
            yield pairs[pairs[:, 0] != pairs[:, 1]]
            progress.add(count)


def _probe(texts: pa.Array, n: int, index: Index) -> tuple[npt.NDArray[np.int64], int]:
    """Pairs (pairs, 2) of an owner in the index and a text that may contain it; and how many texts there were."""
    found, bounds = index.sieve.passing(shingles(texts, n))
    hashes = (found >> np.uint64(32)).astype(np.uint32)
    return index.owned(hashes, np.repeat(np.arange(len(texts)), np.diff(bounds))), len(texts)


@jit
def _shares(pairs: Any, shingles: Any, firsts: Any, lasts: Any) -> Any:
    """Of each pair of sets, the share of the first that the second has, too."""
    shares = np.empty(len(pairs))
    for pair in range(len(pairs)):
        a, b = pairs[pair]
        i, j, common = firsts[a], firsts[b], 0
        while i < lasts[a] and j < lasts[b]:
            x, y = shingles[i], shingles[j]
            common += x == y
            i += x <= y
            j += y <= x
        shares[pair] = common / (lasts[a] - firsts[a])
    return shares


def _judge(
    sketches: Sketches,
    pairs: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    rank: Ints,
    verdicts: Verdicts,
    params: TextParams,
) -> None:
    """Drop each text, in order, for the one that contains most of it."""
    dropped = code("contained")
    verdicts.join(sketches.items[pairs[:, 0]], sketches.items[pairs[:, 1]])
    for (a, b), share in zip(pairs.tolist(), shares.tolist(), strict=True):
        part, whole = int(sketches.items[a]), int(sketches.items[b])
        may = params.remove_contained and rank[b] < rank[a] and verdicts.origins[part] == verdicts.origins[whole]
        if may and verdicts.reason[whole] == NO_MATCH:
            better = verdicts.reason[part] == NO_MATCH or share > verdicts.score[part]
            if better:
                verdicts.stays_as[part], verdicts.score[part], verdicts.reason[part] = whole, share, dropped


def _name(pairs: Ints, shares: npt.NDArray[np.float64], verdicts: Verdicts) -> None:
    """Of each text, the one that contains most of it, or what stays for that one if it was dropped: never itself."""
    whole = verdicts.stays_as[pairs[:, 1]]
    backward = np.flatnonzero(whole != pairs[:, 0])[::-1]
    last_is_best = backward[np.argsort(shares[backward], kind="stable")]  # of equals the first in visiting order
    verdicts.inside[pairs[last_is_best, 0]] = whole[last_is_best]
