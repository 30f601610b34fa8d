"""The dataset card: what an export holds, from facts alone, with the front matter that Hugging Face reads.

After Pushkarna et al. 2022, "Data Cards", and the layout of dataset cards on the Hugging Face Hub.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import gendata
from gendata.export.names import safe_name
from gendata.records.manifest import Manifest

_LABELS = 100
"""Labels that the card lists at most."""

_KNOWN = re.compile(
    r"apache-2\.0|mit|isc|bsd-[23]-clause|cc0-1\.0|cc-by(-nc)?(-nd|-sa)?-[34]\.0|odbl|pddl|unlicense|zlib"
)
"""Licences that the Hub has a name for, which is SPDX in lower case; every other one is ``other`` there."""

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_NAMES = {"license": "licence"}


def dataset_card(format_: Any, manifest: Manifest) -> str:
    """The card as Markdown; ``format_`` is a module with what ``gendata.export.writer.Format`` asks for."""
    counts = manifest.counts()
    labels = Counter(label for label in manifest.rows["label"].to_pylist() if label is not None)
    first = "train" if "train" in counts["split"] else next(iter(counts["split"]))
    lines = [
        *_front(format_, counts, manifest.rows.num_rows),
        f"# {manifest.rows.num_rows:,} items",
        "",
        f"Exported by gendata {gendata.__version__} as `{format_.__name__.rpartition('.')[2]}`. `manifest.parquet` "
        f"names every item with its source and the digest of its text; its id is `{manifest.id}`.",
        "",
        "## Selection",
        "",
        *_selection(manifest.selection),
        "## What is in it",
        "",
        *(line for name in ("split", "origin", "modality", "source") for line in _table(name, counts[name])),
        *(_table("label", dict(sorted(labels.items())[:_LABELS])) if labels else []),
        *([f"and {len(labels) - _LABELS:,} more labels.", ""] if len(labels) > _LABELS else []),
        "## Licences",
        "",
        "As the sources state them; each item has its own in `license`.",
        "",
        *_table("license", counts["license"]),
        "## Layout",
        "",
        f"{format_.LAYOUT} Every item states its `origin`: real, generated or unknown.",
        "",
        "Where `DEST` is this folder:",
        "",
        "```python",
        format_.LOAD.replace("SPLIT", safe_name(first)),
        "```",
        "",
    ]
    return "\n".join(lines)


def _front(format_: Any, counts: Mapping[str, Mapping[str, int]], rows: int) -> list[str]:
    """YAML front matter; strings are JSON, which YAML reads."""
    stated = {name.lower() if _KNOWN.fullmatch(name.lower()) else "other" for name in counts["license"] if name}
    size = next((name for limit, name in _SIZES if rows < limit), "1M<n<1B")
    lines = ["---", f"license: {json.dumps(sorted(stated) or ['unknown'])}", f'size_categories: ["{size}"]']
    lines.append(f"tags: {json.dumps(['gendata', *(f'origin-{origin}' for origin in counts['origin'])])}")
    if format_.FILES is not None:
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split in counts["split"]:
            name = re.sub(r"\W", "_", split)  # all that the reader takes for the name of a split
            lines += [
                f"  - split: {json.dumps(name)}",
                f"    path: {json.dumps(format_.FILES.replace('{split}', safe_name(split)))}",
            ]
    return [*lines, "---", ""]


def _selection(selection: Mapping[str, Any]) -> list[str]:
    lines = [f"- {key.replace('_', ' ')}: `{_inline(value)}`" for key, value in sorted(selection.items()) if value]
    return [*lines, ""]


def _inline(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return re.sub(r"\s+", " ", text).replace("`", "'").strip()


def _table(name: str, values: Mapping[str, int]) -> list[str]:
    rows = [f"| {_cell(key) or 'not stated'} | {count:,} |" for key, count in values.items()]
    return [f"| {_NAMES.get(name, name)} | items |", "|---|---:|", *rows, ""]


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
