"""What the search keeps of each image: a digest of its pixels, and thumbnails and hashes of its views."""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.dedup import ImageParams
from gendata.dedup.exact import NearJob, column_values
from gendata.dedup.image.decode import Picture, Unfit, decode
from gendata.dedup.image.views import (
    BASE,
    SIDE,
    WINDOWS,
    Floats,
    Hashes,
    Pixels,
    entropy,
    phash,
    thumbnail,
    turns,
    views,
    window_hashes,
)
from gendata.dedup.keep import Ints
from gendata.dedup.spool import Spool

Digests = npt.NDArray[np.void]

LEFT_OUT = ("image-flat", "image-animated", "image-undecodable", "image-too-large")
NO_DIGEST = bytes(32)

_BATCH, _BATCH_BYTES = 64, 32 << 20  # images that are decoded side by side, at most
_JOBS_PER_PROCESS = 4  # with fewer shards than that, threads sketch: their start costs nothing
_MAPPED = {"thumbnails": np.uint8, "bases": np.uint8, "windows": np.uint64}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSketches:
    """The sketches of some rows of a shard: a function of their bytes and the params.

    Per image that could be decoded: ``taken`` (its place among the rows), ``sizes`` (pixels) and ``digests`` (V32,
    NO_DIGEST where there is none). Per view, ordered by image: ``owners`` (the position of the image), ``aspects``
    (width / height) and ``hashes`` (views, turns). Images without a view are flat; ``left_out`` counts, by reason
    in the order of LEFT_OUT, these and the ones that could not be decoded.
    """

    taken: Ints
    sizes: Ints
    digests: Digests
    owners: Ints
    aspects: Floats
    hashes: Hashes
    left_out: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches:
    """What the search needs: ``items`` per image, all of ShardSketches, and these per view, mapped from disk.

    ``thumbnails`` (views, SIDE, SIDE) and, where crops are no difference, ``bases`` (views, BASE, BASE) and
    ``windows`` (views, windows).
    """

    items: Ints
    sizes: Ints
    digests: Digests
    owners: Ints
    aspects: Floats
    hashes: Hashes
    thumbnails: Pixels
    bases: Pixels
    windows: Hashes
    left_out: dict[str, int]


