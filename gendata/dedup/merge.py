"""What a row that stays takes from its copies, and where the copies contradict each other.

A row that stays takes only what it lacks, and nothing that it states is ever replaced:

* a **label** from any copy but a contained one: whatever a label says of a picture or text, it says of its likeness;
* a **split** likewise: what is tested on must not be trained on in another copy;
* a **license** and the keys of **meta** from rows of equal id alone: these speak of one copy, or of one file.

Rows of another origin give nothing. A value is taken from none if two copies, of whatever origin, state different
ones: that is a **conflict**, counted with examples, and so is a copy that contradicts the row that stays. Where
several copies agree, the one that is named is the nearest in kind (equal content, normalised, equal pixels, near), and
among these the first by the keep policy.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata.dedup.exact import Rows, column_values
from gendata.items import canonical_json
from gendata.keep import NO_MATCH, REASONS, Ints, Verdicts, code

FIELDS = ("label", "license", "split", "meta")
_COLUMNS = {"label": "label", "license": "license", "split": "source_split"}
"""Of the fields that have one value per row, where it stands."""
EXAMPLES = 20
_NAMED = ("id", "source", "uri")
_CUT = 200
"""Characters that an example shows of a value."""
_KINDS = ("exact", "origin-conflict", "normalised", "pixel-equal", "near-text", "near-image", "contained", "reference")
_NEARNESS = np.array([_KINDS.index(reason) for reason in REASONS], np.int8)
"""By code of REASONS: the lower, the more a copy is the same."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What rows take (``taken``: by row that stays, as the column ``merged`` has it), and the conflicts by field."""

    taken: dict[int, dict[str, Any]] = field(default_factory=dict)
    conflicts: dict[str, Any] = field(default_factory=dict)

    def column(self, count: int) -> pa.Array:
        """The column ``merged`` of all ``count`` rows."""
        places = sorted(self.taken)
        values = pa.array([canonical_json(self.taken[place]) for place in places], pa.string())
        at = np.full(count, -1, np.int64)
        at[places] = np.arange(len(places))
        return values.take(pa.array(at, mask=at < 0))


@dataclass(frozen=True, slots=True)
class _Clusters:
    """Rows that stay with their copies, by id of the item that stays; in each the row that stays goes first.

    ``item`` is the item that stays for each of ``rows``, ``gives`` whether the row may give it something, ``equal``
    whether it has its id.
    """

    rows: Ints
    item: Ints
    gives: npt.NDArray[np.bool_]
    equal: npt.NDArray[np.bool_]

    def of(self, chosen: npt.NDArray[np.bool_]) -> "_Clusters":
        return _Clusters(self.rows[chosen], self.item[chosen], self.gives[chosen], self.equal[chosen])


def merge(rows: Rows, verdicts: Verdicts, reason: npt.NDArray[np.int8], fields: Sequence[str]) -> Merged:
    """Merge ``fields`` (of FIELDS); conflicts are found in all whatever they are.

    ``reason`` is why each row is dropped, as a code of REASONS. Of meta, only that of rows of equal id is read.
    """
    found = _clusters(rows, verdicts, reason)
    alike = found.of(reason[found.rows] != code("contained"))
    equal = found.of(found.equal)
    out = Merged()
    for name, some in (("label", alike), ("license", equal), ("split", alike)):
        (taking, giving), out.conflicts[name] = _single(rows, some, reason, name)
        if name in fields:
            given = _given(rows, giving, rows.values(_COLUMNS[name], giving))
            for place, value in zip(taking.tolist(), given, strict=True):
                out.taken.setdefault(place, {})[name] = value
    metas, out.conflicts["meta"] = _metas(rows, equal)
    if "meta" in fields:
        giving = np.array([giver for _, _, giver, _ in metas], np.int64)
        given = _given(rows, giving, [value for _, _, _, value in metas])
        for (place, key, _, _), value in zip(metas, given, strict=True):
            out.taken.setdefault(place, {}).setdefault("meta", {})[key] = value
    return out


def _clusters(rows: Rows, verdicts: Verdicts, reason: npt.NDArray[np.int8]) -> _Clusters:
    item = verdicts.stays_as[rows.item]
    several = np.flatnonzero(np.bincount(item, minlength=len(rows.stays))[item] > 1)
    place = np.empty(len(rows.order), np.int64)
    place[rows.order] = np.arange(len(place))
    nearness = np.where(reason == NO_MATCH, np.int8(-1), _NEARNESS[reason])
    keys = (place, *reversed(rows.ranks), nearness, item)
    several = several[reason[several] != code("reference")]
    several = several[np.lexsort(tuple(key[several] for key in keys))]
    stays = rows.stays[item[several]]
    own_origin = rows.origins()[several] == rows.origins()[stays]
    return _Clusters(several, item[several], own_origin & (several != stays), rows.item[several] == item[several])


