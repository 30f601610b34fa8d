"""Semantic deduplication: which items say or show nearly the same as one that stays, by the vectors of stage embed.

The rules, those of dedup over what dedup kept (gendata.keep):

* Texts are compared with texts, records with records, images with images (``read.KINDS``); captions and
  transcripts play no role. ``vectors.compare`` says how similar two are. Sources with ``dedup: false`` take part
  in nothing.
* Items are visited in the order of the keep policy: lowest origin, source priority (``dedup.prefer``), label known,
  text or caption known, license known, longer text or more pixels (as stage tag measured them), then id. An item is
  similar if and only if it reaches the threshold with an item *that stays* and is of its own origin (no chaining);
  ``kept_id`` names the best such item, ``score`` the similarity.
* With ``remove: false`` that is a finding and all stay. With ``remove: true`` such items leave the store, with reason
  ``similar``. ``copies`` of what stays is not raised: it counts rows that dedup found to be one content, and a
  paraphrase is another content.
* Across **origins** nothing is dropped: ``conflict_id`` of an item names its best match of a lower origin that stays.
* Across **modalities**, where one joint model made the vectors of both, ``across_id`` of an image names the text that
  is nearest, by its best passage. That is a finding alone: a picture is no copy of the words that tell of it.
* Up to ``partition.EXACT`` vectors of a modality all items are compared with all. Of more, each item is compared with
  those in its nearest parts of a partition of the space, and a few pairs are missed (``python -m
  benchmarks.similar``).

The same for the same items in whatever order they are read, to the last bit: see ``vectors``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gendata import engine, files
from gendata.keep import KNOWN
from gendata.similar.settings import SimilarParams

__all__ = ["SimilarParams", "similar"]


def similar(
    stages: tuple[Path, Path, Path, Path],
    sources: Mapping[str, bool],
    out: Path,
    params: SimilarParams,
    *,
    policy: tuple[tuple[str, ...], tuple[str, ...]] = ((), KNOWN),
    joint: bool = False,
) -> dict[str, Any]:
    """Decide for every item that dedup kept whether an item that stays is like it; see the module for the rules.

    Args:
        stages: folders of ingest, dedup, tag and embed.
        sources: names of the sources to read; False leaves a source out of the comparison.
        out: gets ``<source>/00000.parquet`` and on (SIMILAR_SCHEMA), a row per item that dedup kept, in order.
        params: thresholds, and whether similar items go.
        policy: ``prefer`` and ``keep``, as of ``dedup``: which items stay before others.
        joint: whether one model made the vectors of texts and those of images.

    Returns:
        Counts, how many would go at other thresholds, and examples (``decisions.summary``).

    Raises:
        StoreError: The shards of the stages do not match.
    """
    from gendata.similar import decisions
    from gendata.similar.read import read

    with files.output(out) as work, engine.scratch(out) as scratch:
        items = read(stages, sources, policy, scratch)
        outcome = decisions.decide(items, params, joint=joint)
        decisions.write(items, outcome, work)
        return decisions.summary(items, outcome)
