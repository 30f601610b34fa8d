"""One shard: read items and decisions side by side, run the taggers on the kept rows, write tags."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa

from gendata.files import aligned_batches, write_table
from gendata.items import TAG_SCHEMA
from gendata.tag.split import Splitter


class Tagger(Protocol):
    """A module with these names is a tagger."""

    READS: tuple[str, ...]
    """Columns of ITEM_SCHEMA that it needs; others are not read from disk."""
    ADDS: tuple[str, ...]
    """Columns of TAG_SCHEMA that it gives."""

    def tag(self, batch: pa.RecordBatch) -> Mapping[str, Sequence[Any]]:
        """The columns ADDS, one value per row of the batch.

        The batch holds READS, ``modality`` and the columns of the taggers before it. A value that
        cannot be told is None; an item that cannot be read is never an error here.
        """
        ...


def tag_shard(
    items: Path, decisions: Path, out: Path, modules: tuple[str, ...], splitter: Splitter
) -> dict[str, dict[str, Any]]:
    """Write the tags of the kept rows of one shard to ``out``; counts for the summary.

    Raises:
        StoreError: The ids of items and decisions differ.
    """
    taggers = [cast(Tagger, import_module(module)) for module in modules]
    counts: dict[str, Counter[str]] = {"items": Counter(), "languages": Counter(), "splits": Counter()}
    quality: dict[str, list[float]] = {}

    def rows() -> Iterator[Mapping[str, Any]]:
        columns = {"modality", "source_split", "meta"}.union(*(tagger.READS for tagger in taggers))
        for batch, decided in aligned_batches(items, decisions, sorted(columns)):
            batch = batch.append_column("group", decided["group"].combine_chunks())
            kept = batch.filter(decided["kept"].combine_chunks())
            for modality, row in zip(kept["modality"].to_pylist(), _tagged(kept, taggers, splitter), strict=True):
                counts["items"][modality] += 1
                counts["splits"][row["split"]] += 1
                if row["lang"] is not None:
                    counts["languages"][row["lang"]] += 1
                if row["quality"] is not None:
                    quality.setdefault(modality, []).append(row["quality"])
                yield row

    write_table(out, rows(), TAG_SCHEMA)
    sums = {modality: (math.fsum(values), len(values)) for modality, values in quality.items()}
    return {**{name: dict(counter) for name, counter in counts.items()}, "quality": sums}


def _tagged(batch: pa.RecordBatch, taggers: Sequence[Tagger], splitter: Splitter) -> Iterator[dict[str, Any]]:
    """The rows of TAG_SCHEMA for a batch of kept items."""
    added: dict[str, list[Any]] = {
        "id": batch["id"].to_pylist(),
        "tags": [stated_tags(meta) for meta in batch["meta"].to_pylist()],
        "split": [
            own or splitter.split(group)
            for own, group in zip(batch["source_split"].to_pylist(), batch["group"].to_pylist(), strict=True)
        ],
    }
    for tagger in taggers:
        columns = tagger.tag(batch)
        for name in tagger.ADDS:
            added[name] = list(columns[name])
            batch = batch.append_column(name, pa.array(added[name], TAG_SCHEMA.field(name).type))
    nothing = [None] * batch.num_rows
    for values in zip(*(added.get(name, nothing) for name in TAG_SCHEMA.names), strict=True):
        yield dict(zip(TAG_SCHEMA.names, values, strict=True))


def stated_tags(meta: str | None) -> list[str] | None:
    """The value of ``tags`` in an item's meta, if that is a list of strings."""
    if meta is None or '"tags"' not in meta:
        return None
    value = json.loads(meta).get("tags")
    return value if isinstance(value, list) and all(isinstance(tag, str) for tag in value) else None
