"""gendata doctor."""

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project


@click.command()
@click.option(
    "--repair",
    is_flag=True,
    help="Build broken stores anew from the Parquet artifacts, put what the ledger lacks into it, remove leftovers.",
)
@format_option
@expected_errors
def doctor(repair: bool, format_: str | None) -> None:
    """Check every invariant of shards, stores, models and the ledger; exit 1 if something is wrong.

    \b
    gendata doctor
    gendata doctor --repair
    """
    findings = project().doctor(repair=note if repair else None)
    emit([finding.row() for finding in findings], format_)
    if any(not finding.repaired for finding in findings):
        raise SystemExit(1)
    note("everything holds together" if not findings else "everything found is repaired")
