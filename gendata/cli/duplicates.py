"""gendata duplicates."""

from pathlib import Path

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, short

COLUMNS = ("copies", "reason", "kept", "kept_source", "kept_uri", "source", "uri")


@click.command()
@click.argument("key", metavar="[ID|FILE]", required=False)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with snippets and thumbnails."
)
@format_option
@expected_errors
def duplicates(key: str | None, html: Path | None, format_: str | None) -> None:
    """Show which copies were dropped and what they match, the largest clusters first.

    \b
    gendata duplicates
    gendata duplicates 3f2a9c
    gendata duplicates --html duplicates.html
    """
    here = project()
    rows = here.duplicates(key)
    for conflict in here.lookup.conflicts() if key is None else []:
        note(
            f"origin-conflict: {short(conflict['id'])} ({conflict['origin']}, {conflict['source']}: {conflict['uri']}) "
            f"equals or nearly equals {short(conflict['conflict_id'])} of another origin"
        )
    if html is not None:
        from gendata.cli import _html

        _html.write(html, "duplicates", [({**r, "id": r["kept_id"]}, here.lookup.content) for r in rows])
        note(f"page written to {html}")
    if not rows:
        note("no duplicates were dropped" if key is None else "no copies of this item were dropped")
    emit([{**r, "kept": short(r["kept_id"])} for r in rows] if rows else [], format_, COLUMNS)
