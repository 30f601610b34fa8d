"""gendata stats."""

import click

from gendata.cli._shared import emit, expected_errors, format_option, project, wants_table


@click.command()
@click.option("--by", metavar="COLUMN,...", help="Count by these columns of items together.")
@click.option("--storage", is_flag=True, help="Rows, versions, indexes and bytes of each table alone.")
@format_option
@expected_errors
def stats(by: str | None, storage: bool, format_: str | None) -> None:
    """Count items by store, modality, origin, source, split and language; rejects by reason.

    The stores real and other hold what was ingested, outputs what our own models made.

    As a table, the state of the stores follows; --storage gives it in the other formats.

    \b
    gendata stats
    gendata stats --by source,label
    gendata stats --by store,model
    gendata stats --storage
    """
    here = project()
    columns = tuple(c.strip() for c in by.split(",")) if by else ()
    if not storage:
        emit(here.stats(columns), format_)
    # both only where a person reads: the other formats hold rows of one kind
    both = not columns and wants_table(format_)
    if storage or both:
        from gendata import doctor

        if not storage:
            click.echo()
        emit(doctor.storage(here.stores), format_, doctor.STORAGE)
