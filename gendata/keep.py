"""Who stays: the order in which items are visited, and the verdicts that follow from their matches."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata.compiled import jit, join
from gendata.errors import StoreError
from gendata.items import ORIGINS

Ints = npt.NDArray[np.int64]

REASONS = ("exact", "origin-conflict", "normalised", "near-text", "contained", "pixel-equal", "near-image", "reference")
"""Why a row is dropped. A code is a place here; NO_MATCH stands for none."""

NO_MATCH = -1

KNOWN = ("label", "text", "license")
"""What should be known of the copy that stays, the first before the second."""

REFERENCE, PROBE = 1, 2
"""Roles of items: one that stays whatever it is like; one that others are not compared with. 0 is all others'."""


def code(reason: str) -> int:
    """The place of a reason in REASONS."""
    return REASONS.index(reason)


def policy_ranks(
    table: pa.Table, prefer: tuple[str, ...], known: tuple[str, ...]
) -> tuple[npt.NDArray[np.int8] | Ints, ...]:
    """What the keep policy asks of each row before its size: the lower goes first, the first rank counts most.

    Origin, source priority, then what is unknown of ``known`` (label, text, license; the first counts most).

    Args:
        table: columns origin, source, label, license (large strings) and wordless (bool: has neither text nor caption).
        prefer: sources that go before the others, the first first.
        known: what of label, text and license should be known.

    Raises:
        StoreError: an origin is none of items.ORIGINS.
    """
    priority = pc.fill_null(pc.index_in(table["source"], pa.array(prefer, pa.large_string())), len(prefer))
    origin = pc.index_in(table["origin"], pa.array(ORIGINS, pa.large_string()))
    if origin.null_count:
        raise StoreError(f"artifacts: an origin is none of {', '.join(ORIGINS)}; run `gendata run ingest` again")
    return (
        origin.to_numpy().astype(np.int8),
        priority.to_numpy().astype(np.int64),
        *((table["wordless"] if n == "text" else pc.is_null(table[n])).to_numpy().astype(np.int8) for n in known),
    )


def visiting_order(items: Ints, sizes: Ints, *ranks: npt.NDArray[np.signedinteger]) -> Ints:
    """The order of the keep policy over some items, as positions in ``items``.

    Args:
        items: item numbers; the items are numbered by ascending id.
        sizes: code points of a text, pixels of an image: the larger goes first.
        ranks: per item what comes before the size, most important first; the lower goes first.
    """
    return np.lexsort((items, -sizes, *reversed(ranks)))


class Verdicts:
    """What becomes of each item: it stays until ``judge`` finds a match of its own origin that stays.

    Attributes:
        origins: rank of the origin per item (int8).
        role: 0, REFERENCE or PROBE (int8).
        stays_as: the item that stays for it (int64), itself if it stays.
        reason: why, as a code of REASONS (int8); NO_MATCH if it stays.
        score: similarity to that item (float64), NaN if it stays.
        conflict: the item of a lower origin that it matches (int64), -1 if none.
        inside: the item that contains it (int64), -1 if none.
    """

    def __init__(self, origins: npt.NDArray[np.int8]) -> None:
        """``origins``: rank of the origin per item (items.ORIGINS)."""
        self.origins = origins
        self.stays_as: Ints = np.arange(len(origins))
        self.role = np.zeros(len(origins), np.int8)
        self.reason = np.full(len(origins), NO_MATCH, np.int8)
        self.score = np.full(len(origins), np.nan)
        self.conflict: Ints = np.full(len(origins), -1)
        self.inside: Ints = np.full(len(origins), -1)
        self._parent: Ints = np.arange(len(origins))

    def judge(self, item: int, others: Ints, scores: npt.NDArray[np.float64], reasons: npt.NDArray[np.int8]) -> bool:
        """Decide on one item. Items come in visiting order, so that ``others`` are decided already.

        Args:
            item: the item.
            others: items that stay and are similar enough to share its group, in visiting order.
            scores: their similarities to the item.
            reasons: as what each of them is the same, as codes of REASONS; NO_MATCH where it shares the group alone.

        Returns:
            Whether those to come are to be compared with it: whether it stays, unless it is a PROBE.
        """
        if self.role[item] == REFERENCE:
            return True
        self.join(np.full(len(others), item), others)
        own = self.origins[others] == self.origins[item]
        matching = reasons != NO_MATCH
        best, rival = _best(scores, matching & own), _best(scores, matching & ~own)
        if rival >= 0:
            self.conflict[item] = others[rival]
        if best >= 0:
            self.stays_as[item], self.score[item], self.reason[item] = others[best], scores[best], reasons[best]
        return best < 0 and self.role[item] != PROBE

    def join(self, some: Ints, others: Ints) -> None:
        """Put each of some items into one group with the other at its place."""
        _join(self._parent, some, others)

    def groups(self) -> Ints:
        """The smallest item of each item's component: its group."""
        roots, above = self._parent, self._parent[self._parent]
        while not np.array_equal(roots, above):
            roots, above = above, above[above]
        return roots


@jit
def _join(parent: Any, some: Any, others: Any) -> None:
    """Join the trees of some nodes and others, one by one."""
    for place in range(len(some)):
        join(parent, some[place], others[place])


def _best(scores: npt.NDArray[np.float64], allowed: npt.NDArray[np.bool_]) -> int:
    """Position of the highest allowed score, the first of equals; -1 if none is allowed."""
    return int(np.argmax(np.where(allowed, scores, -np.inf))) if allowed.any() else -1
