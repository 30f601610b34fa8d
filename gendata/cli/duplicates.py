"""gendata duplicates."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gendata.cli._shared import emit, expected_errors, format_option, mapped, note, project, short, wants_table

if TYPE_CHECKING:
    from gendata.project import Project
    from gendata.search.lookup import Lookup

SIMILAR_COLUMNS = ("score", "verdict", "kept_text", "text", "kept", "kept_source", "kept_uri", "source", "uri")
COLUMNS = ("copies", "reason", "score", "kept", "kept_source", "kept_uri", "source", "uri")
CONFLICT_COLUMNS = (
    "conflict",
    "key",
    "kept_value",
    "value",
    "reason",
    "kept",
    "kept_source",
    "kept_uri",
    "source",
    "uri",
)
CHECK_COLUMNS = ("match", "score", "reference", "kept_uri", "kept", "source", "uri")
LIMIT = 1000
"""Rows listed at most."""
PAGE_LIMIT = 200
"""Pairs on a page at most."""
PAIRS = 10
"""Pairs of sources in the summary at most."""


@click.command()
@click.argument("key", metavar="[ID|FILE]", required=False)
@click.option(
    "--conflicts", is_flag=True, help="List copies that state another label, license, split, meta or origin instead."
)
@click.option("--reason", help="Only copies dropped for this reason: exact, near-text, ...")
@click.option("--source", help="Only copies dropped from this source.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page: texts compared, thumbnails."
)
@click.option("--similar", is_flag=True, help="Pairs that are alike by their vectors, removed or not.")
@click.option(
    "--against",
    type=click.Path(path_type=Path, exists=True),
    help="Look for the items, or those of FILE, in a file, a folder or another project; nothing is changed.",
)
@click.option("--ngram", type=click.IntRange(1, 100), help="With --against or a FILE: this many words in sequence.")
@click.option("--map", "mapping", help="Columns of tables among these files, e.g. text=question.")
@format_option
@expected_errors
def duplicates(
    *,
    key: str | None,
    against: Path | None,
    ngram: int | None,
    mapping: str | None,
    conflicts: bool,
    similar: bool,
    reason: str | None,
    source: str | None,
    html: Path | None,
    format_: str | None,
) -> None:
    """Show which copies were dropped and what they match, the largest clusters first.

    Of one item also the other items of its group that were kept. --similar shows what stage similar found instead: the
    most alike first, and which of each two would go, or went (similar.remove).

    \b
    gendata duplicates
    gendata duplicates 3f2a9c
    gendata duplicates --conflicts               copies with different labels, splits, licenses, meta
    gendata duplicates --reason near-text --html duplicates.html
    gendata duplicates --similar
    gendata duplicates new.jsonl                 are these in the project? nothing is added
    gendata duplicates --against test.jsonl --ngram 13
    """
    _check(key, conflicts, reason, source, html)
    here = project()
    if against or ngram or mapping or (key is not None and _is_new(key, here)):
        if conflicts or similar or reason or source or html:
            raise click.UsageError("a check of files goes with --against, --ngram, --map and --format alone")
        _report(key, against, ngram, mapped(mapping), format_, here)
        return
    if similar:
        _similar(key, html, format_, here)
        return
    if conflicts:
        contrary = _first(here.lookup.contradictions(LIMIT + 1), "copies that contradict")
        emit([{**r, "kept": short(r["kept_id"])} for r in contrary], format_, CONFLICT_COLUMNS)
        return
    _dropped(key, reason, source, html, format_, here)


def _dropped(
    key: str | None, reason: str | None, source: str | None, html: Path | None, format_: str | None, here: "Project"
) -> None:
    """The copies that were dropped, of all items or of one; of a file first which item it is."""
    lookup = here.lookup
    copy = lookup.dropped(key) if key is not None else None
    if copy:
        note(f"{key} was dropped as a copy ({copy['reason']}) of {short(copy['kept_id'])}")
    item_id = lookup.resolve(key) if key is not None else None
    is_item = key is not None and item_id is not None and not copy and Path(key).is_file()
    itself = [_itself(str(key), lookup.item(str(item_id)))] if is_item else []
    found = lookup.duplicates(item_id, LIMIT + 1, reason=reason, source=source)
    rows = _first(found, "copies; all: gendata sql \"SELECT * FROM rejected WHERE stage = 'dedup'\"")
    if not (key or reason or source):
        for line in [*_summary(lookup, here.artifacts), *map(_conflict, lookup.conflicts())]:
            note(line)
    if html is not None:
        _page(html, rows, lookup)
    if not rows:
        note("no copies of this item were dropped" if key else "no such copies" if reason or source else NOTHING)
    shown = rows if wants_table(format_) else [*itself, *rows]
    emit([{**r, "kept": short(r["kept_id"])} for r in shown], format_, COLUMNS)


ITSELF = "is the item"
"""In place of a reason: a file that has the content of an item that was kept."""


def _itself(path: str, item: Mapping[str, Any]) -> dict[str, Any]:
    """Says which item a file is; the same as a row like those of copies."""
    note(f"{path} is item {short(item['id'])} of source {item['source']}, {item['uri']}")
    kept = {f"kept_{name}": item[name] for name in ("id", "source", "uri")}
    same = {name: item[name] for name in ("id", "modality", "group", "copies")}
    return {**same, **kept, "reason": ITSELF, "detail": None, "score": 1.0, "source": None, "uri": path, "text": None}


NOTHING = "no duplicates were dropped"


def _is_new(key: str, here: "Project") -> bool:
    """Whether this is a folder, a file of several items (a table, an archive), or one whose content is no item."""
    from gendata.references import is_one_item
    from gendata.search.lookup import UnknownItemError

    if Path(key).is_file():
        if not is_one_item(Path(key)):
            return True
        try:
            here.lookup.resolve(key)
        except UnknownItemError:
            return True
    return Path(key).is_dir()


def _report(
    key: str | None,
    against: Path | None,
    ngram: int | None,
    mapping: Mapping[str, str],
    format_: str | None,
    here: "Project",
) -> None:
    """Check files that are not in the project, or the project against files."""
    from gendata.references import check

    if key is None and against is None:
        raise click.UsageError("--ngram and --map go with --against or a FILE")
    if key is not None and not Path(key).exists():
        raise click.UsageError(f"{key}: no such file; an id goes without --against and --ngram")
    path = None if key is None else Path(key).resolve()
    found = check(here.root.resolve(), path, against and against.resolve(), ngram, mapping)
    what = f"of {found.items:,} items of {key or 'the project'}"
    note(f"{len(found.rows):,} {what} match; nothing was changed")
    by_file = ((name, *of_file) for name, one in found.against.items() for of_file in one["by_file"].items())
    places = Counter({f"{name}: {path}": n for name, path, n in by_file})
    if among := sum(row["reference"] is None for row in found.rows):
        places[f"{key} itself"] = among
    for place, n in places.most_common(PAIRS):
        note(f"  {n:,} in {place}")
    for line in [*_left_out(str(key), found.files), *_references(found.against)]:
        note(line)
    emit([{**row, "kept": short(row["kept_id"])} for row in found.rows], format_, CHECK_COLUMNS)


def _references(against: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What of the references was not compared with."""
    for name, found in against.items():
        yield from _left_out(name, found)


