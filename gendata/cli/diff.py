"""gendata diff."""

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project

COUNTED = ("change", "source", "items", "examples")
LISTED = ("change", "id", "source", "uri", "before", "after")


@click.command()
@click.argument("before", metavar="A")
@click.argument("after", metavar="[B]", default="now")
@click.option("--items", is_flag=True, help="List every changed item, with what it was and what it is.")
@format_option
@expected_errors
def diff(before: str, after: str, items: bool, format_: str | None) -> None:
    """Show what changed between two versions of the data: git revisions, store.json files, or `now`.

    Items are added, removed, moved (another source or file), relabelled, relicensed, retagged, or of another origin.

    \b
    gendata diff HEAD~1                    a commit and what is there now
    gendata diff v1 v2 --items
    gendata diff ../copy/artifacts/store/real/store.json artifacts/store/real/store.json
    """
    from gendata import history

    here = project()
    rows = history.changes(here, before, after) if items else history.diff(here, before, after)
    if not rows:
        note(f"nothing changed from {before} to {after}")
    emit(rows, format_, fields=LISTED if items else COUNTED)
