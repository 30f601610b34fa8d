"""What tables bring for items instead of it being computed: settings, and how a stage is given it.

``gendata.ingest.brought`` reads the tables and finds the items; stages ``tag`` and ``embed`` take the values from
``<source>/<shard>.parquet``, a row per item, and keep ``<source>/rejected.parquet`` beside what they write.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gendata import files

REJECTED = "rejected.parquet"


@dataclass(frozen=True)
class TableParams:
    """One table, whose rows name items.

    Attributes:
        path: of the .parquet, .arrow, .jsonl, .json, .csv or .tsv file, relative to the project root.
        columns: to take.
        source: whose items the rows name; empty, with ``by: id``, for items of all sources.
        by: what a row names its item by: its uri (the path in the source) or its id.
        key: the column that holds it; empty for one of the name ``by``.
    """

    path: str
    columns: tuple[str, ...]
    source: str = ""
    by: Literal["uri", "id"] = "uri"
    key: str = ""

    def __post_init__(self) -> None:
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError("columns must name at least one column, and none twice")
        if self.by == "uri" and not self.source:
            raise ValueError("source is missing: a uri is a path in a source")

    @property
    def key_column(self) -> str:
        """The column that names the items."""
        return self.key or self.by


def check_names(tables: Mapping[str, TableParams]) -> None:
    """Raises ValueError where a table has a name that no file may have."""
    for name in tables:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
            raise ValueError(f"tables: the name {name!r} must match [a-z0-9][a-z0-9_-]*")


def values(folder: Path | None, source: str, shard: str) -> dict[str, Any]:
    """By id, what tables bring for the items of a shard of this file name."""
    path = None if folder is None else folder / source / shard
    if path is None or not path.is_file():
        return {}
    table = files.read_table(path)
    return dict(zip(table["id"].to_pylist(), table["value"].to_numpy(zero_copy_only=False), strict=True))
