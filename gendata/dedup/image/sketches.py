"""What the search keeps of each image: a digest of its pixels, and thumbnails and hashes of its views."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from gendata import engine
from gendata.dedup import ImageParams
from gendata.dedup.cache import SketchCache, is_whole, key_of, load, save
from gendata.dedup.exact import NearJob
from gendata.dedup.image.decode import NONE, Picture, Unfit, decode, luma
from gendata.dedup.image.pixels import decided, digest, in_batches, share
from gendata.dedup.image.views import (
    BASE,
    SIDE,
    TINTS,
    WINDOWS,
    Floats,
    Hashes,
    Pixels,
    phash,
    thumbnail,
    tint,
    turns,
    views,
    window_hashes,
)
from gendata.dedup.spool import Spool
from gendata.keep import Ints

Digests = npt.NDArray[np.void]

LEFT_OUT = ("image-flat", "image-animated", "image-undecodable", "image-too-large")

_NEARLY = 0.5, 2.0  # bits over the least entropy, times the least contrast, from which a scaled JPEG is surely not flat
_MAPPED = {"thumbnails": np.uint8, "tints": np.uint8, "bases": np.uint8, "windows": np.uint64}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSketches:
    """The sketches of some rows of a shard: a function of their bytes and the params.

    Per image that could be decoded: ``taken`` (its place among the rows), ``widths`` and ``heights`` (upright),
    ``colours`` (whether it is stored in colour), ``digests`` of its pixels and ``scaled`` (V32, NONE where there is
    none; see ``decode``). Per view, ordered by image: ``owners`` (the position of the image), ``aspects``
    (width / height) and ``hashes`` (views, turns). Images without a view are flat; ``excluded`` counts these and what
    could not be decoded, in the order of LEFT_OUT.
    """

    taken: Ints
    widths: Ints
    heights: Ints
    colours: npt.NDArray[np.bool_]
    digests: Digests
    scaled: Digests
    owners: Ints
    aspects: Floats
    hashes: Hashes
    excluded: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketches(ShardSketches):
    """What the search needs: as ShardSketches, of all shards, and the number of the item per image.

    Mapped from disk are ``thumbnails`` (views, SIDE, SIDE), ``tints`` (views, 2, TINTS, TINTS) and, where crops are
    no difference, ``bases`` (views, BASE, BASE) and ``windows`` (views, windows).
    """

    items: Ints
    thumbnails: Pixels
    tints: Pixels
    bases: Pixels
    windows: Hashes

    @property
    def sizes(self) -> Ints:
        """What makes an image the better copy: twice its pixels, and one more in colour."""
        return 2 * self.widths * self.heights + self.colours

    @property
    def left_out(self) -> dict[str, int]:
        """How many images take part in no search for likeness, by reason."""
        return dict(zip(LEFT_OUT, self.excluded.tolist(), strict=True))


def sketch(jobs: Sequence[NearJob], scratch: Path, params: ImageParams, workers: int, cache: SketchCache) -> Sketches:
    """Sketch the images of all jobs; what is large goes to files in ``scratch``."""
    processes, threads = share(jobs, workers)
    facts = [asdict(params), *map(version, ("numpy", "Pillow", "numba"))]
    places = cache.places("image", key_of(facts, Path(__file__).parent.glob("*.py")), jobs)
    calls = [
        (job.path, job.positions, at, params, threads) for job, at in zip(jobs, places, strict=True) if not is_whole(at)
    ]
    for _ in engine.imap_shards(sketch_shard, calls, label="dedup: images", workers=processes):
        pass
    spools = {name: Spool(scratch / name, dtype) for name, dtype in _MAPPED.items()}
    parts, numbers = [_joined([], params)], [np.empty(0, np.int64)]
    for job, place in zip(jobs, places, strict=True):
        arrays = load(place)
        for name, spool in spools.items():
            spool.add(arrays.pop(name))
        parts.append(ShardSketches(**arrays))
        numbers.append(job.items[arrays["taken"]])
    whole, windows = _joined(parts, params), len(WINDOWS) if "crop" in params.invariant else 0
    sketches = Sketches(
        **{field.name: getattr(whole, field.name) for field in fields(whole)},
        items=np.concatenate(numbers),
        thumbnails=cast("Pixels", spools["thumbnails"].mapped()).reshape(-1, SIDE, SIDE),
        tints=cast("Pixels", spools["tints"].mapped()).reshape(-1, 2, TINTS, TINTS),
        bases=cast("Pixels", spools["bases"].mapped()).reshape(-1, BASE, BASE),
        windows=cast("Hashes", spools["windows"].mapped()).reshape(len(whole.owners), windows),
    )
    return replace(sketches, digests=decided(sketches, jobs, [len(part.taken) for part in parts[1:]], workers))


def sketch_shard(path: Path, positions: Ints, place: Path, params: ImageParams, threads: int) -> None:
    """Sketch some rows of one shard into a file."""
    parts, mapped, start = [_joined([], params)], [_large([], np.empty(0, np.uint8), params)], 0
    for count, small, large in in_batches(partial(_sketch_batch, params=params), path, positions, threads):
        parts.append(replace(small, taken=small.taken + start))
        mapped.append(large)
        start += count
    whole = _joined(parts, params)
    arrays = {field.name: getattr(whole, field.name) for field in fields(whole)}
    save(place, arrays | {name: np.concatenate([large[name] for large in mapped]) for name in _MAPPED})


def _sketch_batch(
    batch: list[bytes], params: ImageParams
) -> tuple[int, ShardSketches, dict[str, npt.NDArray[np.generic]]]:
    """How many images there are, their sketches, and what of them goes to disk."""
    found = [_decode(data, params) for data in batch]
    places = [i for i, seen in enumerate(found) if isinstance(seen, _Seen)]
    pictures = [seen for seen in found if isinstance(seen, _Seen)]
    shown = [(i, view) for i, seen in enumerate(pictures) for view in seen.views]
    thumbnails = np.array([t for seen in pictures for t in seen.thumbnails], np.uint8).reshape(-1, SIDE, SIDE)
    hashes, contrasts = phash(thumbnails, turns(params.invariant))
    entropies = np.array([e for seen in pictures for e in seen.entropies])
    vivid = (entropies >= params.min_entropy) & (contrasts >= params.min_contrast)
    surely = (entropies >= params.min_entropy + _NEARLY[0]) & (contrasts >= params.min_contrast * _NEARLY[1])
    owners = np.array([i for i, _ in shown], np.int64)
    digests = np.array([seen.picture.digest for seen in pictures], "V32")
    scaled = np.array([seen.picture.scaled for seen in pictures], "V32")
    unsure = np.setdiff1d(np.flatnonzero(scaled != np.void(NONE)), owners[surely])
    digests[unsure] = [digest(batch[places[i]]) for i in unsure.tolist()]
    flat = len(pictures) - len(np.unique(owners[vivid]))
    small = ShardSketches(
        taken=np.array(places, np.int64),
        widths=np.array([seen.picture.width for seen in pictures], np.int64),
        heights=np.array([seen.picture.height for seen in pictures], np.int64),
        colours=np.array([seen.picture.colour for seen in pictures], bool),
        digests=digests,
        scaled=scaled,
        owners=owners[vivid],
        aspects=np.array([_aspect(pictures[i].picture, view) for i, view in shown])[vivid],
        hashes=hashes[vivid],
        excluded=np.array([flat * (name == "image-flat") + found.count(name) for name in LEFT_OUT]),
    )
    kept = [view for (_, view), stays in zip(shown, vivid, strict=True) if stays]
    return len(batch), small, _large(kept, thumbnails[vivid], params)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture and its views."""

    picture: Picture
    views: list[Image.Image]
    thumbnails: list[Pixels]
    entropies: list[float]


