"""Near-duplicate texts: sketched batch by batch, compared where a band agrees, verified by their shingle sets.

Texts are read twice: all of them for their band keys, 4 bytes a band, and those that share a key with another for
their shingle sets. Both lie in files beside; memory holds some numbers per text.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar
from unicodedata import unidata_version

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gendata import chats, compiled, engine
from gendata.dedup import kernels, lsh, minhash, pairs, tokens, words
from gendata.dedup.cache import SketchCache, is_whole, key_of, load, save
from gendata.dedup.exact import NearJob, column_readers
from gendata.dedup.minhash import Keys, banding, curve, shingle_sets
from gendata.dedup.minhash import sketch as sketch_array
from gendata.dedup.settings import TextParams
from gendata.dedup.spool import Spool
from gendata.dedup.visit import Located, visit
from gendata.dedup.words import Hashes
from gendata.keep import Ints, Verdicts

T = TypeVar("T")

_CODE = (chats, compiled, kernels, minhash, pairs, tokens, words)  # what sketches depend on

BATCH = 1024
"""Texts that a thread takes at once."""


class Texts(Protocol):
    """Texts that can be read more than once."""

    def readers(self, chosen: npt.NDArray[np.bool_] | None = None) -> Iterator[Callable[[], pa.Array]]:
        """What reads all texts in order (string or large_string), many at a call; or those chosen."""


@dataclass(frozen=True)
class ArrowTexts:
    """Texts in memory."""

    column: pa.ChunkedArray

    def readers(self, chosen: npt.NDArray[np.bool_] | None = None) -> Iterator[Callable[[], pa.Array]]:
        """See Texts."""
        for start in range(0, len(self.column), BATCH):
            part = self.column.slice(start, BATCH)
            yield partial(_whole, part, None if chosen is None else chosen[start : start + BATCH])


def _whole(part: pa.ChunkedArray, chosen: npt.NDArray[np.bool_] | None) -> pa.Array:
    part = part if chosen is None else part.filter(pa.array(chosen))
    return part.combine_chunks() if part.num_chunks != 1 else part.chunk(0)


@dataclass(frozen=True)
class ShardTexts:
    """Texts of shards."""

    jobs: Sequence[NearJob]

    def readers(self, chosen: npt.NDArray[np.bool_] | None = None) -> Iterator[Callable[[], pa.Array]]:
        """See Texts."""
        end = 0
        for path, positions, *_ in self.jobs:
            start, end = end, end + len(positions)
            taken = positions if chosen is None else positions[chosen[start:end]]
            if len(taken):
                yield from column_readers(path, "text", taken)


def in_threads(
    fn: Callable[[pa.Array], T], texts: Texts, workers: int, chosen: npt.NDArray[np.bool_] | None = None
) -> Iterator[T]:
    """``fn`` of all texts, many at a time, in order; or of those chosen. Threads read them, too."""
    return engine.imap_threads(lambda read: fn(read()), texts.readers(chosen), workers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches:
    """What the search needs of each text that has words (or of each pair); ``left_out`` counts those without.

    ``items``, ``forms``, ``signs``, ``words`` and ``sizes`` (code points) have shape (texts,), ``least``
    (texts, LEAST); ``among`` are their places among all ``count`` texts.
    """

    texts: Texts
    count: int
    items: Ints
    sizes: Ints
    forms: Hashes
    signs: Hashes
    words: npt.NDArray[np.int32]
    least: Keys
    among: Ints
    keys: "BandFile"
    scratch: Path
    paired: bool
    left_out: dict[str, int]


class BandFile:
    """Band keys on disk: chunks (bands, texts) one after the other."""

    def __init__(self, path: Path, bands: int) -> None:
        self._path, self._bands = path, bands
        self._lengths: list[int] = []

    def append(self, keys: Keys) -> None:
        """Add the keys (bands, texts) of more texts."""
        self._lengths.append(keys.shape[1])
        with self._path.open("ab") as file:
            np.ascontiguousarray(keys).tofile(file)

    def band(self, number: int) -> Keys:
        """The keys (texts,) of all texts in one band."""
        keys, end = np.empty(sum(self._lengths), np.uint32), 0
        if not len(keys):
            return keys
        mapped = np.memmap(self._path, np.uint32, mode="r")  # a read each would have threads wait for each other
        for length in self._lengths:
            start = self._bands * end + number * length
            keys[end : end + length] = mapped[start : start + length]
            end += length
        return keys


def sketch(
    jobs: Sequence[NearJob],
    scratch: Path,
    params: TextParams,
    workers: int,
    cache: SketchCache,
    *,
    paired: bool = False,
) -> Sketches:
    """Sketch the texts of all jobs, or, ``paired``, records; what is large goes to files in ``scratch``."""
    bands, rows = banding(params.threshold, params.permutations, params.recall)
    facts = [params.shingle, bands, rows, unidata_version, *map(version, ("numba", "numpy"))]
    code = [Path(module.__file__) for module in _CODE if module.__file__]
    places = cache.places("record" if paired else "text", key_of(facts, code), jobs)
    make = partial(_sketch_job, params=params, paired=paired)
    new = [(job, place) for job, place in zip(jobs, places, strict=True) if not is_whole(place)]
    with engine.Progress("dedup: texts", sum(len(job.items) for job, _ in new), "items") as progress:
        for count in engine.imap_threads(make, new, workers):
            progress.add(count)
    items = np.concatenate([np.empty(0, np.int64), *(job.items for job in jobs)])
    return _gathered(ShardTexts(jobs), items, (_Part(**load(place)) for place in places), scratch, params, paired)


def _sketch_job(at: tuple[NearJob, Path], params: TextParams, paired: bool) -> int:
    """Sketch the texts of a job into its file; how many they are."""
    job, place = at
    parts = [_sketched(read(), params, paired) for read in ShardTexts([job]).readers()]
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1 if name == "keys" else 0)
        for name in _Part._fields
    }
    save(place, arrays)
    return len(job.items)


def sketch_texts(texts: Texts, items: Ints, scratch: Path, params: TextParams, workers: int) -> Sketches:
    """Sketch texts, whose items are numbered ``items``, in threads; their band keys go to a file in ``scratch``."""
    parts = in_threads(partial(_sketched, params=params, paired=False), texts, workers)
    return _gathered(texts, items, parts, scratch, params, paired=False)


def _gathered(
    texts: Texts, items: Ints, parts: Iterable["_Part"], scratch: Path, params: TextParams, paired: bool
) -> Sketches:
    """All parts, one after the other, without the texts that have no words."""
    bands, _ = banding(params.threshold, params.permutations, params.recall)
    file = BandFile(scratch / "bands", bands)
    found, worded = [_sketched(pa.array([], pa.large_string()), params, False)], [np.empty(0, bool)]
    for part in parts:
        has_words = part.words > 0
        file.append(part.keys[:, has_words])
        rest = {name: getattr(part, name)[has_words] for name in ("forms", "signs", "words", "least", "sizes")}
        found.append(part._replace(keys=part.keys[:, :0], **rest))
        worded.append(has_words)
    among = np.flatnonzero(np.concatenate(worded))
    return Sketches(
        texts=texts,
        count=len(items),
        items=items[among],
        sizes=np.concatenate([one.sizes for one in found]),
        forms=np.concatenate([one.forms for one in found]),
        signs=np.concatenate([one.signs for one in found]),
        words=np.concatenate([one.words for one in found]),
        least=np.concatenate([one.least for one in found]),
        among=among,
        keys=file,
        scratch=scratch,
        paired=paired,
        left_out={"record-unpaired" if paired else "text-empty": len(items) - len(among)},
    )


class _Part(NamedTuple):
    """Of some texts their sketch, see there, and ``sizes`` in code points (texts,)."""

    keys: Keys
    forms: Hashes
    signs: Hashes
    words: npt.NDArray[np.int32]
    least: Keys
    sizes: Ints


def _sketched(texts: pa.Array, params: TextParams, paired: bool) -> _Part:
    lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    bands, rows = banding(params.threshold, params.permutations, params.recall)
    return _Part(*sketch_array(texts, params.shingle, bands, rows, paired=paired), lengths)


def chances(params: TextParams) -> dict[str, float]:
    """The chance that two texts are compared, by their similarity."""
    return curve(*banding(params.threshold, params.permutations, params.recall))


def search(sketches: Sketches, order: Ints, verdicts: Verdicts, params: TextParams, workers: int) -> int:
    """Judge all texts in ``order`` (positions); returns how many pairs were compared.

    Texts that share no band key with any other are not looked at again.
    """
    bands, _ = banding(params.threshold, params.permutations, params.recall)
    found = lsh.buckets(lambda one: sketches.keys.band(one)[order], bands, len(order), workers)
    places = order[found.texts]
    sets = sets_of(sketches, places, params, workers)
    items = sketches.items[places]
    ranks, thresholds = (verdicts.origins[items], verdicts.role[items]), (params.group_threshold, params.threshold)
    forms = sketches.forms[places], sketches.signs[places]
    outcome = visit(found, sets, forms, ranks, thresholds, paired=sketches.paired)
    outcome.tell(verdicts, items)
    return int(outcome.compared[0])


def sets_of(sketches: Sketches, places: Ints, params: TextParams, workers: int) -> Located:
    """The shingle sets of the texts at some places, in a file beside their band keys."""
    chosen = np.zeros(sketches.count, bool)
    chosen[sketches.among[places]] = True
    lengths = [np.empty(0, np.int64)]
    with Spool(sketches.scratch / "shingles", np.uint64) as spool:
        make = partial(shingle_sets, n=params.shingle, paired=sketches.paired)
        for some in in_threads(make, sketches.texts, workers, chosen):
            spool.add(some.hashes)
            lengths.append(np.diff(some.bounds))
        flat = spool.mapped()
    bounds = np.concatenate(([0], np.cumsum(np.concatenate(lengths))))
    stored = np.argsort(np.argsort(places, kind="stable"), kind="stable")  # sets lie in the order read
    return Located(np.asarray(flat), bounds[:-1][stored], bounds[1:][stored])


def compare(one: pa.Array, other: pa.Array, n: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Similarities of texts pair by pair (pairs,): Jaccard of their shingles of ``n`` words, and containment.

    The containment is the share of the shingles of the smaller set that the other has; 0.0 where a text has no words.
    """
    a, b = shingle_sets(one, n), shingle_sets(other, n)
    sizes = np.stack((np.diff(a.bounds), np.diff(b.bounds)))
    spans = zip(itertools.pairwise(a.bounds), itertools.pairwise(b.bounds), strict=True)
    parts = ((a.hashes[i:j], b.hashes[k:m]) for (i, j), (k, m) in spans)
    common = np.array([len(np.intersect1d(x, y, assume_unique=True)) for x, y in parts], np.float64)
    return common / np.maximum(sizes.sum(axis=0) - common, 1), common / np.maximum(sizes.min(axis=0), 1)
