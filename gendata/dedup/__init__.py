"""Deduplicate: one decision per ingested row, and nothing merged silently.

The rules, in the order in which they apply:

* **Exact.** Rows of equal id are one item, within and across all sources. One row stays; the others
  get reason ``exact`` and score 1.0. Where the rows state different origins they merge only downward
  (generated < unknown < real): the row that stays is one of the lowest origin, rows of another origin
  get reason ``origin-conflict``, and these and the row that stays carry the id in ``conflict_id``.
* **Who stays** is a total order over content and metadata, so neither the order of sources, shards and
  rows nor the number of workers matters: lowest origin, source priority (``prefer``), label known,
  text or caption known, license known, longer text or more pixels, then id, source, uri.
* **Near-duplicates** are searched among the items of modality text (``minhash``) and of modality image
  (``image``; captions play no role) whose staying row is of a source with ``dedup: true``; audio, records
  and the other sources take part in exact deduplication alone. Items are visited in the order above. An item
  is dropped if and only if it matches an item *that stays* and is of its own origin (no chaining); it is
  merged into the best such match (``near-text`` with the Jaccard similarity as the score, ``near-image``
  with the correlation). All rows of such an item are dropped, with that reason, score and ``kept_id``;
  ``origin-conflict`` stays the reason of rows of another origin.
* A near match **across origins** merges nothing: ``conflict_id`` of the item of the higher origin names the
  best match of a lower origin that stays.
* **group** is the smallest id of the component over all pairs, of whatever origin, that were compared and
  lie above the looser group thresholds; an item without such a pair is its own group.
* **copies** of a row that stays is the number of ingested rows it stands for, itself included, and 0 on
  dropped rows: the sum over a dedup is the number of rows read.

Decisions on kept rows alone drop nothing again: every kept item was compared with what stays.
"""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gendata import files


@dataclass(frozen=True, slots=True, kw_only=True)
class TextParams:
    """Near-duplicate texts: MinHash-LSH over word shingles, verified by exact Jaccard similarity."""

    shingle: int = 5
    """Words per shingle; a character of a script without spaces counts as a word."""
    threshold: float = 0.8
    """Texts at this Jaccard similarity or above are near-duplicates; 1.0 merges equal shingle sets only."""
    group_threshold: float = 0.5
    """Compared texts at this similarity or above share a group, so that a split does not part them."""
    permutations: int = 128
    """Hash functions to spend on a text: more find more at the same cost in wrong candidates."""
    recall: float = 0.98
    """The least chance that a pair at the threshold is compared; it decides bands and rows."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        from gendata.dedup.minhash import banding

        _check(1 <= self.shingle <= 100, "shingle must be from 1 to 100")
        _check(0 < self.threshold <= 1, "threshold must be over 0 and at most 1")
        _check(0 < self.group_threshold <= self.threshold, "group_threshold must be over 0 and at most threshold")
        _check(1 <= self.permutations <= 1024, "permutations must be from 1 to 1024")
        _check(0 < self.recall < 1, "recall must be between 0 and 1")
        banding(self.threshold, self.permutations, self.recall)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageParams:
    """Near-duplicate images: perceptual hash within a radius, verified on pixels.

    The defaults were measured. Half size, JPEG quality 30, greyscale and brightness x1.3 of 50 photos (BSDS500)
    lie within distance 8 and at correlation 0.957 or above; distinct photos at distance 20 or more and correlation
    0.78 or less. 60,000 handwritten digits (MNIST) merge nothing; with ``min_entropy: 0`` 6,948 of them would
    merge, one across labels. Crops and mirrored images are not found.
    """

    radius: int = 10
    """Bits of 64 in which the hashes of near-duplicates may differ."""
    correlation: float = 0.95
    """Normalised correlation of the grey thumbnails from which images are near-duplicates."""
    group_radius: int = 12
    """Like radius, for sharing a group."""
    group_correlation: float = 0.85
    """Like correlation, for sharing a group."""
    min_entropy: float = 3.0
    """Bits of the grey histogram's entropy under which an image takes part in exact dedup only:
    drawings and digits on an even ground are alike without being copies (MNIST: at most 2.8; photos: 4.6 or more)."""
    min_contrast: float = 4.0
    """Standard deviation, in grey levels, of the DCT coefficients behind the hash under which an image
    takes part in exact dedup only: the hash of an even image or a plain gradient is noise (photos: 13 or more)."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        _check(0 <= self.radius <= 64, "radius must be from 0 to 64")
        _check(self.radius <= self.group_radius <= 64, "group_radius must be from radius to 64")
        _check(0 < self.correlation <= 1, "correlation must be over 0 and at most 1")
        _check(
            0 < self.group_correlation <= self.correlation, "group_correlation must be over 0 and at most correlation"
        )
        _check(0 <= self.min_entropy <= 8, "min_entropy must be from 0 to 8")
        _check(self.min_contrast >= 0, "min_contrast must be 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class DedupParams:
    """The section ``dedup`` of params.yaml."""

    text: TextParams = field(default_factory=TextParams)
    image: ImageParams = field(default_factory=ImageParams)
    prefer: tuple[str, ...] = ()
    """Sources whose rows stay before those of others, the first before the second; the rest are equal."""
    workers: int = 0
    """Processes that sketch; 0 means every core. Decisions do not depend on it."""

    def __post_init__(self) -> None:
        """Check the ranges. Raises ValueError."""
        _check(self.workers >= 0, "workers must be 0 or more")
        _check(len(set(self.prefer)) == len(self.prefer), "prefer must not name a source twice")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def dedup(ingested: Path, sources: Mapping[str, bool], out: Path, params: DedupParams) -> dict[str, Any]:
    """Decide for every ingested row of ``sources`` whether it stays; see the module for the rules.

    Args:
        ingested: folder with ``<source>/items/00000.parquet`` and on (ITEM_SCHEMA).
        sources: names of the sources to read; False leaves a source out of near-duplicate removal.
        out: gets ``<source>/00000.parquet`` and on (DECISION_SCHEMA), a row per ingested row, in order.
        params: thresholds and limits.

    Returns:
        Counts and examples (``decisions.summary``); the same for the same rows in any order.

    Raises:
        ParamsError: ``prefer`` names a source that is not there.
        StoreError: a shard is missing or unreadable.
    """
    from gendata.dedup import decisions, exact, image, keep, minhash

    rows = exact.read(ingested, sources, params.prefer)
    verdicts = keep.Verdicts(rows.item_origins())
    with files.output(out) as work, _scratch(out) as scratch:
        texts = minhash.sketch(rows.near_jobs("text"), scratch, params.text, params.workers)
        images = image.sketch(rows.near_jobs("image"), scratch, params.image, params.workers)
        compared = {
            "text": minhash.search(texts, rows.visits(texts.items, texts.sizes), verdicts, params.text),
            "image": image.search(images, rows.visits(images.items, images.sizes), verdicts, params.image),
        }
        decisions.write(rows, verdicts, work)
    return {
        **decisions.summary(rows, verdicts),
        "exact_only": {**texts.left_out, **images.left_out},
        "compared_pairs": compared,
    }


@contextlib.contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A folder for sketches that is gone when the block ends, and emptied first if a kill left it."""
    folder = files.WORK / "work" / f"{'-'.join(out.parts[-3:]).replace('/', '')}-sketches"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
