"""What dedup hands on: the decision of every row, and the summary."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata import items
from gendata.columns import write_columns
from gendata.dedup.barred import Barred
from gendata.dedup.exact import Rows
from gendata.dedup.merge import EXAMPLES, FIELDS, Merged
from gendata.keep import NO_MATCH, REASONS, Ints, Verdicts, code


def reasons(rows: Rows, verdicts: Verdicts) -> npt.NDArray[np.int8]:
    """Why each row is dropped, as a code of REASONS; NO_MATCH for a row that stays."""
    of_item = verdicts.reason[rows.item]
    reason = np.where(of_item == NO_MATCH, np.int8(code("exact")), of_item)
    reason[rows.crossing() & (of_item != code("reference"))] = code("origin-conflict")
    reason[rows.stays[verdicts.reason == NO_MATCH]] = NO_MATCH
    return reason


def write(rows: Rows, verdicts: Verdicts, merged: Merged, barred: Barred, folder: Path) -> None:
    """Write DECISION_SCHEMA, shard by shard as ingested, below ``folder/<source>``."""
    for source in rows.sources:
        (folder / source).mkdir(parents=True)
    table = _table(rows, verdicts, merged, barred)
    for shard in rows.shards:
        part = table.slice(shard.start, shard.stop - shard.start)
        write_columns(folder / shard.source / shard.path.name, part, items.DECISION_SCHEMA)


def _table(rows: Rows, verdicts: Verdicts, merged: Merged, barred: Barred) -> pa.Table:
    """The decisions on all rows, in the order read."""
    reason = reasons(rows, verdicts)
    item, kept = rows.item, reason < 0
    inside = verdicts.inside[item]
    stands_for = np.bincount(verdicts.stays_as[item], minlength=len(rows.stays))
    score = np.where(np.isnan(verdicts.score[item]), 1.0, verdicts.score[item])
    ids = rows.table["id"].take(pa.array(rows.stays))  # by item
    columns = {
        "id": rows.table["id"],
        "source": rows.table["source"],
        "uri": rows.table["uri"],
        "kept": pa.array(kept),
        "reason": pa.array(REASONS).take(pa.array(reason, mask=kept)),
        "kept_id": ids.take(pa.array(verdicts.stays_as[item])),
        "score": pa.array(score, mask=kept),
        "group": ids.take(pa.array(verdicts.groups()[item])),
        "copies": pa.array(np.where(kept, stands_for[item], 0)),
        "conflict_id": ids.take(_conflict_items(rows, verdicts)),
        "contained_in": ids.take(pa.array(inside, mask=(inside < 0) | ~kept)),
        "merged": merged.column(len(reason)),
    }
    return pa.table(columns | _barred(columns, barred, item))


def _barred(columns: Mapping[str, pa.Array], barred: Barred, item: Ints) -> dict[str, pa.Array]:
    """The columns in which what matches a reference differs."""
    rows = np.flatnonzero(barred.items[item])
    told = np.full(len(item), None, object)
    told[rows] = [barred.told(one) for one in item[rows].tolist()]
    found = {"reference": pa.array(told, pa.string())}
    if len(rows):
        mask = pa.array(barred.items[item])
        ids = barred.known["id"].take(pa.array(barred.by[item[rows]])).combine_chunks()
        kept_id = columns["kept_id"]
        found["kept_id"] = pc.replace_with_mask(kept_id, mask, ids.cast(kept_id.type))
        found["score"] = pc.replace_with_mask(columns["score"], mask, pa.array(barred.score[item[rows]]))
    return found


def _conflict_items(rows: Rows, verdicts: Verdicts) -> pa.Array:
    """Per row the item that ``conflict_id`` names, or null. Equal content comes before similar content."""
    crossing = rows.crossing()
    conflict = np.full(len(rows.item), -1, np.int64)
    conflict[rows.stays] = verdicts.conflict
    conflict[crossing] = rows.item[crossing]
    contested = np.unique(rows.item[crossing])
    conflict[rows.stays[contested]] = contested
    return pa.array(conflict, mask=conflict < 0)


def summary(rows: Rows, verdicts: Verdicts, merged: Merged) -> dict[str, Any]:
    """Counts of rows, conflicts and groups with examples; no paths, the same whatever the order of input."""
    reason = reasons(rows, verdicts)
    kept = reason < 0
    own = verdicts.reason == NO_MATCH
    sizes = np.bincount(verdicts.groups()[own])
    return {
        "read": len(reason),
        "kept": int(kept.sum()),
        "dropped": int((~kept).sum()),
        "dropped_by_reason": {name: int((reason == i).sum()) for i, name in enumerate(REASONS)},
        "by_source": _by_source(rows, kept),
        "groups": int(np.count_nonzero(sizes)),
        "groups_of_several": int(np.count_nonzero(sizes > 1)),
        "conflicts": _conflicts(rows, verdicts),
        "merged": {name: sum(name in taken for taken in merged.taken.values()) for name in FIELDS},
        **{f"{name}_conflicts": merged.conflicts[name] for name in FIELDS},
    }


def _by_source(rows: Rows, kept: npt.NDArray[np.bool_]) -> dict[str, dict[str, int]]:
    counts = {name: {"read": 0, "kept": 0} for name in sorted(rows.sources)}
    for shard in rows.shards:
        counts[shard.source]["read"] += shard.stop - shard.start
        counts[shard.source]["kept"] += int(kept[shard.start : shard.stop].sum())
    return counts


def _conflicts(rows: Rows, verdicts: Verdicts) -> dict[str, Any]:
    """Pairs of different origins: how many, between which sources (the lower origin's first), examples."""
    exact = rows.order[rows.crossing()[rows.order]]  # by id, then by policy
    near = np.flatnonzero(verdicts.conflict >= 0)
    low = np.concatenate((rows.stays[rows.item[exact]], rows.stays[verdicts.conflict[near]]))
    high = np.concatenate((exact, rows.stays[near]))
    pairs = Counter(zip(rows.values("source", low), rows.values("source", high), strict=True))
    some = np.concatenate((np.arange(len(exact))[:EXAMPLES], np.arange(len(exact), len(high))[:EXAMPLES]))
    some = some[np.argsort(rows.item[high[some]], kind="stable")][:EXAMPLES]
    return {
        "exact": len(exact),
        "near": len(near),
        "by_sources": {f"{a} / {b}": count for (a, b), count in sorted(pairs.items())},
        "examples": [
            {"lower": a, "higher": b} for a, b in zip(_named(rows, low[some]), _named(rows, high[some]), strict=True)
        ],
    }


def _named(rows: Rows, some: Ints) -> list[dict[str, str]]:
    columns = ("id", "source", "uri", "origin")
    values = zip(*(rows.values(column, some) for column in columns), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]
