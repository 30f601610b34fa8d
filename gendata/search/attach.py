"""Files that a user brings to a query, and files that its result becomes: CSV, Parquet, JSON Lines."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata.errors import QueryError

BLOCK = 16 << 20
"""Bytes of a CSV or JSON Lines file from which the types of its columns are inferred."""


def read_attachment(path: Path) -> pa.RecordBatchReader:
    """Open a file as a stream of rows; its kind follows from the name (csv, tsv, parquet, jsonl, ndjson).

    Raises:
        QueryError: the file is absent, of another kind, or cannot be read.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in {".csv", ".tsv"}:
            from pyarrow import csv

            options = csv.ParseOptions(delimiter="\t" if suffix == ".tsv" else ",", newlines_in_values=True)
            return csv.open_csv(path, csv.ReadOptions(block_size=BLOCK), options)
        if suffix in {".jsonl", ".ndjson"}:
            from pyarrow import json

            return json.open_json(path, json.ReadOptions(block_size=BLOCK))
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(path)
            return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    raise QueryError(f"{path}: attach a .csv, .tsv, .jsonl, .ndjson or .parquet file")


def write_result(rows: pa.RecordBatchReader, path: Path) -> int:
    """Stream a result into a .parquet or .csv file, whole or not at all; the number of rows.

    Raises:
        QueryError: the file is of another kind or cannot be written, or the query fails.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with _writer(part, path.suffix.lower(), rows.schema) as writer:
            count = 0
            for batch in rows:
                writer.write_batch(batch)
                count += batch.num_rows
        part.replace(path)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise QueryError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        part.unlink(missing_ok=True)
    return count


def _writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq
    from pyarrow import csv

    if suffix == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd")
    if suffix == ".csv":
        return csv.CSVWriter(path, schema)
    raise QueryError("write the result to a .parquet or .csv file")
