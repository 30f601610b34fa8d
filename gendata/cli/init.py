"""gendata init."""

from pathlib import Path

import click

from gendata.cli._shared import expected_errors, note


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@expected_errors
def init(folder: Path) -> None:
    """Make a new project in DIR, or in an existing repository with `gendata init .`.

    \b
    Writes dvc.yaml, params.yaml and pipelines/; add your own data with `gendata add`.
        gendata init demo && cd demo && gendata run
    """
    from gendata import template

    for message in template.create(folder):
        note(message)
    here = "" if folder == Path() else f"cd {folder} && "
    note(f"project made in {folder}. Next: {here}gendata run")
