"""gendata stats."""

import click

from gendata.cli._shared import emit, expected_errors, format_option, project


@click.command()
@click.option("--by", metavar="COLUMN,...", help="Count by these columns of items together.")
@click.option("--storage", is_flag=True, help="Rows, versions, indexes and bytes of each table instead.")
@format_option
@expected_errors
def stats(by: str | None, storage: bool, format_: str | None) -> None:
    """Count items by modality, origin, source, split and language; rejects by reason.

    \b
    gendata stats
    gendata stats --by source,label
    gendata stats --storage
    """
    here = project()
    if storage:
        from gendata import doctor

        emit(doctor.storage(here.stores), format_, doctor.STORAGE)
        return
    emit(here.stats(tuple(c.strip() for c in by.split(",")) if by else ()), format_)
