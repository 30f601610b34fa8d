"""Which JPEGs are decoded in full, and their digests.

A sketch knows of a JPEG the pixels at a smaller scale, and of other images the digest of all pixels. Only a JPEG that
may have the pixels of another image of its size is decoded once more, in full:

* where another image of its size is no JPEG;
* where another JPEG of its size has the same scaled pixels: equal coefficients of the cosine transform decode to the
  same. Two JPEGs of equal pixels and different coefficients differ in colours that clip, which no picture does
  everywhere but a flat one, and flat ones are decoded in full at once.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.dedup.exact import NearJob, readers
from gendata.dedup.image.decode import NONE, Unfit, pixel_digest
from gendata.keep import Ints
from gendata.originals import COLUMNS, Originals

if TYPE_CHECKING:
    from gendata.dedup.image.sketches import Sketches

T = TypeVar("T")

_BATCH, _BATCH_BYTES = 32, 8 << 20  # images that a thread takes at once, at most
_JOBS_PER_PROCESS = 4  # with fewer shards than that, threads work: their start costs nothing


def share(jobs: Sequence[NearJob], workers: int) -> tuple[int, int]:
    """Processes, and threads of each: few shards are for threads (decoding needs no lock of the interpreter)."""
    workers = workers or engine.cores()
    processes = workers if len(jobs) >= _JOBS_PER_PROCESS * workers else 1
    return processes, workers // processes


def in_batches(fn: Callable[[list[bytes]], T], path: Path, positions: Ints, threads: int) -> Iterator[T]:
    """``fn`` of the images of a shard at ascending positions, some at a time, in threads and in order.

    Without Pillow's warnings: what is odd about a file was ingest's to report.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from engine.imap_threads(fn, _batches(_images(path, positions)), threads)


def _images(path: Path, positions: Ints) -> Iterator[bytes | None]:
    """The images of a shard at ascending positions, a row group in memory at a time."""
    originals = Originals(path)
    for read_group in readers(path, COLUMNS, positions):
        yield from (value.as_py() for value in originals.fill(read_group())["data"])


def _batches(values: Iterator[bytes | None]) -> Iterator[list[bytes]]:
    """Lists of images, bounded in number and bytes."""
    batch: list[bytes] = []
    for value in values:
        batch.append(value or b"")
        if len(batch) == _BATCH or sum(map(len, batch)) >= _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def digest(data: bytes) -> bytes:
    """The digest of all pixels, NONE if they cannot be decoded."""
    try:
        return pixel_digest(data)
    except Unfit:
        return NONE


def decided(sketches: "Sketches", jobs: Sequence[NearJob], counts: Sequence[int], workers: int) -> npt.NDArray[np.void]:
    """The digests of all images, with those of the JPEGs that need one; ``counts``: images of each job."""
    digests, calls, places = sketches.digests.copy(), [], []
    processes, threads = share(jobs, workers)
    needed, ends = _needed(sketches), np.cumsum(counts)
    for job, start, end in zip(jobs, ends - counts, ends, strict=True):
        mine = needed[slice(*np.searchsorted(needed, (start, end)))]
        if len(mine):
            calls.append((job.path, job.positions[sketches.taken[mine]], threads))
            places.append(mine)
    results = engine.imap_shards(digest_shard, calls, label="dedup: pixels", workers=processes)
    for mine, found in zip(places, results, strict=True):
        digests[mine] = found
    return digests


def digest_shard(path: Path, positions: Ints, threads: int) -> list[bytes]:
    """The digests of some images of one shard."""
    parts = in_batches(lambda batch: [digest(data) for data in batch], path, positions, threads)
    return [found for part in parts for found in part]


def _needed(sketches: "Sketches") -> Ints:
    """The JPEGs that may have the pixels of another image, ascending."""
    none = np.void(NONE)
    is_jpeg = sketches.scaled != none
    size = np.unique(sketches.widths << 32 | sketches.heights, return_inverse=True)[1]
    scaled = np.unique(sketches.scaled, return_inverse=True)[1]
    _, group, counts = np.unique(np.stack((scaled, size)), axis=1, return_inverse=True, return_counts=True)
    comparable = np.isin(size, size[~is_jpeg & (sketches.digests != none)]) | (counts[group.reshape(-1)] > 1)
    return np.flatnonzero(is_jpeg & (sketches.digests == none) & comparable)