def _decode(data: bytes, params: ImageParams) -> _Seen | str:
    """The picture and its views, or why there is none."""
    try:
        picture = decode(data)
    except Unfit as reason:
        return str(reason)
    seen = views(picture.small, params)
    greys = [luma(view) for view in seen]
    return _Seen(picture, seen, [thumbnail(grey) for grey in greys], [grey.entropy() for grey in greys])


def _aspect(picture: Picture, view: Image.Image) -> float:
    """Width / height of what a view shows."""
    across, down = view.width / picture.small.width, view.height / picture.small.height
    return float(picture.width * across / (picture.height * down))


def _large(shown: list[Image.Image], thumbnails: Pixels, params: ImageParams) -> dict[str, npt.NDArray[np.generic]]:
    """What of the views goes to disk, each of one axis."""
    crops = "crop" in params.invariant
    tints = np.array([tint(view) for view in shown], np.uint8)
    bases = np.array([thumbnail(luma(view), BASE) for view in shown if crops], np.uint8).reshape(-1, BASE, BASE)
    windows = window_hashes(bases)
    large = (("thumbnails", thumbnails), ("tints", tints), ("bases", bases), ("windows", windows))
    return {name: np.asarray(values).reshape(-1) for name, values in large}


def _joined(parts: Sequence[ShardSketches], params: ImageParams) -> ShardSketches:
    """One after the other; owners count on."""
    ints, digests = np.empty(0, np.int64), np.empty(0, "V32")
    starts = np.cumsum([0, *(len(p.taken) for p in parts)])
    return ShardSketches(
        taken=np.concatenate([ints, *(p.taken for p in parts)]),
        widths=np.concatenate([ints, *(p.widths for p in parts)]),
        heights=np.concatenate([ints, *(p.heights for p in parts)]),
        colours=np.concatenate([np.empty(0, bool), *(p.colours for p in parts)]),
        digests=np.concatenate([digests, *(p.digests for p in parts)]),
        scaled=np.concatenate([digests, *(p.scaled for p in parts)]),
        owners=np.concatenate([ints, *(p.owners + s for p, s in zip(parts, starts[:-1], strict=True))]),
        aspects=np.concatenate([np.empty(0), *(p.aspects for p in parts)]),
        hashes=np.concatenate([np.empty((0, len(turns(params.invariant))), np.uint64), *(p.hashes for p in parts)]),
        excluded=np.sum([np.zeros(len(LEFT_OUT), np.int64), *(p.excluded for p in parts)], axis=0),
    )
