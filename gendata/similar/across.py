"""Images beside texts, where one joint model (CLIP; Radford et al. 2021) made the vectors of both."""

import numpy as np
import numpy.typing as npt

from gendata.keep import Ints
from gendata.similar.read import Kind
from gendata.similar.vectors import STEP, Floats, blocks

_BLOCK = 4096


def nearest_texts(images: Kind, texts: Kind, least: float) -> tuple[Ints, Ints, Floats]:
    """Images that reach ``least`` with a text, the text that each is nearest to (its best passage), and the cosines.

    Every image is compared with every text: parts of the space would not do, since the two modalities lie apart in it.
    Numbers are those of Items; of texts equally near the first in visiting order.
    """
    best = np.full(len(images.order), -np.inf, np.float32)
    match: Ints = np.zeros(len(images.order), np.int64)
    if not len(texts.order) or not len(images.order):
        return match[:0], match[:0], best[:0]
    for start, stop in blocks(texts.vectors, texts.order, _BLOCK):
        some = texts.vectors.take(texts.order[start:stop])
        for at, end in blocks(images.vectors, images.order, _BLOCK):
            shown = images.vectors.take(images.order[at:end]).vectors * np.float32(STEP**2)
            cosines = np.maximum.reduceat(shown @ some.vectors.T, some.starts, axis=1)
            _raise(best[at:end], match[at:end], cosines, start)
    found = np.flatnonzero(best >= np.float32(least))
    return images.visits[found], texts.visits[match[found]], best[found]


def _raise(best: Floats, match: Ints, cosines: npt.NDArray[np.float32], first: int) -> None:
    """Keep the highest of each row; ``cosines`` are of texts from place ``first`` on."""
    column = cosines.argmax(axis=1)
    top = cosines[np.arange(len(cosines)), column]
    new = top > best
    best[new], match[new] = top[new], first + column[new]
