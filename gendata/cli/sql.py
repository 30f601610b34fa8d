"""gendata sql."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gendata.cli._shared import csv_cell, emit, expected_errors, format_option, note, project
from gendata.errors import QueryError

if TYPE_CHECKING:
    import pyarrow as pa


@click.command()
@click.argument("query", required=False)
@click.option("-f", "--file", "file", type=click.Path(path_type=Path, dir_okay=False), help="Read the query from FILE.")
@click.option(
    "--attach", multiple=True, metavar="NAME=FILE", help="Join your own .csv, .jsonl or .parquet as table NAME."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to FILE (.parquet or .csv)."
)
@click.option("--tables", is_flag=True, help="List the tables and their columns instead.")
@format_option
@expected_errors
def sql(
    *,
    query: str | None,
    file: Path | None,
    attach: tuple[str, ...],
    out: Path | None,
    tables: bool,
    format_: str | None,
) -> None:
    """Ask one SELECT over what is stored, and over what the ledger keeps (DuckDB SQL, read-only, sandboxed).

    Tables: items, passages, rejected, sources, outputs; passage_vectors, image_vectors and contents (the bytes of
    images), joined by id; the same of outputs, as output_contents; manifests, manifest_items, checkpoints, runs;
    scores (how strange an image is to a model). A search is a table, too: search('a text', k := 20), with mode,
    modality, origin, source, condition as gendata search has them.

    \b
    gendata sql "SELECT source, count(*) FROM items GROUP BY 1"
    gendata sql "SELECT reason, count(*) FROM rejected GROUP BY 1"
    gendata sql "SELECT id, meta->>'$.module' AS module FROM items WHERE source = 'pydocs' LIMIT 5"
    gendata sql "SELECT model, label, count(*) FROM outputs GROUP BY ALL"
    gendata sql "SELECT family, steps, figures->>'valid/loss' AS loss FROM checkpoints"
    gendata sql "SELECT uri, label, value FROM items JOIN scores USING (id) ORDER BY value DESC LIMIT 20"
    gendata sql "SELECT text, vector FROM passages JOIN passage_vectors USING (id, part) WHERE source = 'pydocs'"
    gendata sql "SELECT * FROM items JOIN mine USING (id)" --attach mine=scores.csv
    gendata sql "SELECT rank, uri, label FROM search('seven', k := 50) JOIN items USING (id) WHERE split = 'test'"
    """
    from gendata.search.attach import read_attachment, write_result

    if (query is not None) + (file is not None) + tables != 1:
        raise click.UsageError("give a query, or a file of one with -f, or --tables")
    if tables:
        emit(project().tables(), format_, fields=("table", "column", "type"))
        return
    try:
        text = query if query is not None else Path(file or "").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise QueryError(f"{file}: {error}") from None
    pairs = dict(a.split("=", 1) for a in attach if "=" in a)
    if len(pairs) != len(attach):
        raise click.UsageError("--attach takes NAME=FILE, each name once")
    here = project()
    attached = {name: read_attachment(Path(path)) for name, path in pairs.items()}
    with here.open_sql(text, tables=attached, say=note) as result:
        rows = _distinct(result)
        if out is None:
            emit((row for batch in rows for row in batch.to_pylist()), format_, fields=rows.schema.names)
        else:
            note(f"{write_result(rows, out, csv_cell)} rows written to {out}")


def _distinct(rows: "pa.RecordBatchReader") -> "pa.RecordBatchReader":
    """The same rows with a name of its own for each column: a row is a mapping from name to value."""
    import pyarrow as pa

    names = _numbered(rows.schema.names)
    if names == rows.schema.names:
        return rows
    schema = pa.schema([field.with_name(name) for field, name in zip(rows.schema, names, strict=True)])
    return pa.RecordBatchReader.from_batches(
        schema, (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in rows)
    )


def _numbered(names: Sequence[str]) -> list[str]:
    """``id, id, x`` as ``id, id_1, x``: the first of a name keeps it, no new name is one that is there."""
    taken, seen = set(names), set[str]()
    out = []
    for name in names:
        new, n = name, 0
        while new in seen or (n and new in taken):
            n += 1
            new = f"{name}_{n}"
        seen.add(new)
        out.append(new)
    return out
