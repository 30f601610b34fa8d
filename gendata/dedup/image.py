"""Near-duplicate images: a 64-bit DCT hash finds candidates, the pixels of thumbnails decide.

Hash: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010 (pHash): the image in
32 x 32 grey values, the 8 x 8 lowest frequencies of its DCT-II without the constant row and column, one bit each:
over their median or not. The cosines are whole numbers of 1/4096, so that hashes are the same on every processor.

Hashes alone merge what is merely alike (handwritten digits above all), so candidates within the Hamming radius must
also have nearly the same proportions and a high normalised correlation of the thumbnails; both ignore
brightness and contrast. Colour plays no role. Thumbnails are upright (EXIF orientation), over white where transparent.

Images take part in exact deduplication alone, and are counted by reason, if they are ``image-flat`` (entropy or
hash contrast under the minimum), ``image-animated`` (several frames; a first frame says too little), or
``image-undecodable``.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from gendata import engine
from gendata.dedup import ImageParams
from gendata.dedup.exact import NearJob, column_values
from gendata.dedup.spool import Spool
from gendata.keep import NO_MATCH, Ints, Verdicts, code

Hashes = npt.NDArray[np.uint64]
Pixels = npt.NDArray[np.uint8]

SIDE = 32
"""Side of the thumbnail, of the hash's input and of what is correlated."""

LEFT_OUT = ("image-flat", "image-animated", "image-undecodable")
_FLAT, _ANIMATED, _UNDECODABLE = 0, 1, 2
_DRAFT = 8 * SIDE  # a JPEG is decoded at 1/2, 1/4 or 1/8 while it stays at least this large
_PROPORTIONS = 1.06  # how far the aspect ratios of copies may differ: rounding of sides when scaled
_BLOCK, _TILE = 256, 1 << 14  # items visited at once, hashes compared with them at once
_DECODE_ERRORS = (  # what Pillow raises on broken or oversized files
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
_COSINES = np.rint(np.cos(np.pi * np.arange(1, 9)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)) * 4096).astype(
    np.int64
)


@dataclass(frozen=True, slots=True)
class Grey:
    """A decoded image: grey thumbnail (SIDE, SIDE), pixels and width / height of the original, entropy in bits."""

    thumbnail: Pixels
    pixels: int
    aspect: float
    entropy: float


