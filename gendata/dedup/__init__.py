"""Deduplicate: one decision per ingested row, and nothing merged silently.

The rules, in the order in which they apply:

* **Exact.** Rows of equal id are one item, within and across all sources. One row stays; the others
  get reason ``exact`` and score 1.0. Where the rows state different origins they merge only downward
  (generated < unknown < real): the row that stays is one of the lowest origin, rows of another origin
  get reason ``origin-conflict``, and these and the row that stays carry the id in ``conflict_id``.
* **References** (``against``) rank first and are never touched: an item that matches one (``against`` says how) is
  dropped with reason ``reference``, whatever its origin and source, and takes no part in what follows.
* **Who stays** is a total order over content and metadata, so neither the order of sources, shards and
  rows nor the number of workers matters: lowest origin, source priority (``prefer``), what is known
  (``keep``: label, text or caption, license), longer text or more pixels, then id, source, uri.
* **Equal pixels.** Images whose upright pixels are equal are merged like near-duplicates, with reason ``pixel-equal``
  and score 1.0, also flat and tiny ones; animated images take part in exact deduplication alone.
* **Near-duplicates** are searched among the items of modality text (``texts``), among the records of prompt and reply
  (``pairs``: both parts must match) and among those of modality image (``image``; captions play no role) whose staying
  row is of a source with ``dedup: true``; audio, other records and the other sources take part in exact deduplication
  alone. Items are visited in the order above. An item
  is dropped if and only if it matches an item *that stays* and is of its own origin (no chaining); it is
  merged into the best such match: ``normalised`` where case, white space, punctuation and Unicode form alone differ,
  ``near-text`` with the Jaccard similarity as the score, ``near-image`` with the correlation. All rows of such an
  item are dropped, with that reason, score and ``kept_id``; ``origin-conflict`` stays the reason of rows of another
  origin.
* A text that stays and of which a longer one has nearly all shingles is **contained** in it: ``contained_in`` says so,
  and they share a group. With ``remove_contained`` it is dropped if that one comes before it, stays and is of its
  origin (``contained``, with the share as the score); what was merged into it follows it.
* A near match **across origins** merges nothing: ``conflict_id`` of the item of the higher origin names the
  best match of a lower origin that stays.
* **group** is the smallest id of the component over all pairs, of whatever origin, that were compared and
  lie above the looser group thresholds; an item without such a pair is its own group.
* **merged**: a row that stays takes what it lacks and its copies state, as ``merge`` has it.
* **copies** of a row that stays is the number of ingested rows it stands for, itself included, and 0 on
  dropped rows: the sum over a dedup is the number of rows read, without those that match a reference.

Decisions on kept rows alone drop nothing again: every kept item was compared with what stays.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import engine, files
from gendata.dedup.settings import DedupParams, ImageParams, ReferenceParams, TextParams

if TYPE_CHECKING:
    from gendata.dedup.barred import Reference
    from gendata.dedup.cache import SketchCache

__all__ = ["DedupParams", "ImageParams", "ReferenceParams", "TextParams", "dedup"]


def dedup(
    ingested: Path,
    sources: Mapping[str, bool],
    out: Path,
    params: DedupParams,
    references: Mapping[str, Callable[[Path], "Reference"]] | None = None,
    cache: "SketchCache | None" = None,
) -> dict[str, Any]:
    """Decide for every ingested row of ``sources`` whether it stays; see the module for the rules.

    Args:
        ingested: folder with ``<source>/items/00000.parquet`` and on (ITEM_SCHEMA).
        sources: names of the sources to read; False leaves a source out of near-duplicate removal.
        out: gets ``<source>/00000.parquet`` and on (DECISION_SCHEMA), a row per ingested row, in order.
        params: thresholds and limits.
        references: what the rows must not repeat, by name: what reads it into a folder.
        cache: of sketches; decisions do not depend on it.

    Returns:
        Counts and examples (``decisions.summary``); the same for the same rows in any order.

    Raises:
        ParamsError: ``prefer`` names a source that is not there.
        StoreError: a shard is missing or unreadable.
    """
    import numpy as np

    from gendata import keep
    from gendata.dedup import against, containment, decisions, exact, image, merge, texts
    from gendata.dedup.cache import SketchCache

    rows = exact.read(ingested, sources, params.prefer, params.keep)
    verdicts = keep.Verdicts(rows.item_origins())
    with files.output(out) as work, engine.scratch(out) as scratch:
        fixed = {name: read_into(scratch / f"of-{name}") for name, read_into in (references or {}).items()}
        known = cache or SketchCache(scratch / "sketches")
        barred = against.search(rows, fixed, scratch, params, known)
        verdicts.reason[barred.items] = keep.code("reference")
        prose = texts.sketch(rows.near_jobs("text", ~barred.items), scratch, params.text, params.workers, known)
        (scratch / "pairs").mkdir()
        jobs = rows.near_jobs("record", ~barred.items)
        pairs = texts.sketch(jobs, scratch / "pairs", params.text, params.workers, known, paired=True)
        images = image.sketch(rows.near_jobs("image", ~barred.items), scratch, params.image, params.workers, known)
        compared = {
            "text": texts.search(prose, rows.visits(prose.items, prose.sizes), verdicts, params.text, params.workers),
            "record": texts.search(pairs, rows.visits(pairs.items, pairs.sizes), verdicts, params.text, params.workers),
            "image": image.search(images, rows.visits(images.items, images.sizes), verdicts, params.image),
        }
        within = containment.search(prose, rows.visits(prose.items, prose.sizes), verdicts, params.text, params.workers)
        merged = merge.merge(rows, verdicts, decisions.reasons(rows, verdicts), params.merge)
        decisions.write(rows, verdicts, merged, barred, work)
    return {
        **decisions.summary(rows, verdicts, merged),
        "exact_only": {**prose.left_out, **pairs.left_out, **images.left_out},
        "compared_pairs": compared,
        "chance_of_comparison": texts.chances(params.text),
        "contained": within,
        "against": barred.counts(fixed, np.bincount(rows.item, minlength=len(rows.stays))),
    }
