"""The report on a deduplication: who repeats whom, the largest clusters, the closest calls, contradictions.

Made from what lies on disk (decisions and shards), after the decisions; contents are read for the rows shown alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gendata import files
from gendata.dedup.gallery import Shown, gallery

CLUSTERS = 20
"""The largest clusters that are shown."""
COPIES = 5
"""Copies of a cluster that are shown, the least similar first."""
CLOSEST = 5
"""Matches of each reason that are shown, the least similar first: those that a higher threshold would keep."""

_EXACT = ("exact", "origin-conflict")
_COLUMNS = ("id", "source", "uri", "kept", "reason", "kept_id", "score", "copies", "contained_in")
_FACTS = ("id", "source", "uri", "reason", "score")
_STATED = ("id", "modality", "origin", "label", "license", "media_type", "text", "data", "thumbnail")


def report(
    ingested: Path, decisions: Path, sources: Iterable[str], summary: Mapping[str, Any], out: Path, page: Path
) -> None:
    """Write the figures as JSON to ``out`` and, with texts and pictures, as HTML to ``page``.

    The bytes follow from the rows, whatever their order.

    Args:
        ingested: folder with ``<source>/items/00000.parquet`` and on (ITEM_SCHEMA).
        decisions: folder with ``<source>/00000.parquet`` and on (DECISION_SCHEMA).
        sources: that take part.
        summary: of ``dedup``.
        out: the JSON file.
        page: the HTML file, self-contained.

    Raises:
        StoreError: a shard is missing, unreadable or from another run.
    """
    rows = _Rows(ingested, decisions, sources)
    value = {
        **summary,
        "source_pairs": rows.source_pairs(summary["by_source"]),
        "clusters": rows.clusters(),
        "closest": rows.closest(),
        "holders": rows.holders(),
    }
    files.write_json(out, value)
    files.write_bytes(page, gallery(value, rows.shown(_mentioned(value))).encode())


def _mentioned(value: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(source, uri) of all rows that the page shows with their content."""
    rows = [row for cluster in value["clusters"]["largest"] for row in (cluster["kept"], *cluster["copies"])]
    rows += [row for holder in value["holders"] for row in (holder["whole"], *holder["parts"])]
    rows += [row for pairs in value["closest"].values() for pair in pairs for row in (pair["kept"], pair["copy"])]
    rows += [row for example in value["label_conflicts"]["examples"] for row in example["rows"]]
    rows += [row for pair in value["conflicts"]["examples"] for row in (pair["lower"], pair["higher"])]
    return {(row["source"], row["uri"]) for row in rows}


