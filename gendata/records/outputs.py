"""Ad-hoc outputs: what people asked a model for, one immutable Parquet file per request.

``records/outputs/<time>-<checkpoint>-<digest>.parquet``; the folder always exists, since a stage depends on it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.items import OUTPUT_SCHEMA
from gendata.records.ledger import once

OUTPUTS = Path("records") / "outputs"
"""Relative to the project root."""


def write_adhoc(root: Path, rows: Iterable[Mapping[str, Any]], created_at: str, checkpoint_id: str) -> Path:
    """Write the rows of one request (OUTPUT_SCHEMA) as a new file, whole or not at all; its path."""
    listed = list(rows)
    digest = hashlib.sha256("".join(row["id"] for row in listed).encode()).hexdigest()
    stamp = created_at.replace(":", "").replace("-", "").replace(".", "")
    path = root / OUTPUTS / f"{stamp}-{checkpoint_id[:12]}-{digest[:12]}.parquet"
    with once(path) as part:
        files.write_table(part, listed, OUTPUT_SCHEMA)
    return path


def read_adhoc(folder: Path) -> Iterator[tuple[Path, pa.Table | StoreError]]:
    """Every file in order of time with its rows, or why it cannot be read."""
    for path in sorted(folder.glob("*.parquet")):
        try:
            yield path, files.read_table(path, OUTPUT_SCHEMA.names).cast(OUTPUT_SCHEMA)
        except (StoreError, pa.ArrowInvalid, ValueError) as error:
            yield path, error if isinstance(error, StoreError) else StoreError(f"{path}: {error}")
