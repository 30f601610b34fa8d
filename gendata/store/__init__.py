"""The stores: Lance for what is searched and loaded, DuckDB for what is asked about.

``artifacts/store/real`` takes rows of origin real and nothing else, ``other`` what was ingested
as generated or unknown, ``outputs`` what our own models made. Each is rebuilt from the Parquet
artifacts and switched by HEAD.json.
"""

import os
from dataclasses import dataclass

# before Lance is imported, which reads them once: its warnings are no result of a command, and the statistics of a
# vector index of a million rows are megabytes with the centroids
os.environ.setdefault("LANCE_LOG", "error")
os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")

STORES = {"real": ("real",), "other": ("generated", "unknown"), "outputs": ("generated",)}
"""Which origins each store takes."""

INPUTS = ("real", "other")
"""The stores of what was ingested: all that a selection can see."""

OUTPUTS = "outputs"
"""The store of what our own models made."""

LANGUAGES = (
    "Arabic",
    "Danish",
    "Dutch",
    "English",
    "Finnish",
    "French",
    "German",
    "Greek",
    "Hungarian",
    "Italian",
    "Norwegian",
    "Portuguese",
    "Romanian",
    "Russian",
    "Spanish",
    "Swedish",
    "Tamil",
    "Turkish",
)
"""Those that Lance's full-text index has a stemmer for."""


@dataclass(frozen=True)
class StoreParams:
    """Section ``store`` of params.yaml."""

    uri: str = ""
    """Where the databases are: a folder, or ``s3://bucket/prefix`` with credentials in the environment (AWS_...).
    Empty: in ``artifacts/store``."""
    vector_index_rows: int = 100_000
    """Passages or images from which an approximate vector index is built; below, search is exact."""
    language: str = "English"
    """Stemming and stop words of the full-text index."""
    update_share: float = 0.2
    """Share of changed rows up to which a table is updated; above, it is written anew."""

    def __post_init__(self) -> None:
        if self.vector_index_rows < 256:
            raise ValueError("vector_index_rows: must be at least 256, the least that an index can be trained on")
        if not 0 <= self.update_share <= 1:
            raise ValueError("update_share: must be between 0 and 1")
        if self.language not in LANGUAGES:
            raise ValueError(f"language: must be one of {', '.join(LANGUAGES)}, not {self.language!r}")


def store_of(origin: str) -> str:
    """The name of the store that takes ingested items of this origin."""
    return next(name for name in INPUTS if origin in STORES[name])
