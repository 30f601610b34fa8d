"""gendata export."""

from pathlib import Path
from typing import Any

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, short, wants_table
from gendata.export import FORMATS

COLUMNS = ("folder", "as", "rows", "files", "bytes", "manifest_id", "export_id")


@click.command()
@click.argument("dest", type=click.Path(path_type=Path))
@click.option("--as", "kind", type=click.Choice(list(FORMATS)), required=True, help="The format.")
@click.option("--where", metavar="SQL", help="Only items for which this SQL condition over `items` holds.")
@click.option("--manifest", metavar="ID", help="The items of this manifest (a prefix is enough) instead.")
@click.option(
    "--origin",
    type=click.Choice(["real", "generated", "unknown", "any"]),
    help="Only items of this origin; any for all.  [default: real items, and others are refused]",
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Only items of this split; may be repeated.")
@click.option("--license", "licenses", multiple=True, metavar="NAME", help="Only items under it; may be repeated.")
@format_option
@expected_errors
def export(*, dest: Path, kind: str, format_: str | None, **choice: Any) -> None:
    """Write items into the new folder DEST, as a dataset that other tools read.

    Its manifest and a dataset card stand beside it; the ledger keeps both manifest and export.

    \b
    gendata export digits --as imagefolder --where "source = 'mnist5k'"
    gendata export texts --as parquet --where "modality = 'text' AND quality > 0.5" --split train
    gendata export shards --as webdataset --license CC0-1.0
    gendata export trained-on --as hf --manifest 3f9a1c
    """
    record = project().export(dest, kind, **choice)
    for reason, count in record["left_out"].items():
        note(f"{count} items left out: {reason}")
    row = {"folder": str(dest), "as": kind, **{name: record[name] for name in COLUMNS[2:]}}
    if wants_table(format_):
        row |= {name: short(row[name]) for name in ("manifest_id", "export_id")}
    emit([row], format_, fields=COLUMNS)
