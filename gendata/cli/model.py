"""gendata model."""

from pathlib import Path

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, short, wants_table

COLUMNS = ("checkpoint_id", "name", "family", "manifest_id", "file", "bytes", "note")


@click.group()
def model() -> None:
    """Models that were trained elsewhere, on data of this project.

    \b
    gendata model add sentiment --manifest 3f2a9c --weights model.safetensors
    gendata sql "SELECT checkpoint_id, family, manifest_id FROM checkpoints WHERE external"
    """


@model.command()
@click.argument("name")
@click.option("--manifest", required=True, metavar="ID", help="What it was trained on (a prefix is enough).")
@click.option("--weights", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file of weights.")
@click.option("--family", help="What kind of model it is.  [default: NAME]")
@click.option("--note", "remark", default="", help="A remark for its card.")
@format_option
@expected_errors
def add(*, name: str, manifest: str, weights: Path, family: str | None, remark: str, format_: str | None) -> None:
    """Keep the card of a model for good: its weights by their sha256, and the manifest it was trained on.

    The file is hashed and never opened. The manifest is written by `gendata export`, or by the Python
    API's dataset(); its id is in the ledger: gendata sql "FROM manifests".

    \b
    gendata model add sentiment --manifest 3f2a9c --weights model.safetensors
    """
    card = project().add_model(name, manifest=manifest, weights=weights, family=family, note=remark)
    if weights.suffix != ".safetensors":
        note(
            f"{weights.name} is not safetensors: loading such a file may run code that is in it; gendata only hashes it"
        )
    row = {key: card[key] for key in COLUMNS}
    if wants_table(format_):
        row |= {key: short(card[key]) for key in ("checkpoint_id", "manifest_id")}
    emit([row], format_, fields=COLUMNS)