def _left_out(name: str, found: Mapping[str, Any]) -> Iterator[str]:
    """What could not be read, by file, and the captions that took no part."""
    if found["rejected"]:
        yield f"{found['rejected']:,} units of {name} could not be read and were not compared:"
    for one in found["rejected_in"][:PAIRS]:
        yield f"  {one['units']:,} in {one['file']}: {one['reason']}"
    if len(found["rejected_in"]) > PAIRS:
        yield "  and others"
    if unpaired := found.get("unpaired"):
        yield f"{unpaired:,} records of {name} are no pairs of prompt and reply: compared by equal content alone"
        yield "  a map as text=COLUMN, or ngram, has their words compared"
    counts = found.get("captions_left_out", {})
    if any(counts.values()):
        of = f"{counts['reference']:,} of {name}, {counts['items']:,} of items"
        yield f"captions take no part in a comparison by words in sequence: {of}"


def _check(key: str | None, conflicts: bool, reason: str | None, source: str | None, html: Path | None) -> None:
    """Raises click's UsageError where options exclude each other, or a reason is none."""
    from gendata.keep import REASONS

    if conflicts and (key or reason or source or html):
        raise click.UsageError("--conflicts goes with no other option but --format")
    if reason is not None and reason not in REASONS:
        raise click.BadParameter(f"{reason!r} is none of {', '.join(REASONS)}", param_hint="--reason")


def _first(rows: Sequence[Mapping[str, Any]], of_what: str) -> Sequence[Mapping[str, Any]]:
    if len(rows) > LIMIT:
        note(f"the first {LIMIT} of more {of_what}")
    return rows[:LIMIT]


def _summary(lookup: "Lookup", artifacts: Path) -> Iterator[str]:
    """What was dropped: by reason, by pair of sources; what references lack, and how much is contradicted."""
    from gendata import files

    reasons, pairs, shares = Counter[str](), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in lookup.source_pairs():
        pair = (row["source"], row["kept_in"])
        reasons[row["reason"]] += row["dropped"]
        pairs[pair] += row["dropped"]
        shares[pair] += row["share"]
    if pairs:
        yield f"{pairs.total():,} dropped: {', '.join(f'{n:,} {name}' for name, n in reasons.most_common())}"
    for (source, kept_in), n in pairs.most_common(PAIRS):
        yield f"  {source}: {n:,} ({shares[source, kept_in]:.2%} of it) for a copy in {kept_in}"
    if len(pairs) > PAIRS:
        yield f"  and {len(pairs) - PAIRS} more pairs of sources: artifacts/reports/dedup.html"
    if referenced := lookup.referenced():
        yield f"{referenced:,} match a reference (dedup.against): artifacts/metrics/dedup.json has the counts by file"
    if (figures := artifacts / "metrics" / "dedup.json").is_file():
        yield from _references(files.read_json(figures)["against"])
    if contained := lookup.contained():
        yield f"{contained:,} that stay are contained in another: column contained_in of items, reports/dedup.html"
    if counts := lookup.contradicted():
        told = ", ".join(f"{n:,} by {name}" for name, n in counts.items())
        yield f"items with copies that contradict: {told}; list them with `gendata duplicates --conflicts`"


def _similar(key: str | None, html: Path | None, format_: str | None, here: "Project") -> None:
    from gendata import files

    found_pairs = here.lookup.similar(here.lookup.resolve(key) if key is not None else None, LIMIT + 1)
    rows = _first(found_pairs, "pairs; all: artifacts/similar")
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
    _html.write_pairs(path, "duplicates", shown, lookup.shown, lookup.dropped_contents(apart))
    note(f"page written to {path}")
