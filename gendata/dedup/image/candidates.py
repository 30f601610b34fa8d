"""Which images may be copies of which: views whose hashes lie within the radius, as they are, turned or cropped."""

from dataclasses import dataclass, fields

import numpy as np

from gendata.dedup.hamming import HammingIndex
from gendata.dedup.image.sketches import Sketches
from gendata.dedup.image.views import Hashes
from gendata.keep import Ints
from gendata.ranges import spread

WHOLE, PART, WITHIN = 0, 1, 2
"""How two views meet: one is like a turn of the other; like a turn of the other is a window of one; or the reverse."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Pairs of views that may show the same, ordered by the image that is asked about and the one that it met.

    All of shape (hits,): ``row`` (which of the images asked about), ``own`` and ``met`` (views), ``form`` (WHOLE, PART,
    WITHIN), ``turn`` and ``window`` (numbers: ``met`` turned is like ``own`` or, if PART, like a window of it; ``own``
    turned is like a window of ``met`` if WITHIN) and ``distance`` (bits).
    """

    row: Ints
    own: Ints
    met: Ints
    form: Ints
    turn: Ints
    window: Ints
    distance: Ints

    def some(self, places: Ints) -> "Hits":
        """The hits at these places."""
        return Hits(*(getattr(self, field.name)[places] for field in fields(self)))


class Candidates:
    """The images added so far, by the hashes of their views."""

    def __init__(self, sketches: Sketches, turns: tuple[int, ...], radius: int) -> None:
        """``turns`` are those of the hashes; ``radius``: in bits, up to which hashes are alike."""
        self._turns = np.array(turns)
        self._owners, self._radius = sketches.owners, radius
        self._hashes, self._windows = sketches.hashes, sketches.windows
        self._bounds = np.searchsorted(sketches.owners, np.arange(len(sketches.items) + 1))
        self._by_hash = HammingIndex(self._hashes.reshape(-1), radius)
        self._by_window = HammingIndex(self._windows.reshape(-1), radius)

    def add(self, images: Ints) -> None:
        """Add images that later ones are compared with."""
        views, _ = self._views(images)
        self._by_hash.add(_places(views, self._hashes.shape[1]))
        self._by_window.add(_places(views, self._windows.shape[1]))

    def hits(self, images: Ints) -> Hits:
        """What each of the images meets among those added, and among those before it in ``images``."""
        views, rows = self._views(images)
        whole, windows = self._hashes[views], np.asarray(self._windows[views])
        found = [
            self._found(WHOLE, whole[:, :1], self._by_hash, self._hashes, views, rows),
            self._found(PART, windows, self._by_hash, self._hashes, views, rows),
            self._found(WITHIN, whole, self._by_window, self._windows, views, rows),
        ]
        joined = np.concatenate(found, axis=1)
        row, own, met, form, *_ = joined
        return Hits(*joined[:, np.lexsort((joined[6], form, met, own, self._owners[met], row))])

    def _views(self, images: Ints) -> tuple[Ints, Ints]:
        """The views of some images, and the place in ``images`` of each view's image."""
        rows, views = spread(self._bounds[images], self._bounds[images + 1])
        return views, rows

    def _found(self, form: int, queries: Hashes, index: HammingIndex, hashes: Hashes, views: Ints, rows: Ints) -> Ints:
        """The fields of Hits for one form: queries (views, kinds) against hashes (all views, kinds)."""
        if not queries.size or not hashes.size:
            return np.empty((7, 0), np.int64)
        kinds, met_kinds = queries.shape[1], hashes.shape[1]
        query = queries.reshape(-1)
        bounds, place = index.near(query)
        asked = np.repeat(np.arange(len(query)), np.diff(bounds))
        other, inside = np.nonzero(np.bitwise_count(query[:, None] ^ hashes[views].reshape(-1)) <= self._radius)
        earlier = rows[inside // met_kinds] < rows[other // kinds]
        other, inside = other[earlier], inside[earlier]
        asked = np.concatenate((asked, other))
        place = np.concatenate((place, views[inside // met_kinds] * met_kinds + inside % met_kinds))
        kind, met_kind = asked % kinds, place % met_kinds
        return np.stack(
            (
                rows[asked // kinds],
                views[asked // kinds],
                place // met_kinds,
                np.full(len(asked), form),
                self._turns[kind if form == WITHIN else met_kind],  # WHOLE and PART meet turns of the other
                met_kind if form == WITHIN else kind,  # 0 if WHOLE
                np.bitwise_count(query[asked] ^ hashes.reshape(-1)[place]).astype(np.int64),
            )
        )


def _places(views: Ints, kinds: int) -> Ints:
    """Where the hashes of views lie in all hashes (views, kinds), flattened."""
    return (views[:, None] * kinds + np.arange(kinds)).reshape(-1)
