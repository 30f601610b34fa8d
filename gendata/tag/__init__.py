"""Tag: what an item is like. One row of TAG_SCHEMA for every item that dedup kept.

A tagger is one module (see ``shard.Tagger``) and one line in TAGGERS; ``split`` and the tags that
a source states are always there.
"""

import itertools
import math
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendata.brought import REJECTED, TableParams, check_names
from gendata.engine import drop_unused, map_shards
from gendata.files import WORK, decided_shards, output
from gendata.tag.cached import key_of
from gendata.tag.shard import Tagger, tag_shard
from gendata.tag.split import Splitter

__all__ = ["TAGGERS", "TagParams", "Tagger", "tag"]

TAGGERS: dict[str, str] = {
    "language": "gendata.tag.language",
    "size": "gendata.tag.size",
    "quality": "gendata.tag.quality",
}
"""Tagger name -> module. They run in this order, and each sees the columns of those before it."""

CACHE = WORK / "cache" / "tag"
"""Of the tags of data; those of outputs have a cache of their own."""


@dataclass(frozen=True, slots=True)
class TagParams:
    """Section ``tag`` of params.yaml."""

    # which of TAGGERS run, in any order; the columns of the others stay null
    taggers: tuple[str, ...] = ("language", "size", "quality")
    # shares of the groups, sum 1; names are free, but training reads "train"
    split: dict[str, float] = field(default_factory=lambda: {"train": 0.9, "valid": 0.05, "test": 0.05})
    # another seed is another random split
    seed: int = 0
    # processes; 0 is one per core. It never changes the result
    workers: int = 0
    # what is known of items: the column brought. Of two rows that bring one column for an item the first counts
    tables: dict[str, TableParams] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names(self.tables)
        for name in self.taggers:
            if name not in TAGGERS:
                raise ValueError(f"taggers: unknown tagger {name!r}; allowed: {', '.join(TAGGERS)}")
        if len(set(self.taggers)) != len(self.taggers):
            raise ValueError("taggers: a tagger is named twice")
        if "train" not in self.split:
            raise ValueError("split: a split named train is required")
        if "" in self.split:
            raise ValueError("split: a split has an empty name")
        if not all(share > 0 for share in self.split.values()):
            raise ValueError("split: every share must be above 0")
        if not math.isclose(math.fsum(self.split.values()), 1, abs_tol=1e-9):
            raise ValueError(f"split: the shares must sum to 1, not {math.fsum(self.split.values()):g}")
        if self.workers < 0:
            raise ValueError(f"workers: must be 0 or more, not {self.workers}")


def tag(
    ingested: Path,
    decisions: Path,
    sources: list[str],
    out: Path,
    params: TagParams,
    cache: Path = CACHE,
    brought: Path | None = None,
) -> dict[str, Any]:
    """Write ``out/<source>/<shard>.parquet`` (TAG_SCHEMA): the kept rows of each shard, in order.

    Taggers are asked about what is not in the cache; the bytes are the same with it and without.

    Args:
        ingested: Folder of ``<source>/items/<shard>.parquet`` (ITEM_SCHEMA).
        decisions: Folder of ``<source>/<shard>.parquet`` (DECISION_SCHEMA), row by row the same ids.
        sources: The names to read; other folders are left alone.
        out: Replaced as a whole when all shards are done.
        params: Section ``tag``.
        cache: A folder for these contents alone, since what a run does not use it drops.
        brought: What tables bring (see ``gendata.brought``): JSON objects, and rejects, which ``out`` gets too.

    Returns:
        ``items`` by modality, ``languages`` and ``splits`` as counts, ``quality`` as mean by
        modality; what no tagger could say is not counted. How many items came from the cache is said on
        stderr only, since the summary has to be the same either way.

    Raises:
        StoreError: Ingest and dedup do not hold the same rows in the same order.
    """
    pairs = {source: decided_shards(ingested, decisions, source) for source in sources}
    splitter = Splitter.build(itertools.chain(*pairs.values()), params.split, params.seed)
    modules = tuple(path for name, path in TAGGERS.items() if name in params.taggers)
    key = key_of(modules)
    with output(out) as work:
        for source in sources:
            (work / source).mkdir()
            if brought is not None:
                shutil.copyfile(brought / source / REJECTED, work / source / REJECTED)
        jobs = [
            (items, decided, work / source / decided.name, modules, splitter, cache / key / source, brought)
            for source in sources
            for items, decided in pairs[source]
        ]
        parts = map_shards(tag_shard, jobs, label="tag", workers=params.workers)
        drop_unused(cache, {part["cache"][0] for part in parts})
    if modules:
        fresh, cached = (sum(part["cache"][at] for part in parts) for at in (1, 2))
        sys.stderr.write(f"tagged {fresh:,} new items, {cached:,} from cache\n")
    return _summary(parts)


def _summary(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over all shards; ``parts`` come in shard order, so that floats add up the same."""
    total: dict[str, Any] = {}
    for name in ("items", "languages", "splits"):
        keys = sorted({key for part in parts for key in part[name]})
        total[name] = {key: sum(part[name].get(key, 0) for part in parts) for key in keys}
    scored = sorted({key for part in parts for key in part["quality"]})
    total["quality"] = {
        key: _mean([part["quality"][key] for part in parts if key in part["quality"]]) for key in scored
    }
    return total


def _mean(sums: list[tuple[float, int]]) -> float:
    return round(math.fsum(value for value, _ in sums) / sum(count for _, count in sums), 6)
