"""Items and their decisions, row beside row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from gendata.errors import StoreError
from gendata.files import iter_batches, read_table


def aligned(items: Path, decisions: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Row groups of items with ``columns``, beside each row its ``kept`` and ``group``.

    Raises:
        StoreError: A row of one has not the id of the same row of the other, or one has more rows.
    """
    decided = read_table(decisions, ["id", "kept", "group"]).combine_chunks()
    start = 0
    for batch in iter_batches(items, ["id", *columns]):
        beside = decided.slice(start, batch.num_rows)
        if not batch["id"].equals(_column(beside, "id")):
            raise StoreError(_first_difference(decisions, start, batch["id"].to_pylist(), beside["id"].to_pylist()))
        for name in ("kept", "group"):
            batch = batch.append_column(name, _column(beside, name))
        yield batch
        start += batch.num_rows
    if start != decided.num_rows:
        raise StoreError(f"{decisions}: {decided.num_rows} decisions for {start} items; run `gendata run` again")


def _column(table: pa.Table, name: str) -> pa.Array:
    return table[name].combine_chunks()


def _first_difference(path: Path, start: int, items: list[str], decided: list[str]) -> str:
    at = next((i for i, (a, b) in enumerate(zip(items, decided, strict=False)) if a != b), len(decided))
    other = f"the decision is about {decided[at][:12]}" if at < len(decided) else "there is no decision"
    return f"{path}: row {start + at}: the item is {items[at][:12]}, {other}; run `gendata run` again"
