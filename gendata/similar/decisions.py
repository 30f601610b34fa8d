"""What similar hands on: a row per item that dedup kept, and the summary."""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gendata import files
from gendata.columns import write_columns
from gendata.items import SIMILAR_SCHEMA
from gendata.keep import Ints
from gendata.similar import SimilarParams
from gendata.similar.across import nearest_texts
from gendata.similar.greedy import judge
from gendata.similar.partition import Partition, partition
from gendata.similar.read import Items

EXAMPLES = 20

LEVELS = (0.8, 0.85, 0.9, 0.95, 0.97, 0.99)
"""Thresholds for which it is counted how many items would go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was decided, by the number of the item.

    ``stays_as`` is the item that stays for each (itself if none), ``conflict`` its match of another origin, ``across``
    the text that an image is nearest to (-1 if none), each with its score (NaN if none). ``going`` is how many of each
    modality would go at each threshold, ``compared`` how many were compared and how.
    """

    remove: bool
    stays_as: Ints
    score: npt.NDArray[np.float64]
    conflict: Ints
    conflict_score: npt.NDArray[np.float64]
    across: Ints
    across_score: npt.NDArray[np.float64]
    going: dict[str, dict[str, int]]
    compared: dict[str, dict[str, Any]]
    joint: bool

    @property
    def like(self) -> Ints:
        """The items that are like one that stays."""
        return np.flatnonzero(self.stays_as != np.arange(len(self.stays_as)))


def decide(items: Items, params: SimilarParams, *, joint: bool) -> Outcome:
    """Compare the items of each modality, and images with texts if one ``joint`` model made their vectors."""
    count = len(items.table)
    stays_as: Ints = np.arange(count)
    conflict, across = np.full((2, count), -1)
    score, conflict_score, across_score = np.full((3, count), np.nan)
    going: dict[str, dict[str, int]] = {}
    compared: dict[str, dict[str, Any]] = {}
    for modality, kind in items.kinds.items():
        threshold = params.image_threshold if modality == "image" else params.text_threshold
        parts, visits = partition(kind.vectors, kind.order), kind.visits
        found = judge(kind.vectors, kind.order, items.origins[visits], parts, threshold, LEVELS)
        like, rivals = np.flatnonzero(found.match >= 0), np.flatnonzero(found.rival >= 0)
        stays_as[visits[like]], score[visits[like]] = visits[found.match[like]], found.score[like]
        conflict[visits[rivals]], conflict_score[visits[rivals]] = (
            visits[found.rival[rivals]],
            found.rival_score[rivals],
        )
        going[modality] = {f"{level:g}": found.going[level] for level in sorted({*LEVELS, threshold})}
        compared[modality] = _how(parts, len(visits), int(kind.vectors.bounds[-1]))
        sys.stderr.write(f"{modality}: {len(visits):,} compared, {len(like):,} like another at {threshold:g}\n")
    if joint:
        images, texts, cosines = nearest_texts(items.kinds["image"], items.kinds["text"], params.across_threshold)
        across[images], across_score[images] = texts, cosines
    return Outcome(
        remove=params.remove, stays_as=stays_as, score=score, conflict=conflict, conflict_score=conflict_score,
        across=across, across_score=across_score, going=going, compared=compared, joint=joint,
    )  # fmt: skip


def _how(parts: Partition, items: int, vectors: int) -> dict[str, Any]:
    return {"items": items, "vectors": vectors, "parts": parts.parts, "probes": parts.probes.shape[1]}


def write(items: Items, outcome: Outcome, folder: Path) -> None:
    """Write SIMILAR_SCHEMA, shard by shard, below ``folder/<source>``."""
    ids = items.table["id"].cast(pa.string())
    like = outcome.stays_as != np.arange(len(outcome.stays_as))
    columns = {
        "id": ids,
        "kept": pa.array(~(like & outcome.remove)),
        "reason": pa.array(np.where(like, "similar", ""), pa.string(), mask=~like),
        "kept_id": ids.take(pa.array(outcome.stays_as)),
        "score": pa.array(outcome.score, mask=~like),
        "conflict_id": ids.take(pa.array(outcome.conflict, mask=outcome.conflict < 0)),
        "conflict_score": pa.array(outcome.conflict_score, mask=outcome.conflict < 0),
        "across_id": ids.take(pa.array(outcome.across, mask=outcome.across < 0)),
        "across_score": pa.array(outcome.across_score, mask=outcome.across < 0),
    }
    table = pa.table(columns)
    for source in {shard.source for shard in items.shards}:
        (folder / source).mkdir(parents=True)
    for shard in items.shards:
        rows = table.slice(shard.start, shard.stop - shard.start)
        write_columns(files.shard_path(folder / shard.source, shard.number), rows, SIMILAR_SCHEMA)


def summary(items: Items, outcome: Outcome) -> dict[str, Any]:
    """Counts and examples; no paths, the same whatever the order of input.

    ``by_sources`` counts pairs of an item that stays and one that is like it, ``across_splits`` those of them whose
    splits differ: what a model is tested on is then like what it was trained on. ``examples`` are the pairs that are
    least alike: those that the threshold decides on.
    """
    like, conflicts = outcome.like, np.flatnonzero(outcome.conflict >= 0)
    across = np.flatnonzero(outcome.across >= 0)
    stays = outcome.stays_as[like]
    return {
        "remove": outcome.remove,
        "items": len(items.table),
        "kept": len(items.table) - (len(like) if outcome.remove else 0),
        "similar": len(like),
        "compared": outcome.compared,
        "not_compared": dict(items.left_out),
        "would_go": outcome.going,
        "by_sources": _pairs(items, "source", stays, like),
        "across_splits": {k: n for k, n in _pairs(items, "split", stays, like).items() if len(set(k.split(" / "))) > 1},
        "origin_conflicts": _pairs(items, "source", outcome.conflict[conflicts], conflicts),
        "across_modalities": {"joint": outcome.joint, "images": len(across)},
        "examples": _examples(items, like, stays, outcome.score),
        "origin_conflict_examples": _examples(items, conflicts, outcome.conflict[conflicts], outcome.conflict_score),
        "across_examples": _examples(items, across, outcome.across[across], outcome.across_score),
    }


def _pairs(items: Items, column: str, ones: Ints, others: Ints) -> dict[str, int]:
    """How many pairs there are of each two values of a column."""
    values = items.table[column]
    pairs = zip(values.take(pa.array(ones)).to_pylist(), values.take(pa.array(others)).to_pylist(), strict=True)
    return {f"{a} / {b}": count for (a, b), count in sorted(Counter(pairs).items())}


def _examples(items: Items, some: Ints, others: Ints, score: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """The pairs of lowest score, by id where scores are equal."""
    ids = np.array(items.table["id"].take(pa.array(some)).to_pylist(), object)
    first = np.lexsort((ids, score[some]))[:EXAMPLES] if len(some) else np.empty(0, np.int64)
    return [
        {"score": round(float(score[one]), 4), "stays": _named(items, other), "similar": _named(items, one)}
        for one, other in zip(some[first].tolist(), others[first].tolist(), strict=True)
    ]


def _named(items: Items, number: int) -> dict[str, str]:
    return {name: items.table[name][number].as_py() for name in ("id", "source", "uri", "origin", "split")}
