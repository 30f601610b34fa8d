"""gendata status."""

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, wants_table


@click.command()
@format_option
@expected_errors
def status(format_: str | None) -> None:
    """Show which stages are stale and why; `gendata run` would run these and what follows them.

    \b
    gendata status
    gendata status --format json
    """
    from gendata import repro

    stale = repro.status(project())
    if stale or not wants_table(format_):
        emit([{"stage": stage, "why": why} for stage, why in stale], format_, fields=("stage", "why"))
    if not stale:
        note("everything is up to date")
