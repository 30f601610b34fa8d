"""Scores of real items by a model, a row each: how strange an item is. The table ``scores`` of SQL.

They are findings of stage evaluate, in ``artifacts/evaluate/<family>/scores.parquet``. A selection cannot name the
table: what a model finds strange decides on no training unless a person says so.
"""

import re
from collections.abc import Sequence
from pathlib import Path

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


def write_scores(
    folder: Path, family: str, checkpoint_id: str, name: str, ids: Sequence[str], values: NDArray[np.floating]
) -> None:
    """Write the scores of items, strangest first, into the folder of a family's figures."""
    order = sorted(zip(values.round(4).tolist(), ids, strict=True), key=lambda row: (-row[0], row[1]))
    rows = [
        {"id": key, "family": family, "checkpoint_id": checkpoint_id, "name": name, "value": value}
        for value, key in order
    ]
    files.write_table(folder / _FILE, rows, SCORES)


def score_tables(evaluated: Path, families: Sequence[str], sql: str) -> dict[str, pa.Table]:
    """The table ``scores`` for a statement that may need it; typed and empty where no family has scored anything.

    Args:
        evaluated: ``artifacts/evaluate``.
        families: those of params.yaml: what others left is not read.
        sql: the statement.

    Raises:
        StoreError: a file of scores is not readable, or not one.
    """
    words = set(re.findall(r"\w+", sql.lower()))
    if not words & {NAME, "show"}:
        return {}
    found = [path for family in families if (path := evaluated / family / _FILE).is_file()]
    tables = [_read(path) for path in found] if NAME in words else []
    return {NAME: pa.concat_tables(tables) if tables else SCORES.empty_table()}


def _read(path: Path) -> pa.Table:
    table = files.read_table(path)
    if set(table.schema.names) != set(SCORES.names):
        raise StoreError(f"{path}: not a table of scores: run `gendata run`")
    return table.select(SCORES.names).cast(SCORES)
