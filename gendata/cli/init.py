"""gendata init."""

from pathlib import Path

import click

from gendata.cli._shared import expected_errors, note


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--full", is_flag=True, help="Also the model stages: select, train, generate, evaluate, compare.")
@expected_errors
def init(folder: Path, full: bool) -> None:
    """Make a new project in DIR, or in an existing repository with `gendata init .`.

    Writes dvc.yaml, params.yaml and pipelines/; add your own data with `gendata add`. A project of data
    stages alone gets the models with --full; what it holds stays as it is.

    \b
    gendata init demo && cd demo && gendata run
    gendata init demo --full
    gendata init . --full
    """
    from gendata import template

    *notes, done = template.create(folder, full=full)
    for message in notes:
        note(message)
    here = "" if folder == Path() else f"cd {folder} && "
    note(f"{done}; next: {here}gendata run")
