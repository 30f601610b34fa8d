"""Files that a user brings to a query, and files that its result becomes: CSV, Parquet, JSON Lines."""

import contextlib
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata.errors import QueryError

BLOCK = 16 << 20
"""Bytes of a CSV or JSON Lines file from which the types of its columns are inferred."""

_json_text = functools.partial(json.dumps, ensure_ascii=False, default=str)


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
            reader = csv.open_csv(path, csv.ReadOptions(block_size=BLOCK), options)
            _ = reader.schema.names  # finds a header that is not UTF-8
            return reader
        if suffix in {".jsonl", ".ndjson"}:
            from pyarrow import json as jsonl

            return jsonl.open_json(path, jsonl.ReadOptions(block_size=BLOCK))
        if suffix == ".parquet":
            import pyarrow.parquet as pq

            file = pq.ParquetFile(path)
            return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
    except UnicodeDecodeError as error:
        raise QueryError(f"{path}: cannot be read: its header is not UTF-8") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    raise QueryError(f"{path}: attach a .csv, .tsv, .jsonl, .ndjson or .parquet file")


def write_result(rows: pa.RecordBatchReader, path: Path, text: Callable[[object], str | None] = _json_text) -> int:
    """Stream a result into a .parquet or .csv file, whole or not at all; the number of rows.

    Args:
        rows: the result.
        path: the file; its name says the kind.
        text: what a CSV file holds for a value that CSV has no form for (a list, a struct, a map).

    Raises:
        QueryError: the file is of another kind or cannot be written, or the query fails.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        suffix = path.suffix.lower()
        schema = _flat(rows.schema) if suffix == ".csv" else rows.schema
        with _writer(part, suffix, schema) as writer:
            count = 0
            for batch in rows:
                writer.write_batch(batch if schema == rows.schema else _as_text(batch, schema, text))
                count += batch.num_rows
        part.replace(path)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise QueryError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error
    finally:
        with contextlib.suppress(OSError):  # a read-only folder, in which nothing was written
            part.unlink(missing_ok=True)
    return count


def _flat(schema: pa.Schema) -> pa.Schema:
    """The schema with text for each column of a type that Arrow does not write as CSV."""
    return pa.schema([field if _has_csv_form(field.type) else pa.field(field.name, pa.string()) for field in schema])


def _has_csv_form(kind: pa.DataType) -> bool:
    types = pa.types
    odd = types.is_nested(kind) or types.is_interval(kind) or types.is_string_view(kind) or types.is_binary_view(kind)
    odd |= types.is_binary(kind) or types.is_large_binary(kind)  # Arrow would write the bytes as they are
    return not odd and not isinstance(kind, pa.BaseExtensionType)


def _as_text(batch: pa.RecordBatch, schema: pa.Schema, text: Callable[[object], str | None]) -> pa.RecordBatch:
    def cells(column: pa.Array) -> list[str | None]:
        return [v if v is None or isinstance(v, str) else text(v) for v in column.to_pylist()]

    columns = [
        column if column.type == field.type else pa.array(cells(column), field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq
    from pyarrow import csv

    if suffix == ".parquet":
        return pq.ParquetWriter(path, schema, compression="zstd")
    if suffix == ".csv":
        return csv.CSVWriter(path, schema)
    raise QueryError("write the result to a .parquet or .csv file")
