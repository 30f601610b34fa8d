"""One shard: read items and decisions side by side, run the taggers on the kept rows, write tags."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa

from gendata.brought import values
from gendata.files import aligned_batches, read_table, write_table
from gendata.items import TAG_SCHEMA
from gendata.originals import COLUMNS, Originals
from gendata.tag.cached import CachedColumns
from gendata.tag.split import Splitter, stated


class Tagger(Protocol):
    """A module with these names is a tagger."""

    READS: tuple[str, ...]
    """Columns of ITEM_SCHEMA that it needs; others are not read from disk."""
    ADDS: tuple[str, ...]
    """Columns of TAG_SCHEMA that it gives."""

    def tag(self, batch: pa.RecordBatch) -> Mapping[str, Sequence[Any]]:
        """The columns ADDS, one value per row of the batch, which follows from that row alone.

        The batch holds READS, ``modality`` and the columns of the taggers before it. A value that
        cannot be told is None; an item that cannot be read is never an error here.
        """
        ...


def tag_shard(
    items: Path,
    decisions: Path,
    out: Path,
    modules: tuple[str, ...],
    splitter: Splitter,
    cache: Path,
    brought: Path | None = None,
) -> dict[str, Any]:
    """Write the tags of the kept rows of one shard to ``out``, a file in a folder named as the source.

    Returns:
        Counts for the summary, and sums of the quality as it is written; under ``cache`` the file of the shard in that
        folder, how many rows were new to it and how many were not.

    Raises:
        StoreError: The ids of items and decisions differ.
    """
    taggers = [cast(Tagger, import_module(module)) for module in modules]
    reads = {"modality"}.union(*(tagger.READS for tagger in taggers))
    fields = [TAG_SCHEMA.field(name) for tagger in taggers for name in tagger.ADDS]
    cached = CachedColumns(cache, read_table(decisions, ["id"])["id"], reads, fields)
    counts: dict[str, Counter[str]] = {"items": Counter(), "languages": Counter(), "splits": Counter()}
    quality: dict[str, list[float]] = {}
    known, originals = values(brought, out.parent.name, out.name), Originals(items)
    content = COLUMNS if "data" in reads else ()  # as far as a tagger needs it

    def rows() -> Iterator[Mapping[str, Any]]:
        for batch, decided in aligned_batches(items, decisions, sorted({"source_split", "meta", *reads, *content})):
            kept_rows = decided["kept"].combine_chunks()
            kept = batch.filter(kept_rows)
            added = cached.of(kept, partial(_ask, taggers, originals)) if taggers else {}
            added |= _stated(kept, decided.filter(kept_rows), splitter)
            added["brought"] = [known.get(item_id) for item_id in added["id"]]
            for modality, row in zip(kept["modality"].to_pylist(), _rows(added, kept.num_rows), strict=True):
                counts["items"][modality] += 1
                counts["splits"][row["split"]] += 1
                if row["lang"] is not None:
                    counts["languages"][row["lang"]] += 1
                if row["quality"] is not None:
                    quality.setdefault(modality, []).append(row["quality"])
                yield row

    write_table(out, rows(), TAG_SCHEMA)
    cached.keep()
    sums = {modality: (math.fsum(scores), len(scores)) for modality, scores in quality.items()}
    said = (cached.path, cached.fresh, cached.cached)
    return {**{name: dict(counter) for name, counter in counts.items()}, "quality": sums, "cache": said}


def _ask(taggers: Sequence[Tagger], originals: Originals, batch: pa.RecordBatch) -> list[pa.Array]:
    """The columns of all taggers, in the types of TAG_SCHEMA."""
    added, batch = [], originals.fill(batch)
    for tagger in taggers:
        columns = tagger.tag(batch)
        for name in tagger.ADDS:
            added.append(pa.array(columns[name], TAG_SCHEMA.field(name).type))
            batch = batch.append_column(name, added[-1])
    return added


def _stated(batch: pa.RecordBatch, decided: pa.Table, splitter: Splitter) -> dict[str, list[Any]]:
    """The columns that need no tagger."""
    splits = zip(stated(batch["source_split"], decided["merged"]), decided["group"].to_pylist(), strict=True)
    return {
        "id": batch["id"].to_pylist(),
        "tags": [stated_tags(meta) for meta in batch["meta"].to_pylist()],
        "split": [own or splitter.split(group) for own, group in splits],
    }


def _rows(columns: Mapping[str, list[Any]], count: int) -> Iterator[dict[str, Any]]:
    """Rows of TAG_SCHEMA; a column that no tagger gave is null."""
    nothing = [None] * count
    for row in zip(*(columns.get(name, nothing) for name in TAG_SCHEMA.names), strict=True):
        yield dict(zip(TAG_SCHEMA.names, row, strict=True))


def stated_tags(meta: str | None) -> list[str] | None:
    """The value of ``tags`` in an item's meta, if that is a list of strings."""
    if meta is None or '"tags"' not in meta:
        return None
    value = json.loads(meta).get("tags")
    return value if isinstance(value, list) and all(isinstance(tag, str) for tag in value) else None
