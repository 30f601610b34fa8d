"""Scores of real items by a model, a row each: how strange an item is. The table ``scores`` of SQL.

They are findings of stage evaluate, in ``artifacts/scores/<family>``: beside the figures, where DVC would want to plot
them. A selection cannot name the table: what a model finds strange decides on no training unless a person says so.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gendata import files
from gendata.errors import StoreError

SCORES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("checkpoint_id", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
"""``name`` says what the score is: ``negative_elbo``, in nats, is higher the stranger an image of its label is."""

NAME = "scores"
_FILE = "scores.parquet"


def write_scores(folder: Path, rows: Iterable[Mapping[str, Any]] = ()) -> None:
    """Write rows of SCORES into a folder; none of a family that scores nothing."""
    files.write_table(folder / _FILE, rows, SCORES)


def score_rows(
    family: str, checkpoint_id: str, name: str, ids: pa.ChunkedArray, values: NDArray[np.floating]
) -> Iterator[dict[str, Any]]:
    """Rows of SCORES, strangest first, from the ids of items and their scores."""
    table = pa.table({"id": ids, "value": values.astype(np.float64).round(4)})
    same = {"family": family, "checkpoint_id": checkpoint_id, "name": name}
    for batch in table.sort_by([("value", "descending"), ("id", "ascending")]).to_batches(files.GROUP_ROWS):
        yield from ({**row, **same} for row in batch.to_pylist())


def score_tables(scored: Path, families: Sequence[str], sql: str) -> dict[str, pa.Table]:
    """The table ``scores`` for a statement that may need it; typed and empty where no family has scored anything.

    Args:
        scored: ``artifacts/scores``.
        families: those of params.yaml: what others left is not read.
        sql: the statement.

    Raises:
        StoreError: a file of scores is not readable, or not one.
    """
    words = set(re.findall(r"\w+", sql.lower()))
    if not words & {NAME, "show"}:
        return {}
    found = [path for family in families if (path := scored / family / _FILE).is_file()]
    tables = [_read(path) for path in found] if NAME in words else []
    return {NAME: pa.concat_tables(tables) if tables else SCORES.empty_table()}


def _read(path: Path) -> pa.Table:
    table = files.read_table(path)
    if set(table.schema.names) != set(SCORES.names):
        raise StoreError(f"{path}: not a table of scores: run `gendata run`")
    return table.select(SCORES.names).cast(SCORES)