def sketch(jobs: Sequence[NearJob], scratch: Path, params: ImageParams, workers: int) -> Sketches:
    """Sketch the images of all jobs; what is large goes to files in ``scratch``.

    Few shards are sketched by threads (decoding needs no lock of the interpreter), many by processes.
    """
    workers = workers or engine.cores()
    processes = workers if len(jobs) >= _JOBS_PER_PROCESS * workers else 1
    calls = [(j.path, j.positions, scratch / f"image-{i}", params, workers // processes) for i, j in enumerate(jobs)]
    spools = {name: Spool(scratch / name, dtype) for name, dtype in _MAPPED.items()}
    parts, numbers = [_joined([], params)], [np.empty(0, np.int64)]
    for job, call, part in zip(
        jobs, calls, engine.imap_shards(sketch_shard, calls, label="dedup: images", workers=processes), strict=True
    ):
        for name, spool in spools.items():
            spool.append(_part(call[2], name))
        numbers.append(job.items[part.taken])
        parts.append(part)
    whole, windows = _joined(parts, params), len(WINDOWS) if "crop" in params.invariant else 0
    return Sketches(
        items=np.concatenate(numbers),
        sizes=whole.sizes,
        digests=whole.digests,
        owners=whole.owners,
        aspects=whole.aspects,
        hashes=whole.hashes,
        thumbnails=cast("Pixels", spools["thumbnails"].mapped()).reshape(-1, SIDE, SIDE),
        bases=cast("Pixels", spools["bases"].mapped()).reshape(-1, BASE, BASE),
        windows=cast("Hashes", spools["windows"].mapped()).reshape(len(whole.owners), windows),
        left_out=dict(zip(LEFT_OUT, whole.left_out.tolist(), strict=True)),
    )


def sketch_shard(path: Path, positions: Ints, part: Path, params: ImageParams, threads: int) -> ShardSketches:
    """Sketch some rows of one shard; saves thumbnails, bases and windows beside ``part``."""
    batches, mapped, start = [_joined([], params)], [_large([], params)], 0
    with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
        warnings.simplefilter("ignore")  # what is odd about a file was ingest's to report
        for batch in _batches(column_values(path, "data", positions)):
            found = list(pool.map(_decode, batch))
            small, large = _sketch_batch(found, start, params)
            batches.append(small)
            mapped.append(large)
            start += len(batch)
    for name in _MAPPED:
        np.save(_part(part, name), np.concatenate([large[name] for large in mapped]))
    return _joined(batches, params)


def _part(path: Path, name: str) -> Path:
    return path.with_name(f"{path.name}-{name}.npy")


def _batches(values: Iterator[bytes | None]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for value in values:
        batch.append(value or b"")
        if len(batch) == _BATCH or sum(map(len, batch)) >= _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def _decode(data: bytes) -> Picture | str:
    """The picture, or why there is none."""
    try:
        return decode(data)
    except Unfit as reason:
        return str(reason)


def _sketch_batch(
    found: list[Picture | str], start: int, params: ImageParams
) -> tuple[ShardSketches, dict[str, npt.NDArray[np.generic]]]:
    """The sketches of a batch that begins at row ``start``."""
    places = [i for i, picture in enumerate(found) if isinstance(picture, Picture)]
    pictures = [picture for picture in found if isinstance(picture, Picture)]
    shown, owners, aspects = [], [], []
    for i, picture in enumerate(pictures):
        for view in views(picture.grey, params):
            if entropy(view) >= params.min_entropy:
                shown.append(view)
                owners.append(i)
                share = (view.shape[1] / picture.grey.shape[1]) / (view.shape[0] / picture.grey.shape[0])
                aspects.append(picture.width / picture.height * share)
    thumbnails = np.array([thumbnail(view) for view in shown], np.uint8).reshape(-1, SIDE, SIDE)
    hashes, contrasts = phash(thumbnails, turns(params.invariant))
    vivid = contrasts >= params.min_contrast
    owner = np.array(owners, np.int64)[vivid]
    flat = len(pictures) - len(np.unique(owner))
    small = ShardSketches(
        taken=np.array(places, np.int64) + start,
        sizes=np.array([p.width * p.height for p in pictures], np.int64),
        digests=np.array([p.digest or NO_DIGEST for p in pictures], "V32"),
        owners=owner,
        aspects=np.array(aspects, np.float64)[vivid],
        hashes=hashes[vivid],
        left_out=np.array([flat * (name == "image-flat") + found.count(name) for name in LEFT_OUT]),
    )
    return small, _large([v for v, kept in zip(shown, vivid, strict=True) if kept], params, thumbnails[vivid])


def _large(shown: list[Pixels], params: ImageParams, thumbnails: Pixels | None = None) -> dict[str, npt.NDArray[np.generic]]:
    """What of the views goes to disk, each of one axis."""
    crops = "crop" in params.invariant
    bases = np.array([thumbnail(view, BASE) for view in shown if crops], np.uint8).reshape(-1, BASE, BASE)
    thumbs = np.empty(0, np.uint8) if thumbnails is None else thumbnails.reshape(-1)
    return {"thumbnails": thumbs, "bases": bases.reshape(-1), "windows": window_hashes(bases).reshape(-1)}


def _joined(parts: Sequence[ShardSketches], params: ImageParams) -> ShardSketches:
    """One after the other; owners count on."""
    none = np.empty(0, np.int64)
    starts = np.cumsum([0, *(len(p.taken) for p in parts)])
    return ShardSketches(
        taken=np.concatenate([none, *(p.taken for p in parts)]),
        sizes=np.concatenate([none, *(p.sizes for p in parts)]),
        digests=np.concatenate([np.empty(0, "V32"), *(p.digests for p in parts)]),
        owners=np.concatenate([none, *(p.owners + s for p, s in zip(parts, starts[:-1], strict=True))]),
        aspects=np.concatenate([np.empty(0), *(p.aspects for p in parts)]),
        hashes=np.concatenate([np.empty((0, len(turns(params.invariant))), np.uint64), *(p.hashes for p in parts)]),
        left_out=np.sum([np.zeros(len(LEFT_OUT), np.int64), *(p.left_out for p in parts)], axis=0),
    )
