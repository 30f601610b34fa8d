"""gendata show."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gendata.cli._shared import emit, expected_errors, note, printable, project, short, to_json, wants_table
from gendata.errors import GendataError

_TWICE = "a model gave it verbatim; the one that was ingested is shown, --chain covers both"


@click.command()
@click.argument("key", metavar="ID|FILE")
@click.option("--chain", is_flag=True, help="Print where it came from and what was made with it, step by step.")
@click.option("--history", "past", is_flag=True, help="Print at which commits it came, changed or went.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the original bytes to FILE.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "jsonl"]),
    help="Default: table on a terminal, else jsonl.",
)
@expected_errors
def show(key: str, chain: bool, past: bool, save: Path | None, format_: str | None) -> None:
    """Show one item with everything known about it: by id, a unique prefix of it, or a file with its content.

    \b
    gendata show 3f2a9c
    gendata show photo.png --chain
    gendata show 3f2a9c --save original.png
    gendata show 8d01b7 --chain        an output: its checkpoint, training data and nearest items
    """
    here = project()
    if past:
        from gendata import history

        emit(history.history(here, history.find(here, key)), format_)
        return
    item = here.show(key)
    if copy := here.lookup.dropped(key):
        note(f"{key} was dropped as a copy ({copy['reason']}) of {short(copy['kept_id'])}; shown is the one kept")
    if save is not None:
        data, _ = here.lookup.content(item["id"])
        try:
            save.write_bytes(data)
        except OSError as error:
            raise GendataError(f"{save}: {error.strerror}") from None
        note(f"{len(data)} bytes written to {save}")
    if item["also_in"]:
        note(f"{short(item['id'])} is in store {item['store']} and in store {' and '.join(item['also_in'])}: {_TWICE}")
    for line in _taken(item):
        note(line)
    if chain:
        rows = here.chain(item["id"])
        emit([{**row, "what": _short(row["what"])} for row in rows] if wants_table(format_) else rows, format_)
        return
    print_item(item, format_)


def _taken(item: Mapping[str, Any]) -> Iterator[str]:
    """Which values are not the item's own but a copy's."""
    merged = json.loads(item.get("merged") or "{}")
    fields = {name: merged[name] for name in ("label", "license", "split") if name in merged}
    for name, given in (fields | {f"meta {key!r}": given for key, given in merged.get("meta", {}).items()}).items():
        yield f"{name} is of the copy {given['source']}: {given['uri']} ({short(given['id'])})"


def print_item(item: Mapping[str, Any], format_: str | None) -> None:
    """Everything known about one item, to stdout; a table leaves out what is empty."""
    if wants_table(format_):
        for name, value in item.items():
            if value not in (None, [], "", "{}"):
                click.echo(f"{name:15} {_value(value)}")
    else:
        emit([item], format_)


def _value(value: object) -> str:
    text = value if isinstance(value, str) else to_json(value)
    lines = printable(text).splitlines() or [""]
    more = f"\n{'':15} ... {len(lines) - 20} more lines" if len(lines) > 20 else ""
    return f"\n{'':15} ".join(line[:400] for line in lines[:20]) + more


def _short(what: str) -> str:
    return short(what) if re.fullmatch(r"[0-9a-f]{64}", what) else what
