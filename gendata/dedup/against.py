"""Fixed references: what the items of a project must not repeat, such as evaluation sets or a published corpus.

References rank before everything else, and are never touched: an item that equals one, is a near-duplicate of one, or
shares words with one, is dropped with reason ``reference``, of whatever origin or source it is. What an item is
compared by is what the reference says: content and likeness, as among the items themselves, or with ``ngram``
any sequence of that many words (decontamination as of Brown et al., "Language Models are Few-Shot Learners", 2020,
appendix C; there of 13 words). A text of fewer words matches as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata import files
from gendata.dedup import image, texts
from gendata.dedup.cache import SketchCache
from gendata.dedup.exact import NearJob, Rows
from gendata.dedup.minhash import Sieve, shingle_sets, shingles
from gendata.dedup.settings import DedupParams
from gendata.dedup.words import Hashes
from gendata.items import canonical_json
from gendata.keep import NO_MATCH, PROBE, REASONS, REFERENCE, Ints, Verdicts

NGRAM = "ngram"
"""How an item matches that shares words; other matches are named as in REASONS."""


@dataclass(frozen=True)
class Reference:
    """Folders of shards (ITEM_SCHEMA), and the length of the sequences of words that must not occur, if any."""

    folders: tuple[Path, ...]
    ngram: int | None = None


@dataclass(frozen=True)
class Barred:
    """What matches a reference.

    ``by`` is the place in ``known`` of each item's reference item, -1 where it matches none; ``score`` how similar it
    is, or the share of its sequences of words; ``match`` how they match.
    """

    by: Ints
    score: npt.NDArray[np.float64]
    match: npt.NDArray[np.object_]
    known: pa.Table

    @classmethod
    def none(cls, count: int, known: pa.Table) -> "Barred":
        """None of ``count`` items matches."""
        return cls(np.full(count, -1), np.zeros(count), np.full(count, None, object), known)

    @property
    def items(self) -> npt.NDArray[np.bool_]:
        """Which items match."""
        return self.by >= 0

    def bar(self, items: Ints, by: Ints, scores: npt.NDArray[np.float64], how: Sequence[str]) -> None:
        """Note matches, where an item has none yet."""
        new = self.by[items] < 0
        self.by[items[new]], self.score[items[new]] = by[new], scores[new]
        self.match[items[new]] = np.array(how, object)[new]

    def told(self, item: int) -> str:
        """What an item matches, as the column ``reference`` has it."""
        row = self.known.slice(int(self.by[item]), 1).to_pylist()[0]
        return canonical_json({"match": self.match[item], "name": row["name"], "uri": row["uri"]})

    def counts(self, names: Sequence[str]) -> dict[str, Any]:
        """Per reference: its items, items that match, and these by file of the reference."""
        by_file: dict[str, dict[str, int]] = {name: {} for name in names}
        for row in self.known.take(pa.array(self.by[self.items])).to_pylist():
            files_ = by_file[row["name"]]
            path = row["uri"].split("#", 1)[0]
            files_[path] = files_.get(path, 0) + 1
        sizes = {row["values"]: row["counts"] for row in pc.value_counts(self.known["name"]).to_pylist()}
        return {
            name: {"items": sizes.get(name, 0), "matched": sum(found.values()), "by_file": dict(sorted(found.items()))}
            for name, found in sorted(by_file.items())
        }


_KNOWN = pa.schema([(name, pa.string()) for name in ("id", "modality", "uri", "name")])


class _Shard(NamedTuple):
    name: str
    path: Path
    start: int
    rows: pa.Table


def search(
    rows: Rows, references: Mapping[str, Reference], scratch: Path, params: DedupParams, cache: SketchCache
) -> Barred:
    """Compare all items with the references. Raises StoreError if a shard is unreadable."""
    shards = list(_shards(references))
    barred = Barred.none(len(rows.stays), pa.concat_tables([_KNOWN.empty_table(), *(s.rows for s in shards)]))
    alike = [s for s in shards if references[s.name].ngram is None]
    if alike:
        _equal(rows, barred, alike)
        for modality in ("text", "record", "image"):
            old = _jobs(alike, modality, len(rows.stays))
            new = rows.near_jobs(modality, ~barred.items, every=True)
            if old and new:
                _near(modality, [*old, *new], barred, scratch / f"against-{modality}", params, cache)
    for n in sorted({r.ngram for r in references.values() if r.ngram is not None}):
        _shared_words(rows, barred, [s for s in shards if references[s.name].ngram == n], n, params.workers)
    return barred


def _shards(references: Mapping[str, Reference]) -> Iterator[_Shard]:
    start = 0
    for name, reference in sorted(references.items()):
        for path in (path for folder in reference.folders for path in files.shards(folder)):
            rows = files.read_table(path, ["id", "modality", "uri"])
            yield _Shard(name, path, start, rows.append_column("name", pa.repeat(name, len(rows))).cast(_KNOWN))
            start += len(rows)


def _jobs(shards: Sequence[_Shard], modality: str, first: int) -> list[NearJob]:
    """What to sketch of references, whose items are numbered from ``first``; of equal ones the first alone."""
    every = pa.concat_tables(s.rows for s in shards).combine_chunks()
    wanted = np.zeros(len(every), bool)
    wanted[np.unique(every["id"].chunk(0).dictionary_encode().indices, return_index=True)[1]] = True
    wanted &= pc.equal(every["modality"], modality).to_numpy()
    jobs, end = [], 0
    for shard in shards:
        start, end = end, end + len(shard.rows)
        at = np.flatnonzero(wanted[start:end])
        if len(at):
            ids = every["id"].chunk(0).take(pa.array(at + start))
            jobs.append(NearJob(shard.path, at, at + shard.start + first, ids))
    return jobs


def _equal(rows: Rows, barred: Barred, shards: Sequence[_Shard]) -> None:
    ids = rows.table["id"].take(pa.array(rows.stays)).cast(pa.string())
    chosen = np.concatenate([np.arange(s.start, s.start + len(s.rows)) for s in shards])
    found = pc.index_in(ids, barred.known["id"].take(pa.array(chosen)).combine_chunks())
    items = np.flatnonzero(pc.is_valid(found).to_numpy())
    by = chosen[found.drop_null().to_numpy()]
    barred.bar(items, by, np.ones(len(items)), ["exact"] * len(items))


def _roles(barred: Barred) -> Verdicts:
    """Verdicts in which items are compared with references alone; references have the numbers behind the items."""
    items = len(barred.by)
    verdicts = Verdicts(np.zeros(items + len(barred.known), np.int8))
    verdicts.role[:items], verdicts.role[items:] = PROBE, REFERENCE
    return verdicts


def _near(
    modality: str, jobs: Sequence[NearJob], barred: Barred, folder: Path, params: DedupParams, cache: SketchCache
) -> None:
    """Bar what is a near-duplicate of a reference; ``jobs`` are of both."""
    folder.mkdir()
    verdicts = _roles(barred)
    if modality != "image":
        prose = texts.sketch(jobs, folder, params.text, params.workers, cache, paired=modality == "record")
        texts.search(prose, _references_first(prose.items, barred), verdicts, params.text, params.workers)
    else:
        images = image.sketch(jobs, folder, params.image, params.workers, cache)
        image.search(images, _references_first(images.items, barred), verdicts, params.image)
    _take(verdicts, barred)


def _references_first(items: Ints, barred: Barred) -> Ints:
    """References by id and uri, then the items, as positions in ``items``."""
    count = len(barred.by)
    order = pc.sort_indices(barred.known, sort_keys=[(n, "ascending") for n in ("id", "name", "uri")]).to_numpy()
    rank = np.concatenate((np.full(count, len(order)), np.argsort(order)))
    return np.lexsort((items, rank[items]))


def _take(verdicts: Verdicts, barred: Barred) -> None:
    count = len(barred.by)
    items = np.flatnonzero(verdicts.reason[:count] != NO_MATCH)
    how = [REASONS[reason] for reason in verdicts.reason[items].tolist()]
    barred.bar(items, verdicts.stays_as[items] - count, verdicts.score[items], how)


def _shared_words(rows: Rows, barred: Barred, shards: Sequence[_Shard], n: int, workers: int) -> None:
    """Bar the texts and records that share ``n`` words in sequence with one of the references."""
    old = [job for modality in ("text", "record") for job in _jobs(shards, modality, 0)]
    sets = [np.empty((2, 0), np.uint64)]
    for job in old:
        start = 0
        for found in texts.in_threads(partial(shingle_sets, n=n), texts.ShardTexts([job]), workers):
            sizes = np.diff(found.bounds)
            owners = np.repeat(job.items[start : start + len(sizes)], sizes)
            sets.append(np.stack((found.hashes, owners.astype(np.uint64))))
            start += len(sizes)
    both = np.concatenate(sets, axis=1)
    hashes, first = np.unique(both[0], return_index=True)
    owners = both[1][first].astype(np.int64)
    if not len(hashes):
        return
    new = [job for modality in ("text", "record") for job in rows.near_jobs(modality, ~barred.items, every=True)]
    items, at = np.concatenate([np.empty(0, np.int64), *(job.items for job in new)]), 0
    probe = partial(_probe, n=n, sieve=Sieve.of(hashes), hashes=hashes)
    for text, place, share in texts.in_threads(probe, texts.ShardTexts(new), workers):
        matched = np.flatnonzero(share)
        of_each = np.split(owners[place], np.searchsorted(text, matched[1:]))
        most = [_most(some) for some in of_each[: len(matched)]]
        barred.bar(items[at + matched], np.array(most, np.int64), share[matched], [NGRAM] * len(matched))
        at += len(share)


def _most(owners: Ints) -> int:
    """The most frequent, the least of equals."""
    found, counts = np.unique(owners, return_counts=True)
    return int(found[counts.argmax()])


def _probe(array: pa.Array, n: int, sieve: Sieve, hashes: Hashes) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """Matches as the number of a text and a place in ``hashes``; and of each text the share that matches."""
    some = shingles(array, n)
    found, bounds = sieve.passing(some)
    of_text = np.repeat(np.arange(len(array)), np.diff(bounds))
    place = np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)
    met = hashes[place] == found
    share = np.bincount(of_text[met], minlength=len(array)) / np.maximum(np.diff(some.bounds), 1)
    return of_text[met], place[met], share
