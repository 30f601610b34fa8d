"""Near-duplicate texts: MinHash signatures, LSH by banding, exact Jaccard similarity of shingle sets.

MinHash: Broder, "On the resemblance and containment of documents", 1997. Banding: Leskovec, Rajaraman,
Ullman, "Mining of Massive Datasets", 3.4. Hash functions: Dietzfelbinger et al., "A reliable randomized
algorithm for the closest-pair problem", 1997 (multiply and add, modulo 2^64), over already mixed hashes.

A text's **words**, after NFKC and casefolding, are its runs of characters that are neither white space nor
punctuation; each character of a script written without spaces (Chinese, Japanese, Thai, Lao, Tibetan, Burmese,
Khmer) is a word of its own, and so is each character of a run of more than 40 (DNA, base64). A text that has
punctuation only is taken character by character. Its **shingles** are all sequences of n words; a text of fewer words
is one shingle. Shingle sets are sets of 64-bit hashes: two different shingles fall together with probability 2^-64.
A text without any character but white space has no shingles and takes part in exact deduplication alone.
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.dedup import TextParams
from gendata.dedup.exact import NearJob, column_values
from gendata.dedup.spool import Spool
from gendata.keep import NO_MATCH, Ints, Verdicts, code

Hashes = npt.NDArray[np.uint64]

LONGEST_WORD = 40

_UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u312f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_PUNCTUATION = (
    r"\x00-/:-@\[-`{-\xa9\xab-\xb4\xb6-\xb9\xbb-\xbf\u2010-\u205e\u2060\ufeff\u200b\u3001-\u3003\u3008-\u3020\u3030"
)
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_PUNCTUATION}{_UNSPACED}]+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_BLOCK = 1024  # shingles hashed at once: the products of 128 functions stay in the processor's cache


class _WordHashes(dict[str, int]):
    """64-bit BLAKE2b per word: the same in every process, as Python's own hash is not."""

    def __missing__(self, word: str) -> int:
        if len(self) >= 1 << 20:
            self.clear()  # a bound on memory, for corpora of endless new words
        value = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
        self[word] = value
        return value


_word_hashes = _WordHashes()


def words(text: str) -> list[str]:
    """The words of a text; see the module."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    found = _WORD.findall(folded) or list("".join(folded.split()))
    if found and len(max(found, key=len)) > LONGEST_WORD:
        return [part for word in found for part in (word if len(word) > LONGEST_WORD else (word,))]
    return found


def shingles(text: str, n: int) -> Hashes:
    """The set of the text's n-word shingles as sorted distinct 64-bit hashes, shape (shingles,)."""
    found = words(text)
    if not found:
        return np.empty(0, np.uint64)
    codes = np.fromiter(map(_word_hashes.__getitem__, found), np.uint64, len(found))
    n = min(n, len(codes))
    count = len(codes) - n + 1
    rolled = codes[:count].copy()
    for i in range(1, n):
        rolled *= _MULTIPLIER
        rolled += codes[i : i + count]
    return _distinct(_mix(rolled))


def jaccard(a: Hashes, b: Hashes) -> float:
    """Size of the intersection over size of the union of two sorted sets without repeats."""
    both = np.concatenate((a, b))
    both.sort()
    common = int(np.count_nonzero(both[1:] == both[:-1]))
    return common / (len(both) - common) if len(both) else 0.0


def _distinct(values: Hashes) -> Hashes:
    values.sort()
    return values[np.concatenate(([True], values[1:] != values[:-1]))]


def _mix(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele et al. 2014): every input bit reaches every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def chance(similarity: float, bands: int, rows: int) -> float:
    """Probability that a pair of this Jaccard similarity agrees in all rows of at least one band."""
    return float(1 - (1 - similarity**rows) ** bands)


def banding(threshold: float, permutations: int, recall: float) -> tuple[int, int]:
    """Bands and rows: the most rows (fewest wrong candidates) that still find pairs at the threshold.

    Raises ValueError if ``permutations`` are too few for the recall.
    """
    for rows in range(permutations, 0, -1):
        bands = permutations // rows
        if chance(threshold, bands, rows) >= recall:
            return bands, rows
    raise ValueError(f"permutations: {permutations} are too few for recall {recall} at threshold {threshold}")


def signature(shingle_set: Hashes, functions: int) -> Hashes:
    """The least hash of a non-empty set under each of ``functions`` hash functions, shape (functions,)."""
    factors, summands = _functions(functions)
    least = np.full(functions, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(shingle_set), _BLOCK):
        hashed = factors * shingle_set[start : start + _BLOCK]
        hashed += summands
        np.minimum(least, hashed.min(axis=1), out=least)
    return least


def _functions(count: int) -> tuple[Hashes, Hashes]:
    """Odd factors and summands, each of shape (count, 1)."""
    numbers = _mix(np.arange(1, 2 * count + 1, dtype=np.uint64) * _MULTIPLIER)[:, None]
    return numbers[:count] | np.uint64(1), numbers[count:]


def band_keys(signatures: Hashes, bands: int, rows: int) -> Hashes:
    """Signatures (texts, bands * rows) to one hash per band (texts, bands)."""
    split = signatures.reshape(len(signatures), bands, rows)
    keys = split[:, :, 0].copy()
    for row in range(1, rows):
        keys = _mix(keys * _MULTIPLIER) + split[:, :, row]
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches:
    """What the search needs of each text; ``left_out`` counts texts without shingles.

    ``items`` and ``sizes`` (code points) have shape (texts,), ``keys`` (texts, bands); text i's shingles are
    ``shingles[bounds[i]:bounds[i + 1]]``, mapped from disk.
    """

    items: Ints
    sizes: Ints
    keys: Hashes
    bounds: Ints
    shingles: Hashes
    left_out: dict[str, int]


