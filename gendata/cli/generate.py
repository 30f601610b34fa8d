"""gendata generate."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, short, wants_table
from gendata.errors import GendataError

COLUMNS = ("id", "modality", "label", "text", "uri", "checkpoint_id", "seed")


@click.command()
@click.argument("family")
@click.option("-n", "n", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many outputs.")
@click.option("--label", help="Items of this class; without it the classes in turn.")
@click.option("--truncation", type=float, help="Images: below 1 less varied and more typical.")
@click.option("--prompt", help="Texts: what to go on from.")
@click.option("--max-tokens", type=int, help="Texts: where a text ends at the latest.")
@click.option("--temperature", type=float, help="Texts: below 1 more typical, 0 always the likeliest.")
@click.option("--top-k", type=int, help="Texts: sample from this many likeliest tokens; 0 from all.")
@click.option("--top-p", type=float, help="Texts: sample from the likeliest with this probability together.")
@click.option("--seed", type=int, help="The same seed gives the same outputs.  [default: the one in params.yaml]")
@click.option(
    "--checkpoint", metavar="ID", help="An older checkpoint (a prefix is enough).  [default: the trained one]"
)
@click.option("--grid", type=click.Path(path_type=Path, dir_okay=False), help="Also write all images as one PNG.")
@click.option("--save", type=click.Path(path_type=Path, file_okay=False), help="Also write a file per output into DIR.")
@format_option
@expected_errors
def generate(
    *, family: str, checkpoint: str | None, grid: Path | None, save: Path | None, format_: str | None, **asked: Any
) -> None:
    """Ask a trained model for outputs. They are kept in records/outputs, with all that they lead back to.

    What is not asked stands in section generate.FAMILY of params.yaml.

    \b
    gendata generate gan -n 100 --label 7 --grid sevens.png
    gendata generate transformer -n 3 --prompt "Return the " --temperature 0.5
    gendata generate vae --seed 1 --save samples/
    """
    given = {key: value for key, value in asked.items() if value is not None}
    _check(family, given, grid)
    here = project()
    for place in filter(None, (grid, save)):
        here.check_place(place)
    rows = here.generate(family, checkpoint=checkpoint, **given)
    if grid is not None:
        _write(grid, _sheet(rows))
    if save is not None:
        _save(save, rows)
    listed = [{name: row[name] for name in COLUMNS} for row in rows]
    if wants_table(format_):
        listed = [{**row, "id": short(row["id"]), "checkpoint_id": short(row["checkpoint_id"])} for row in listed]
    emit(listed, format_, fields=COLUMNS)
    note(
        f"{len(rows)} outputs of checkpoint {short(rows[0]['checkpoint_id'])}, seed {rows[0]['seed']}, kept in "
        "records/outputs; `gendata run collect` puts them into the store, for search, sql and show"
    )


def _check(family: str, asked: Mapping[str, Any], grid: Path | None) -> None:
    """Raises UsageError for an option that the family does not know, ParamsError for an unknown family."""
    from gendata.models import needs
    from gendata.models.request import ImageRequest, TextRequest

    modality = needs(family).modality
    known = {"n", "seed", *(f.name for f in fields(ImageRequest if modality == "image" else TextRequest))}
    if unknown := [key for key in asked if key not in known]:
        raise click.UsageError(f"{family} takes no --{unknown[0].replace('_', '-')}")
    if grid is not None and modality != "image":
        raise click.UsageError(f"{family} takes no --grid: it makes no images")


def _sheet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import io

    import numpy as np
    from PIL import Image

    from gendata.models.picture import grid

    images = [np.asarray(Image.open(io.BytesIO(row["data"]))) for row in rows]
    return grid([pixels.reshape(*pixels.shape[:2], -1) for pixels in images])


def _save(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A file per output; its name says checkpoint, request, seed and number, so that none is overwritten."""
    for row in rows:
        data = row["data"] if row["data"] is not None else row["text"].encode()
        _write(folder / row["uri"].replace("/", "-"), data)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise GendataError(f"{path}: {error.strerror}") from None
