"""Which images go: those of equal pixels, and those that show the same as one that stays."""

from collections import defaultdict
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gendata.dedup import ImageParams
from gendata.dedup.image.candidates import Candidates, Hits
from gendata.dedup.image.compare import same_colours, similarities
from gendata.dedup.image.decode import NONE
from gendata.dedup.image.sketches import Digests, Sketches
from gendata.dedup.image.views import turns
from gendata.keep import NO_MATCH, PROBE, Ints, Verdicts, code

_BLOCK, _BLOCK_OF_CROPS = 256, 32  # images asked about at once
_BELOW_ONE = np.nextafter(1.0, 0.0)  # a score of 1.0 says that the pixels are equal


def search(sketches: Sketches, order: Ints, verdicts: Verdicts, params: ImageParams) -> int:
    """Judge all images in ``order`` (positions); returns how many pairs were compared on pixels.

    Blocks of images are compared by hash with all that stay so far, and inside the block. Many copies of one image
    cost one comparison each; many images whose hashes are alike and whose pixels are not, one per pair.
    """
    visit = np.empty(len(order), np.int64)
    visit[order] = np.arange(len(order))
    number = _shared(sketches.digests)
    equals: defaultdict[int, list[int]] = defaultdict(list)  # by number, the images that stay
    stays = np.zeros(len(order), bool)
    candidates = Candidates(sketches, turns(params.invariant), params.group_radius)
    size = _BLOCK_OF_CROPS if "crop" in params.invariant else _BLOCK
    compared = 0
    for start in range(0, len(order), size):
        block = order[start : start + size]
        hits = candidates.hits(block)
        bounds = np.searchsorted(hits.row, np.arange(len(block) + 1))
        alone = (np.diff(bounds) == 0) & (number[block] < 0)
        stays[block[alone]] = verdicts.role[sketches.items[block[alone]]] != PROBE
        together = None if "crop" in params.invariant else _Matches.of(sketches, hits, visit, params)
        for row in np.flatnonzero(~alone).tolist():
            at = int(block[row])
            mine = np.arange(bounds[row], bounds[row + 1])
            mine = mine[stays[sketches.owners[hits.met[mine]]]]
            compared += len(set(sketches.owners[hits.met[mine]].tolist()))
            found = together.of_row(row) if together else _Matches.of(sketches, hits.some(mine), visit, params)
            equal = equals[number[at]] if number[at] >= 0 else []
            stays[at] = _judge(sketches, at, found.those(stays[found.images]), equal, visit, verdicts)
            if stays[at]:
                equal.append(at)
        candidates.add(block[stays[block]])
    return compared


def _shared(digests: Digests) -> Ints:
    """A number for each digest that several images have; -1 for the others."""
    _, number, counts = np.unique(digests, return_inverse=True, return_counts=True)
    return np.where((counts[number] > 1) & (digests != np.void(NONE)), number, -1)


class _Matches(NamedTuple):
    """Which images those of some rows are like, in visiting order, each as it is met best; all of shape (matches,)."""

    rows: Ints
    images: Ints
    scores: npt.NDArray[np.float64]
    reasons: npt.NDArray[np.int8]

    @classmethod
    def of(cls, sketches: Sketches, hits: Hits, visit: Ints, params: ImageParams) -> "_Matches":
        """Of hits: those whose pixels are alike. Windows are costly, and compared for one row at a time."""
        scores = np.minimum(similarities(sketches, hits, params), _BELOW_ONE)
        matching = (scores >= params.correlation) & (hits.distance <= params.radius)
        places = np.flatnonzero(matching)
        matching[places] = same_colours(sketches, hits.some(places), params.colour)
        alike = matching | (scores >= params.group_correlation)
        reasons = np.where(matching, np.int8(code("near-image")), np.int8(NO_MATCH))
        return cls(hits.row, sketches.owners[hits.met], scores, reasons).those(alike).best(visit)

    def those(self, places: Any) -> "_Matches":
        """Some of them: by a mask, a slice, or in another order."""
        return _Matches(self.rows[places], self.images[places], self.scores[places], self.reasons[places])

    def of_row(self, row: int) -> "_Matches":
        """Those of a row; rows ascend."""
        return self.those(slice(*np.searchsorted(self.rows, (row, row + 1))))

    def best(self, visit: Ints) -> "_Matches":
        """Of an image that a row meets in several ways the best."""
        order = np.lexsort((-self.scores, self.reasons == NO_MATCH, visit[self.images], self.rows))
        ordered = self.those(order)
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(ordered.images) != 0) | (np.diff(ordered.rows) != 0)
        return ordered.those(first)


def _judge(sketches: Sketches, at: int, found: _Matches, equal: list[int], visit: Ints, verdicts: Verdicts) -> bool:
    """Judge one image by what it is like among those that stay, and by those of equal pixels."""
    if equal:
        row = np.zeros(len(found.rows) + len(equal), np.int64)
        images = np.concatenate((found.images, np.array(equal, np.int64)))
        reasons = np.concatenate((found.reasons, np.full(len(equal), code("pixel-equal"), np.int8)))
        scores = np.concatenate((found.scores, np.ones(len(equal))))
        found = _Matches(row, images, scores, reasons).best(visit)
    return verdicts.judge(int(sketches.items[at]), sketches.items[found.images], found.scores, found.reasons)