def _single(
    rows: Rows, found: _Clusters, reason: npt.NDArray[np.int8], name: str
) -> tuple[tuple[Ints, Ints], dict[str, Any]]:
    """Of a column with one value per row: rows that take and rows that give (taking,), and the conflicts."""
    stated = rows.table[_COLUMNS[name]].take(pa.array(found.rows))
    codes = pc.fill_null(pc.dictionary_encode(stated.combine_chunks()).indices, -1).to_numpy()
    some, codes = found.of(codes >= 0), codes[codes >= 0].astype(np.int64)
    several = int(codes.max(initial=0)) + 1
    items, counts = np.unique(np.unique(some.item * several + codes) // several, return_counts=True)
    agreed = some.of(np.isin(some.item, items[counts == 1]))
    stating = agreed.item[agreed.rows == rows.stays[agreed.item]]
    givers = agreed.of(agreed.gives & ~np.isin(agreed.item, stating))
    taking, first = np.unique(givers.item, return_index=True)
    contested = items[counts > 1]
    examples = [_example(rows, some.of(some.item == item), reason, name) for item in contested[:EXAMPLES].tolist()]
    return (rows.stays[taking], givers.rows[first]), {"items": len(contested), "examples": examples}


def _example(rows: Rows, some: _Clusters, reason: npt.NDArray[np.int8], name: str) -> dict[str, Any]:
    """A conflict: the values, and of each the first row that states it."""
    first: dict[str, int] = {}
    for row, value in zip(some.rows.tolist(), rows.values(_COLUMNS[name], some.rows), strict=True):
        first.setdefault(value, row)
    shown = sorted(first)[:EXAMPLES]
    places = np.array([first[value] for value in shown])
    why = [None if c == NO_MATCH else REASONS[c] for c in reason[places].tolist()]
    stating = [row | {"reason": c} for row, c in zip(_given(rows, places, shown), why, strict=True)]
    return {"id": rows.values("id", rows.stays[some.item[:1]])[0], f"{name}s": shown, "rows": stating}


def _metas(rows: Rows, found: _Clusters) -> tuple[list[tuple[int, str, int, Any]], dict[str, Any]]:
    """(row that stays, key, row that gives, value) of what is taken into metas, and the conflicts."""
    taken: list[tuple[int, str, int, Any]] = []
    by_key: Counter[str] = Counter()
    examples: list[dict[str, Any]] = []
    items = 0
    for places, gives, metas in _told_apart(rows, found):
        values = _values(metas)
        contested = sorted(key for key, stated in values.items() if len(stated) > 1)
        by_key.update(contested)
        items += bool(contested)
        if contested and len(examples) < EXAMPLES:
            examples.append(_meta_example(rows, places[0], contested[0], values[contested[0]]))
        for key in sorted(values.keys() - metas[0].keys() - set(contested)):
            at = next((at for at, meta in enumerate(metas) if key in meta and gives[at]), None)
            if at is not None:
                taken.append((places[0], key, places[at], metas[at][key]))
    keys = dict(sorted(by_key.items(), key=lambda pair: (-pair[1], pair[0]))[:EXAMPLES])
    return taken, {"items": items, "keys": {key[:_CUT]: count for key, count in keys.items()}, "examples": examples}


def _told_apart(rows: Rows, found: _Clusters) -> Iterator[tuple[list[int], list[bool], list[dict[str, Any]]]]:
    """The rows (that which stays first), whether each may give, and their metas; of items whose rows' metas differ."""
    metas = _read_metas(rows, found.rows)
    bounds = np.flatnonzero(np.diff(found.item, prepend=-1, append=-1))
    for start, stop in itertools.pairwise(bounds.tolist()):
        if len(set(metas[start:stop])) > 1:
            places = found.rows[start:stop].tolist()
            parsed = [json.loads(meta or "{}") for meta in metas[start:stop]]
            yield places, found.gives[start:stop].tolist(), parsed


def _read_metas(rows: Rows, chosen: Ints) -> list[str | None]:
    """The column meta of some rows, from the shards that hold them."""
    found: dict[int, str | None] = {}
    ascending = np.sort(chosen)
    for shard in rows.shards:
        low, high = np.searchsorted(ascending, (shard.start, shard.stop))
        if low < high:
            mine = ascending[low:high]
            found |= zip(mine.tolist(), column_values(shard.path, "meta", mine - shard.start), strict=True)
    return [found[row] for row in chosen.tolist()]


def _values(metas: list[dict[str, Any]]) -> dict[str, set[str]]:
    """The different values of each key, as canonical JSON."""
    values: dict[str, set[str]] = {}
    for meta in metas:
        for key, value in meta.items():
            values.setdefault(key, set()).add(canonical_json(value))
    return values


def _meta_example(rows: Rows, stays: int, key: str, values: set[str]) -> dict[str, Any]:
    shown = [value[:_CUT] for value in sorted(values)[:EXAMPLES]]
    return {"id": rows.values("id", np.array([stays]))[0], "key": key[:_CUT], "values": shown}


def _given(rows: Rows, givers: Ints, values: Sequence[Any]) -> list[dict[str, Any]]:
    """Values, each with the row that it is from."""
    named = zip(values, *(rows.values(column, givers) for column in _NAMED), strict=True)
    return [dict(zip(("value", *_NAMED), row, strict=True)) for row in named]
