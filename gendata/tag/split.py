"""Which split an item belongs to: the source's own or that of its copies, else one for the whole group of near-copies.

A group's split is a hash of its name and the seed, so it needs no state and does not move when
other items come or go. A hash alone could leave a split of a small set empty; a modality with
fewer than RANK_BELOW groups is therefore cut by the rank of the hash, with at least one group in
each split. Crossing that number, up or down, is the one event that re-deals a modality.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gendata.files import aligned_batches

RANK_BELOW = 50
"""A modality with fewer groups than this is split by rank."""


@dataclass(frozen=True, slots=True)
class Splitter:
    """A picklable function from group to split."""

    shares: tuple[tuple[str, float], ...]
    seed: int
    ranked: Mapping[str, str]
    """Group -> split of the modalities that are split by rank; a group of two modalities has one."""

    @classmethod
    def build(cls, shards: Iterable[tuple[Path, Path]], shares: Mapping[str, float], seed: int) -> "Splitter":
        """Read which groups need a split; rank those of small modalities.

        Memory: RANK_BELOW groups per modality, and one batch. The order of ``shards`` and of
        ``shares`` does not matter (DVC does not see the order of a mapping either).
        """
        ordered = tuple(sorted(shares.items(), key=lambda share: (share[0] != "train", share[0])))
        ranked: dict[str, str] = {}
        for _, groups in sorted(small_modalities(shards).items()):
            for group, split in by_rank(groups, ordered, seed).items():
                ranked.setdefault(group, split)
        return cls(ordered, seed, ranked)

    def split(self, group: str) -> str:
        """The split of a group."""
        if group in self.ranked:
            return self.ranked[group]
        point, end = _hash(group, self.seed) / 2**64, 0.0
        for name, share in self.shares:
            end += share
            if point < end:
                return name
        return self.shares[-1][0]  # the shares may sum to a little less than 1


def small_modalities(shards: Iterable[tuple[Path, Path]]) -> dict[str, set[str]]:
    """Modality -> groups of its kept rows without a split of their own, where these are few."""
    seen: dict[str, set[str]] = {}
    for items, decisions in shards:
        for batch, decided in aligned_batches(items, decisions, ["modality", "source_split"]):
            batch = batch.append_column("group", decided["group"].combine_chunks())
            unstated = pa.array([not split for split in stated(batch["source_split"], decided["merged"])], pa.bool_())
            open_rows = batch.filter(pc.and_(decided["kept"].combine_chunks(), unstated))
            for modality in pc.unique(open_rows["modality"]).to_pylist():
                groups = seen.setdefault(modality, set())
                if len(groups) < RANK_BELOW:
                    named = open_rows.filter(pc.equal(open_rows["modality"], modality))["group"]
                    groups.update(pc.unique(named).to_pylist()[:RANK_BELOW])
    return {modality: groups for modality, groups in seen.items() if len(groups) < RANK_BELOW}


def stated(own: pa.Array, merged: pa.ChunkedArray) -> list[str | None]:
    """The split that each row's source states, else the one that its copies gave it (``dedup.merge``)."""
    rows = zip(own.to_pylist(), merged.to_pylist(), strict=True)
    return [split or (json.loads(given).get("split", {}).get("value") if given else None) for split, given in rows]


def by_rank(groups: Iterable[str], shares: tuple[tuple[str, float], ...], seed: int) -> dict[str, str]:
    """Groups in the order of their hash, cut by shares; one group each before the rest is dealt.

    With fewer groups than splits the first splits of ``shares`` get one each.
    """
    order = sorted(groups, key=lambda group: (_hash(group, seed), group))
    counts = {name: int(i < len(order)) for i, (name, _) in enumerate(shares)}
    for _ in range(len(order) - sum(counts.values())):
        # the next group goes where most is missing; of equals, to the first
        name = max(shares, key=lambda share: share[1] * len(order) - counts[share[0]])[0]
        counts[name] += 1
    names = [name for name, _ in shares for _ in range(counts[name])]
    return dict(zip(order, names, strict=True))


def _hash(group: str, seed: int) -> int:
    """64 bits of sha256: the same on every machine and in every version."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{group}".encode()).digest()[:8], "big")
