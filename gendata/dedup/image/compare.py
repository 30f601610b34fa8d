"""How alike the pixels and the colours of views are whose hashes are near."""

import numpy as np
import numpy.typing as npt

from gendata.dedup import ImageParams
from gendata.dedup.image.candidates import PART, WHOLE, WITHIN, Hits
from gendata.dedup.image.sketches import Sketches
from gendata.dedup.image.verify import aligned, correlations
from gendata.dedup.image.views import HUE, WINDOWS, Floats, hues, turned
from gendata.keep import Ints

_PROPORTIONS = 1.06  # how far the aspect ratios of copies may differ: rounding of sides when scaled
_PALE, _LITTLE = 4.0 * HUE, 12.0 * HUE  # chroma that is as good as none, and a difference of chroma that is little
_AT_ONCE = 4096  # pairs of thumbnails in memory
_TRIED = 3  # windows that are aligned for a pair of views


def similarities(sketches: Sketches, hits: Hits, params: ImageParams) -> Floats:
    """Correlation of the thumbnails of each hit, turned and aligned; 0 where the proportions differ.

    A window is not tried where the whole, or a nearer window of the same views, shows enough.
    """
    scores, whole = np.zeros(len(hits.row)), hits.form == WHOLE
    for turn in set(hits.turn[whole].tolist()):
        some = np.flatnonzero(whole & (hits.turn == turn))
        some = some[_alike(sketches.aspects[hits.own[some]], _aspect(sketches, hits.met[some], turn))]
        for start in range(0, len(some), _AT_ONCE):
            part = some[start : start + _AT_ONCE]
            others = turned(np.asarray(sketches.thumbnails[hits.met[part]]), turn)
            own = np.asarray(sketches.thumbnails[hits.own[part]])
            scores[part] = correlations(own, np.ascontiguousarray(others))
    if whole.all():
        return scores
    enough = (scores >= params.correlation) & (hits.distance <= params.radius)
    done = set(sketches.owners[hits.met[enough]].tolist())
    tried: dict[tuple[int, int, int], int] = {}
    for i in np.flatnonzero(~whole).tolist():
        owner, pair = int(sketches.owners[hits.met[i]]), (int(hits.own[i]), int(hits.met[i]), int(hits.form[i]))
        if owner not in done and tried.setdefault(pair, 0) < _TRIED:
            tried[pair] += 1
            scores[i] = _window(sketches, hits, i)
            if scores[i] >= params.correlation and hits.distance[i] <= params.radius:
                done.add(owner)
    return scores


def same_colours(sketches: Sketches, hits: Hits, least: float) -> npt.NDArray[np.bool_]:
    """Whether the chroma of each hit has a cosine of at least ``least``, differs by little, or is next to none of one.

    The cosine is of what 4 x 4 cells show: it does not change with saturation and brightness. A picture of little
    colour turns it by a small change of the white balance: hence the difference.
    """
    within, plain = hits.form == WITHIN, np.zeros(len(hits.row), np.int64)
    one = _hues(sketches, np.where(within, hits.own, hits.met), hits.turn, plain - 1)
    other = _hues(sketches, np.where(within, hits.met, hits.own), plain, np.where(hits.form == WHOLE, -1, hits.window))
    squares, other_squares, products = (one**2).sum(axis=1), (other**2).sum(axis=1), (one * other).sum(axis=1)
    grey = np.minimum(squares, other_squares) < _PALE**2
    little = squares + other_squares - 2 * products <= _LITTLE**2
    return np.asarray(grey | little | (products >= least * np.sqrt(squares) * np.sqrt(other_squares)))


def _hues(sketches: Sketches, views: Ints, turns: Ints, windows: Ints) -> Floats:
    """The hues of windows of turned views, each made once."""
    (view, turn, window), place = np.unique(np.stack((views, turns, windows)), axis=1, return_inverse=True)
    tints = np.array(sketches.tints[view])
    for number in set(turn.tolist()) - {0}:
        tints[turn == number] = turned(tints[turn == number], number)
    return hues(tints, window)[place.reshape(-1)]


def _window(sketches: Sketches, hits: Hits, i: int) -> float:
    """The same for one hit of a window."""
    crop, original = (hits.met[i], hits.own[i]) if hits.form[i] == PART else (hits.own[i], hits.met[i])
    turn = int(hits.turn[i])
    thumbnail = np.ascontiguousarray(turned(np.array(sketches.thumbnails[crop]), turn))
    score, proportions = aligned(np.array(sketches.bases[original]), WINDOWS[hits.window[i]], thumbnail)
    alike = _alike(sketches.aspects[original] * proportions, _aspect(sketches, crop, turn))
    return score if alike.all() else 0.0


def _aspect(sketches: Sketches, views: Ints, turn: int) -> Floats:
    """Width / height of views, turned."""
    aspects = np.asarray(sketches.aspects[views])
    return 1 / aspects if turn & 4 else aspects


def _alike(one: Floats, others: Floats) -> npt.NDArray[np.bool_]:
    ratio = np.asarray(others / one)
    return np.asarray(np.maximum(ratio, 1 / ratio) <= _PROPORTIONS)
