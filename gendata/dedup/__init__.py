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

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendata import engine, files
from gendata.dedup.settings import DedupParams, ImageParams, TextParams

__all__ = ["DedupParams", "ImageParams", "TextParams", "dedup"]


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
    from gendata import keep
    from gendata.dedup import decisions, exact, image, minhash

    rows = exact.read(ingested, sources, params.prefer)
    verdicts = keep.Verdicts(rows.item_origins())
    with files.output(out) as work, engine.scratch(out) as scratch:
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
