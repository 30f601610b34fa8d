"""Fixed references: what the items of a project must not repeat, such as evaluation sets or a published corpus.

References rank before everything else, and are never touched: an item that equals one, is a near-duplicate of one, or
shares words with one, is dropped with reason ``reference``, of whatever origin or source it is. What an item is
compared by is what the reference says: content and likeness, as among the items themselves, or with ``ngram``
any sequence of that many words (decontamination as of Brown et al., "Language Models are Few-Shot Learners", 2020,
appendix C; there of 13 words). A text of fewer words matches as a whole. With ``ngram`` equal content matches too, and
images are compared as without it; captions take no part, and are counted. Without it records that are no pair of prompt
and reply (rows of a table of which no column is known as a text) are compared by equal content alone, and counted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata import files
from gendata.chats import parts
from gendata.dedup import image, texts
from gendata.dedup.barred import KNOWN, NGRAM, Barred, Reference
from gendata.dedup.cache import SketchCache
from gendata.dedup.exact import NearJob, Rows
from gendata.dedup.minhash import Sieve, shingle_sets, shingles
from gendata.dedup.settings import DedupParams
from gendata.dedup.words import Hashes
from gendata.keep import NO_MATCH, PROBE, REASONS, REFERENCE, Ints, Verdicts
from gendata.ranges import spread

T = TypeVar("T")


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
    barred = Barred.none(len(rows.stays), pa.concat_tables([KNOWN.empty_table(), *(s.rows for s in shards)]))
    for n in sorted({r.ngram for r in references.values()}, key=lambda n: n or 0):
        some = [s for s in shards if references[s.name].ngram == n]
        if not some:
            continue
        others = _equal(rows, barred, some)
        for modality in ("text", "record", "image") if n is None else ("image",):
            old, new = _jobs(some, modality, len(rows.stays)), rows.near_jobs(modality, others, every=True)
            if old and new:
                _near(modality, [*old, *new], barred, scratch / f"against-{n}-{modality}", params, cache)
        if n is not None:
            _shared_words(rows, barred, some, n, params.workers)
            _note_captions(rows, barred, some)
        else:
            _note_unpaired(barred, some)
    return barred


def _shards(references: Mapping[str, Reference]) -> Iterator[_Shard]:
    start = 0
    for name, reference in sorted(references.items()):
        for path in (path for folder in reference.folders for path in files.shards(folder)):
            rows = files.read_table(path, ["id", "modality", "uri"])
            yield _Shard(name, path, start, rows.append_column("name", pa.repeat(name, len(rows))).cast(KNOWN))
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


def _equal(rows: Rows, barred: Barred, shards: Sequence[_Shard]) -> npt.NDArray[np.bool_]:
    """Bar what is in a reference; which items are not."""
    ids = rows.table["id"].take(pa.array(rows.stays)).cast(pa.string())
    chosen = np.concatenate([np.arange(s.start, s.start + len(s.rows)) for s in shards])
    found = pc.index_in(ids, barred.known["id"].take(pa.array(chosen)).combine_chunks())
    items = np.flatnonzero(pc.is_valid(found).to_numpy())
    by = chosen[found.drop_null().to_numpy()]
    barred.bar(items, by, np.ones(len(items)), ["exact"] * len(items))
    others: npt.NDArray[np.bool_] = pc.is_null(found).to_numpy()
    return others


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
    hashes, bounds, owners = _sequences(shards, barred.files, n, workers)
    if not len(hashes):
        return
    every = np.ones(len(barred.by), bool)  # also what is barred already: it may match other files
    probe = partial(_probe, n=n, sieve=Sieve.of(hashes), hashes=hashes)
    for modality in ("text", "record"):
        new = rows.near_jobs(modality, every, every=True)
        items, at = np.concatenate([np.empty(0, np.int64), *(job.items for job in new)]), 0
        for text, place, share in texts.in_threads(_of(modality, probe), texts.ShardTexts(new), workers):
            hit, owner = spread(bounds[place], bounds[place + 1])
            pairs, often = np.unique(text[hit] * len(barred.known) + owners[owner], return_counts=True)
            of_text, by = np.divmod(pairs, len(barred.known))
            best = np.lexsort((by, -often, of_text))  # the most sequences, the least of equals
            matched, first = np.unique(of_text, return_index=True)
            barred.bar(items[at + matched], by[best[first]], share[matched], [NGRAM] * len(matched))
            barred.hits.append((items[at + of_text], by))
            at += len(share)


def _of(modality: str, fn: Callable[[pa.Array], T]) -> Callable[[pa.Array], T]:
    """What is done to texts, done to the texts of items of a modality."""
    return (lambda records: fn(_said(records))) if modality == "record" else fn


def _said(records: pa.Array) -> pa.Array:
    """Records as they are cut into words: of JSON without its escapes, as a line break would be the letter n."""
    plain = pc.replace_substring_regex(records, r"\\(?:u[0-9a-fA-F]{4}|.)", " ")
    return pc.if_else(pc.starts_with(records, "{"), plain, records)


def _sequences(shards: Sequence[_Shard], of_file: Ints, n: int, workers: int) -> tuple[Hashes, Ints, Ints]:
    """Hashes of all sequences of ``n`` words, ascending and distinct; of each the bounds of its owners, and these.

    An owner is the first item of a file that has the sequence.
    """
    hashes, owners = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    jobs = [(kind, job) for kind in ("text", "record") for job in _jobs(shards, kind, 0)]
    for modality, job in jobs:
        start = 0
        for found in texts.in_threads(_of(modality, partial(shingle_sets, n=n)), texts.ShardTexts([job]), workers):
            sizes = np.diff(found.bounds)
            hashes.append(found.hashes)
            owners.append(np.repeat(job.items[start : start + len(sizes)], sizes))
            start += len(sizes)
    order = np.argsort(np.concatenate(hashes), kind="stable")
    every, owner = np.concatenate(hashes)[order], np.concatenate(owners)[order]
    new = np.ones(len(every), bool)  # items of a file come one after the other
    new[1:] = (every[1:] != every[:-1]) | (of_file[owner[1:]] != of_file[owner[:-1]])
    distinct, first = np.unique(every[new], return_index=True)
    return distinct, np.append(first, new.sum()), owner[new]


def _note_captions(rows: Rows, barred: Barred, shards: Sequence[_Shard]) -> None:
    """Count the captions whose words are not compared: of each reference, and of the items."""
    wordless = pc.take(rows.table["wordless"], pa.array(rows.stays))
    image = pc.equal(rows.table["modality"].take(pa.array(rows.stays)), "image")
    of_items = pc.sum(pc.and_not(image, wordless)).as_py() or 0
    for shard in shards:
        counts = barred.captions.setdefault(shard.name, {"reference": 0, "items": of_items})
        if pc.any(pc.equal(shard.rows["modality"], "image")).as_py():
            for batch in files.iter_batches(shard.path, ["modality", "text"]):
                captioned = pc.and_(pc.equal(batch["modality"], "image"), pc.is_valid(batch["text"]))
                counts["reference"] += pc.sum(captioned).as_py() or 0


def _note_unpaired(barred: Barred, shards: Sequence[_Shard]) -> None:
    """Count the records of references that are no pair."""
    for shard in shards:
        if pc.any(pc.equal(shard.rows["modality"], "record")).as_py():
            for batch in files.iter_batches(shard.path, ["modality", "text"]):
                records = batch["text"].filter(pc.equal(batch["modality"], "record"))
                barred.unpaired[shard.name] += sum(parts(text or "") is None for text in records.to_pylist())


def _probe(array: pa.Array, n: int, sieve: Sieve, hashes: Hashes) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """Matches as the number of a text and a place in ``hashes``; and of each text the share that matches."""
    some = shingles(array, n)
    found, bounds = sieve.passing(some)
    of_text = np.repeat(np.arange(len(array)), np.diff(bounds))
    place = np.minimum(np.searchsorted(hashes, found), len(hashes) - 1)
    met = hashes[place] == found
    share = np.bincount(of_text[met], minlength=len(array)) / np.maximum(np.diff(some.bounds), 1)
    return of_text[met], place[met], share