class _Rows:
    """The decisions on all rows; memory is proportional to ids and uris."""

    def __init__(self, ingested: Path, decisions: Path, sources: Iterable[str]) -> None:
        self._shards = [
            pair for source in sorted(sources) for pair in files.decided_shards(ingested, decisions, source)
        ]
        parts = [files.read_table(decided, _COLUMNS) for _, decided in self._shards]
        self._counts = [part.num_rows for part in parts]
        names = ("id", "source", "uri", "reason", "kept_id", "contained_in")
        strings = [(name, pa.large_string()) for name in names]
        schema = pa.schema([*strings, ("kept", pa.bool_()), ("score", pa.float64()), ("copies", pa.int64())])
        parts = [part.select(schema.names).cast(schema) for part in parts]
        table = pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
        self._table, kept = table, table.filter(table["kept"])
        self._kept = kept
        copy = pc.and_(pc.invert(table["kept"]), pc.fill_null(pc.not_equal(table["reason"], "reference"), True))
        dropped = table.filter(copy)  # what matches a reference is a copy of no row
        at = pc.index_in(dropped["kept_id"], kept["id"])
        self._dropped = dropped.append_column("kept_in", kept["source"].take(at))

    def source_pairs(self, by_source: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
        """Per pair of sources: how many rows of the first were dropped for a row of the second, and their share."""
        counted = self._dropped.group_by(["source", "kept_in", "reason"]).aggregate([("id", "count")]).to_pylist()
        pairs: dict[tuple[str, str], dict[str, int]] = {}
        for row in counted:
            pairs.setdefault((row["source"], row["kept_in"]), {})[row["reason"]] = row["id_count"]
        return [
            {"source": source, "kept_in": kept_in, "dropped": sum(reasons.values()), "by_reason": reasons}
            | {"share": sum(reasons.values()) / by_source[source]["read"]}
            for (source, kept_in), reasons in sorted(pairs.items(), key=lambda pair: (-sum(pair[1].values()), pair[0]))
        ]

    def clusters(self) -> dict[str, Any]:
        """How many rows stand for several, and the largest clusters."""
        several = self._kept.filter(pc.greater(self._kept["copies"], 1))
        order = pc.sort_indices(several, sort_keys=[("copies", "descending"), ("id", "ascending")])[:CLUSTERS]
        return {"count": several.num_rows, "largest": [self._cluster(row) for row in several.take(order).to_pylist()]}

    def _cluster(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        copies = self._dropped.filter(pc.equal(self._dropped["kept_id"], kept["id"]))
        reasons = {c["values"]: c["counts"] for c in pc.value_counts(copies["reason"]).to_pylist()}
        return {"kept": _facts(kept), "size": kept["copies"], "by_reason": reasons, "copies": _least(copies, COPIES)}

    def closest(self) -> dict[str, list[dict[str, Any]]]:
        """Per reason the matches with the lowest scores."""
        found = {}
        for reason in sorted(set(pc.unique(self._dropped["reason"]).to_pylist()).difference(_EXACT)):
            rows = _least(self._dropped.filter(pc.equal(self._dropped["reason"], reason)), CLOSEST, also=("kept_id",))
            at = pc.index_in(pa.array([row.pop("kept_id") for row in rows], pa.large_string()), self._kept["id"])
            kept = self._kept.take(at).to_pylist()
            found[reason] = [{"kept": _facts(k), "copy": row} for k, row in zip(kept, rows, strict=True)]
        return found

    def holders(self) -> list[dict[str, Any]]:
        """The texts that contain most of the other texts that stay, each with some of these."""
        parts = self._kept.filter(pc.is_valid(self._kept["contained_in"])).sort_by("id")
        counted = parts.group_by("contained_in").aggregate([("id", "count")])
        counted = counted.sort_by([("id_count", "descending"), ("contained_in", "ascending")])[:CLUSTERS]
        wholes = self._kept.take(pc.index_in(counted["contained_in"], self._kept["id"])).to_pylist()
        return [
            {"whole": _facts(whole), "count": count, "parts": [_facts(p) for p in _inside(parts, whole["id"])]}
            for whole, count in zip(wholes, counted["id_count"].to_pylist(), strict=True)
        ]

    def shown(self, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Shown]:
        """What a page shows of some rows: read shard by shard, a row group at a time, and cut at once."""
        likely = pc.is_in(self._table["uri"], pa.array(sorted({uri for _, uri in wanted}), pa.large_string()))
        places = np.flatnonzero(likely.to_numpy())
        found: dict[tuple[str, str], Shown] = {}
        start = 0
        for (path, _), count in zip(self._shards, self._counts, strict=True):
            mine = places[(places >= start) & (places < start + count)]
            keys = self._table.select(["source", "uri"]).take(mine).to_pylist()
            chosen = {int(at) - start: (k["source"], k["uri"]) for at, k in zip(mine, keys, strict=True)}
            chosen = {at: key for at, key in chosen.items() if key in wanted}
            found |= {chosen[at]: shown for at, shown in _read(path, sorted(chosen))}
            start += count
        return found


def _inside(parts: pa.Table, whole: str) -> list[dict[str, Any]]:
    return list(parts.filter(pc.equal(parts["contained_in"], whole))[:COPIES].to_pylist())


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "source", "uri")}


def _least(copies: pa.Table, most: int, also: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The least similar copies, one of each id, with how many rows there are of it."""
    order = pc.sort_indices(copies, sort_keys=[(name, "ascending") for name in ("score", "id", "source", "uri")])
    ids = copies["id"].take(order).combine_chunks()
    _, first, counts = np.unique(pc.dictionary_encode(ids).indices.to_numpy(), return_index=True, return_counts=True)
    places = np.sort(first)[:most]
    number = dict(zip(first.tolist(), counts.tolist(), strict=True))
    rows = copies.take(order.take(pa.array(places))).select([*_FACTS, *also]).to_pylist()
    return [row | {"rows": number[at]} for row, at in zip(rows, places.tolist(), strict=True)]


def _read(path: Path, positions: list[int]) -> Iterable[tuple[int, Shown]]:
    """Positions in a shard and what is shown of the rows there."""
    if not positions:
        return
    start = 0
    for batch in files.iter_batches(path, _STATED):
        for at in positions:
            if start <= at < start + batch.num_rows:
                yield at, Shown.of(batch.slice(at - start, 1).to_pylist()[0])
        start += batch.num_rows
