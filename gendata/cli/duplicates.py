"""gendata duplicates."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gendata.cli._shared import emit, expected_errors, format_option, note, project, short

if TYPE_CHECKING:
    from gendata.project import Project
    from gendata.search.lookup import Lookup

SIMILAR_COLUMNS = ("score", "verdict", "kept_text", "text", "kept", "kept_source", "kept_uri", "source", "uri")
COLUMNS = ("copies", "reason", "score", "kept", "kept_source", "kept_uri", "source", "uri")
LIMIT = 1000
"""Rows listed at most."""
PAGE_LIMIT = 200
"""Pairs on a page at most."""


@click.command()
@click.argument("key", metavar="[ID|FILE]", required=False)
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with snippets and thumbnails."
)
@click.option("--similar", is_flag=True, help="Pairs that are alike by their vectors, removed or not.")
@format_option
@expected_errors
def duplicates(key: str | None, html: Path | None, similar: bool, format_: str | None) -> None:
    """Show which copies were dropped and what they match, the largest clusters first.

    Of one item also the other items of its group that were kept. --similar shows what stage similar found instead: the
    most alike first, and which of each two would go, or went (similar.remove).

    \b
    gendata duplicates
    gendata duplicates 3f2a9c
    gendata duplicates --html duplicates.html
    gendata duplicates --similar
    """
    here = project()
    if similar:
        _similar(key, html, format_, here)
        return
    if key is not None and (copy := here.lookup.dropped(key)):
        note(f"{key} was dropped as a copy ({copy['reason']}) of {short(copy['kept_id'])}")
    rows = here.lookup.duplicates(here.lookup.resolve(key) if key is not None else None, LIMIT + 1)
    if len(rows) > LIMIT:
        rows = rows[:LIMIT]
        note(f"the first {LIMIT} of more copies; all: gendata sql \"SELECT * FROM rejected WHERE stage = 'dedup'\"")
    for conflict in here.lookup.conflicts() if key is None else []:
        note(_conflict(conflict))
    if html is not None:
        _page(html, rows, here.lookup)
    if not rows:
        note("no duplicates were dropped" if key is None else "no copies of this item were dropped")
    emit([{**r, "kept": short(r["kept_id"])} for r in rows], format_, COLUMNS)


def _similar(key: str | None, html: Path | None, format_: str | None, here: "Project") -> None:
    from gendata import files

    rows = here.lookup.similar(here.lookup.resolve(key) if key is not None else None, LIMIT + 1)
    if len(rows) > LIMIT:
        rows = rows[:LIMIT]
        note(f"the first {LIMIT} of more pairs; all: artifacts/similar")
    if html is not None:
        _page(html, rows, here.lookup)
    found = files.read_json(here.artifacts / "metrics" / "similar.json")
    for modality, counts in found["would_go"].items() if key is None else ():
        if any(counts.values()):
            listed = ", ".join(f"{count} at {threshold}" for threshold, count in counts.items())
            note(f"{modality}: of {found['compared'][modality]['items']} would go {listed}")
    for splits, count in found["across_splits"].items() if key is None else ():
        note(f"{count} pairs lie across splits: {splits}")
    if not rows:
        note("nothing is similar" if key is None else "nothing is similar to this item")
    emit([{**row, "kept": short(row["kept_id"])} for row in rows], format_, SIMILAR_COLUMNS)


def _conflict(row: Mapping[str, Any]) -> str:
    start = f"origin-conflict: {short(row['id'])} ({row['origin']}, {row['source']}: {row['uri']})"
    if row["id"] == row["conflict_id"]:
        return f"{start} came with several origins; counted as {row['origin']}"
    return f"{start} nearly equals {short(row['conflict_id'])} of another origin"


def _page(path: Path, rows: Sequence[Mapping[str, Any]], lookup: "Lookup") -> None:
    from gendata.cli import _html

    if len(rows) > PAGE_LIMIT:
        note(f"the page shows the first {PAGE_LIMIT} of {len(rows)} pairs")
    shown = rows[:PAGE_LIMIT]
    apart = [r for r in shown if r["id"] != r["kept_id"]]
    _html.write_pairs(path, "duplicates", shown, lookup.content, lookup.dropped_contents(apart))
    note(f"page written to {path}")