def decode(data: bytes) -> Grey | None:
    """Decode an image; None if it is animated. Raises one of Pillow's many errors if it is broken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is odd about a file was ingest's to report
        with Image.open(io.BytesIO(data)) as image:
            if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a camera's MPO is one photo
                return None
            pixels = image.width * image.height
            image.draft("L", (_DRAFT, _DRAFT))
            grey = _grey(ImageOps.exif_transpose(image))
        small = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return Grey(np.asarray(small), pixels, grey.width / grey.height, grey.entropy())


def _grey(image: Image.Image) -> Image.Image:
    """8-bit grey of any mode; deeper samples are scaled, transparency goes over white."""
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, np.float64))
        spread = float(np.ptp(values)) or 1.0
        return Image.fromarray(((values - values.min()) * (255 / spread)).astype(np.uint8))
    if image.mode.startswith("I"):  # 16 bits, which older files and Pillows hold in 32
        values = np.clip(np.asarray(image, np.int64), 0, 65535)
        return Image.fromarray((values // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("L")


def phash(thumbnails: Pixels) -> tuple[Hashes, npt.NDArray[np.float64]]:
    """Thumbnails (n, SIDE, SIDE) to hashes (n,) and contrasts (n,).

    The contrast is the standard deviation of the coefficients, in grey levels of an orthonormal DCT.
    """
    waves = (_COSINES @ thumbnails.astype(np.int64) @ _COSINES.T).reshape(len(thumbnails), 64)
    bits = waves > np.partition(waves, 31, axis=1)[:, 31:32]
    hashes = np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)
    return hashes, waves.std(axis=1) * (2 / SIDE / 4096**2)


def correlation(one: Pixels, others: Pixels) -> npt.NDArray[np.float64]:
    """Pearson correlation of a thumbnail (pixels,) with others (n, pixels); 0 where one is even.

    The sums are whole numbers, so that neither order nor processor matters.
    """
    a, b = one.astype(np.int64), others.astype(np.int64)
    n = len(a)
    covariance = n * (b @ a) - b.sum(axis=1) * a.sum()
    spread = (n * np.square(b).sum(axis=1) - b.sum(axis=1) ** 2).astype(np.float64) * (n * (a @ a) - a.sum() ** 2)
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1)), 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches:
    """What the search needs of each image that takes part; ``left_out`` counts the others by reason.

    ``items``, ``sizes`` (pixels), ``aspects`` (width / height) and ``hashes`` have shape (images,);
    ``thumbnails`` (images, SIDE * SIDE) is mapped from disk.
    """

    items: Ints
    sizes: Ints
    aspects: npt.NDArray[np.float64]
    hashes: Hashes
    thumbnails: Pixels
    left_out: dict[str, int]


def sketch(jobs: Sequence[NearJob], scratch: Path, params: ImageParams, workers: int) -> Sketches:
    """Sketch the images of all jobs in worker processes; thumbnails go to files in ``scratch``."""
    calls = [
        (job.path, job.positions, scratch / f"image-{i}.npy", params.min_entropy, params.min_contrast)
        for i, job in enumerate(jobs)
    ]
    numbers, sizes, aspects = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    hashes, left_out = [np.empty(0, np.uint64)], np.zeros(len(LEFT_OUT), np.int64)
    with Spool(scratch / "thumbnails", np.uint8) as spool:
        results = engine.imap_shards(sketch_shard, calls, label="dedup: images", workers=workers)
        for job, call, found in zip(jobs, calls, results, strict=True):
            spool.append(call[2])
            numbers.append(job.items[found.taken])
            sizes.append(found.sizes)
            aspects.append(found.aspects)
            hashes.append(found.hashes)
            left_out += found.left_out
        thumbnails = cast("Pixels", spool.mapped()).reshape(-1, SIDE * SIDE)
    return Sketches(
        items=np.concatenate(numbers),
        sizes=np.concatenate(sizes),
        aspects=np.concatenate(aspects),
        hashes=np.concatenate(hashes),
        thumbnails=thumbnails,
        left_out=dict(zip(LEFT_OUT, left_out.tolist(), strict=True)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSketches:
    """The sketches of one job: ``taken`` are the places in the job of the images that take part."""

    taken: Ints
    sizes: Ints
    aspects: npt.NDArray[np.float64]
    hashes: Hashes
    left_out: Ints


def sketch_shard(path: Path, positions: Ints, part: Path, min_entropy: float, min_contrast: float) -> ShardSketches:
    """Sketch some rows of one shard, in a worker process; saves the thumbnails to ``part``."""
    left_out = np.zeros(len(LEFT_OUT), np.int64)
    taken, greys = [], []
    for place, data in enumerate(column_values(path, "data", positions)):
        try:
            grey = decode(data or b"")
        except _DECODE_ERRORS:
            left_out[_UNDECODABLE] += 1
            continue
        if grey is None:
            left_out[_ANIMATED] += 1
        elif grey.entropy < min_entropy:
            left_out[_FLAT] += 1
        else:
            taken.append(place)
            greys.append(grey)
    thumbnails = np.array([g.thumbnail for g in greys], np.uint8).reshape(-1, SIDE, SIDE)
    hashes, contrasts = phash(thumbnails)
    vivid = contrasts >= min_contrast
    left_out[_FLAT] += np.count_nonzero(~vivid)
    np.save(part, thumbnails[vivid].reshape(-1))
    return ShardSketches(
        taken=np.array(taken, np.int64)[vivid],
        sizes=np.array([g.pixels for g in greys], np.int64)[vivid],
        aspects=np.array([g.aspect for g in greys], np.float64)[vivid],
        hashes=hashes[vivid],
        left_out=left_out,
    )


def search(sketches: Sketches, order: Ints, verdicts: Verdicts, params: ImageParams) -> int:
    """Judge all images in ``order`` (positions); returns how many pairs were compared on pixels.

    Blocks of images are compared by hash with all that stay so far, and inside the block.
    """
    staying = np.empty(len(order), np.int64)
    count = compared = 0
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        pool = np.concatenate((staying[:count], block))
        stays = np.ones(len(pool), bool)
        stays[count:] = False  # not decided yet
        for place, near in enumerate(_within(sketches.hashes[block], sketches.hashes[pool], params.group_radius)):
            at = block[place]
            met = pool[near[stays[near]]]
            compared += len(met)
            if _judge(sketches, int(at), met, verdicts, params):
                stays[count + place] = True
        kept = block[stays[count:]]
        staying[count : count + len(kept)] = kept
        count += len(kept)
    return compared


def _within(block: Hashes, pool: Hashes, radius: int) -> Iterator[Ints]:
    """For each hash of ``block`` the places in ``pool`` within the Hamming radius, ascending."""
    rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in range(0, len(pool), _TILE):
        distance = np.bitwise_count(block[:, None] ^ pool[None, start : start + _TILE])
        row, column = np.nonzero(distance <= radius)
        rows.append(row)
        columns.append(column + start)
    row, column = np.concatenate(rows), np.concatenate(columns)
    by_row = np.argsort(row, kind="stable")
    yield from np.split(column[by_row], np.searchsorted(row[by_row], np.arange(1, len(block))))


def _judge(sketches: Sketches, at: int, met: Ints, verdicts: Verdicts, params: ImageParams) -> bool:
    """Judge one image by the images ``met``, which stay and are within the group radius."""
    ratio = sketches.aspects[met] / sketches.aspects[at]
    met = met[np.maximum(ratio, 1 / ratio) <= _PROPORTIONS]
    scores = correlation(sketches.thumbnails[at], sketches.thumbnails[met])
    grouped = scores >= params.group_correlation
    met, scores = met[grouped], scores[grouped]
    distance = np.bitwise_count(sketches.hashes[met] ^ sketches.hashes[at])
    matching = (scores >= params.correlation) & (distance <= params.radius)
    reasons = np.where(matching, np.int8(code("near-image")), np.int8(NO_MATCH))
    return verdicts.judge(int(sketches.items[at]), sketches.items[met], scores, reasons)