def sketch(jobs: Sequence[NearJob], scratch: Path, params: TextParams, workers: int) -> Sketches:
    """Sketch the texts of all jobs in worker processes; shingle sets go to files in ``scratch``."""
    bands, rows = banding(params.threshold, params.permutations, params.recall)
    numbers, sizes, keys, lengths = [], [], [np.empty((0, bands), np.uint64)], []
    calls = [
        (job.path, job.positions, scratch / f"text-{i}.npy", params.shingle, bands, rows) for i, job in enumerate(jobs)
    ]
    with Spool(scratch / "shingles", np.uint64) as spool:
        results = engine.imap_shards(sketch_shard, calls, label="dedup: texts", workers=workers)
        for job, call, (job_sizes, job_keys, job_lengths) in zip(jobs, calls, results, strict=True):
            spool.append(call[2])
            numbers.append(job.items[job_lengths > 0])
            sizes.append(job_sizes[job_lengths > 0])
            lengths.append(job_lengths[job_lengths > 0])
            keys.append(job_keys)
        flat = spool.mapped()
    none = [np.empty(0, np.int64)]
    found = np.concatenate(none + numbers)
    return Sketches(
        items=found,
        sizes=np.concatenate(none + sizes),
        keys=np.concatenate(keys),
        bounds=np.concatenate(([0], np.cumsum(np.concatenate(none + lengths)))),
        shingles=cast("Hashes", flat),
        left_out={"text-empty": sum(len(job.items) for job in jobs) - len(found)},
    )


def sketch_shard(path: Path, positions: Ints, part: Path, n: int, bands: int, rows: int) -> tuple[Ints, Hashes, Ints]:
    """Sketch some rows of one shard, in a worker process.

    Saves the shingles of all to ``part``, one after the other. Returns code points and number of shingles, each of
    shape (rows,), and the band keys (rows with shingles, bands).
    """
    sets, signatures = [np.empty(0, np.uint64)], [np.empty((0, bands * rows), np.uint64)]
    sizes, lengths = [], []
    for text in column_values(path, "text", positions):
        text = text or ""
        found = shingles(text, n)
        sizes.append(len(text))
        lengths.append(len(found))
        if len(found):
            sets.append(found)
            signatures.append(signature(found, bands * rows)[None])
    np.save(part, np.concatenate(sets))
    keys = band_keys(np.concatenate(signatures), bands, rows)
    return np.array(sizes, np.int64), keys, np.array(lengths, np.int64)


def search(sketches: Sketches, order: Ints, verdicts: Verdicts, params: TextParams) -> int:
    """Judge all texts in ``order`` (positions); returns how many pairs were compared.

    A text is compared with the texts that stay and share a band key with it, so that many near-copies of one text
    cost one comparison each; many texts alike to just under the threshold, which all stay, cost one per pair (about
    8 microseconds). Texts that share no key with any other are not visited at all.
    """
    tables: defaultdict[int, list[int]] = defaultdict(list)
    buckets = _buckets(sketches.keys[order])
    compared = 0
    for visit in np.flatnonzero((buckets >= 0).any(axis=1)).tolist():
        own = buckets[visit][buckets[visit] >= 0].tolist()
        met = np.array(sorted({other for bucket in own for other in tables[bucket]}), np.int64)
        others, scores = _compare(sketches, order, visit, met, params.group_threshold)
        compared += len(met)
        numbers = sketches.items[order[others]]
        reasons = np.where(scores >= params.threshold, np.int8(code("near-text")), np.int8(NO_MATCH))
        if verdicts.judge(int(sketches.items[order[visit]]), numbers, scores, reasons):
            for bucket in own:
                tables[bucket].append(visit)
    return compared


def _buckets(keys: Hashes) -> npt.NDArray[np.int32]:
    """Band keys (texts, bands) to bucket numbers, distinct across bands; -1 where no other text has the key."""
    buckets = np.empty(keys.shape, np.int32)
    offset = 0
    for band in range(keys.shape[1]):
        distinct, inverse, counts = np.unique(keys[:, band], return_inverse=True, return_counts=True)
        buckets[:, band] = np.where(counts[inverse] > 1, inverse + offset, -1)
        offset += len(distinct)
    return buckets


def _compare(
    sketches: Sketches, order: Ints, visit: int, met: Ints, least: float
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Which of the visits ``met`` reach ``least`` Jaccard similarity to ``visit``, and the similarities."""
    bounds = sketches.bounds

    def shingle_set(at: int) -> Hashes:
        return np.asarray(sketches.shingles[bounds[order[at]] : bounds[order[at] + 1]])

    lengths = bounds[order[met] + 1] - bounds[order[met]]
    own = shingle_set(visit)
    # |A and B| <= min and |A or B| >= max, so that sizes alone rule pairs out, without loss
    met = met[np.minimum(lengths, len(own)) >= least * np.maximum(lengths, len(own))]
    scores = np.array([jaccard(own, shingle_set(other)) for other in met.tolist()], np.float64)
    return met[scores >= least], scores[scores >= least]
