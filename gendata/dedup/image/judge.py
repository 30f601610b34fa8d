"""Which images go: those of equal pixels, and those that show the same as one that stays."""

from collections import defaultdict

import numpy as np

from gendata.dedup import ImageParams
from gendata.dedup.image.candidates import Candidates, Hits
from gendata.dedup.image.compare import similarities
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
        for row in np.flatnonzero(~alone).tolist():
            at = int(block[row])
            mine = np.arange(bounds[row], bounds[row + 1])
            mine = mine[stays[sketches.owners[hits.met[mine]]]]
            compared += len(set(sketches.owners[hits.met[mine]].tolist()))
            equal = equals[number[at]] if number[at] >= 0 else []
            stays[at] = _judge(sketches, at, hits.some(mine), equal, visit, verdicts, params)
            if stays[at]:
                equal.append(at)
        candidates.add(block[stays[block]])
    return compared


def _shared(digests: Digests) -> Ints:
    """A number for each digest that several images have; -1 for the others."""
    _, number, counts = np.unique(digests, return_inverse=True, return_counts=True)
    return np.where((counts[number] > 1) & (digests != np.void(NONE)), number, -1)


def _judge(
    sketches: Sketches, at: int, hits: Hits, equal: list[int], visit: Ints, verdicts: Verdicts, params: ImageParams
) -> bool:
    """Judge one image by what it meets among those that stay, and by those of equal pixels."""
    scores = np.minimum(similarities(sketches, hits, params), _BELOW_ONE)
    matching = (scores >= params.correlation) & (hits.distance <= params.radius)
    alike = matching | (scores >= params.group_correlation)
    images = np.concatenate((sketches.owners[hits.met[alike]], np.array(equal, np.int64)))
    scores = np.concatenate((scores[alike], np.ones(len(equal))))
    reasons = np.where(matching[alike], np.int8(code("near-image")), np.int8(NO_MATCH))
    reasons = np.concatenate((reasons, np.full(len(equal), code("pixel-equal"), np.int8)))
    best = np.lexsort((-scores, reasons == NO_MATCH, visit[images]))  # of an image met in several ways
    best = best[np.diff(images[best], prepend=-1) != 0]
    return verdicts.judge(int(sketches.items[at]), sketches.items[images[best]], scores[best], reasons[best])
