"""gendata show."""

from pathlib import Path
from typing import Any

import click

from gendata.cli._shared import emit, expected_errors, note, printable, project, short, to_json, wants_table
from gendata.errors import GendataError


@click.command()
@click.argument("key", metavar="ID|FILE")
@click.option("--chain", is_flag=True, help="Print where the item came from, step by step.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write the original bytes to FILE.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "jsonl"]),
    help="Default: table on a terminal, else jsonl.",
)
@expected_errors
def show(key: str, chain: bool, save: Path | None, format_: str | None) -> None:
    """Show one item with everything known about it: by id, a unique prefix of it, or a file with its content.

    \b
    gendata show 3f2a9c
    gendata show photo.png --chain
    gendata show 3f2a9c --save original.png
    """
    here = project()
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
    if chain:
        emit(_chain(item), format_)
        return
    if wants_table(format_):
        for name, value in item.items():
            if value not in (None, [], "", "{}"):
                click.echo(f"{name:15} {_value(value)}")
    else:
        emit([item], format_)


def _chain(item: dict[str, Any]) -> list[dict[str, Any]]:
    """Source file -> item -> copies merged into it, the part of the chain that is built so far."""
    rows = [
        {
            "step": "source",
            "what": item["source"],
            "detail": f"origin {item['origin']}, license {item['license'] or 'not stated'}",
        },
        {"step": "file", "what": item["uri"], "detail": f"sha256 {item['file_sha256'] or 'none'}"},
        *({"step": "derived from", "what": parent, "detail": ""} for parent in item["parents"] or []),
        {
            "step": "item",
            "what": item["id"],
            "detail": f"{item['modality']}, {item['media_type']}, in store {item['store']}",
        },
    ]
    copies = [
        {"step": "copy merged", "what": f"{c['source']}: {c['uri']}", "detail": c["reason"]}
        for c in item["dropped_copies"]
    ]
    return rows + copies


def _value(value: object) -> str:
    text = value if isinstance(value, str) else to_json(value)
    lines = printable(text).splitlines() or [""]
    more = f"\n{'':15} ... {len(lines) - 20} more lines" if len(lines) > 20 else ""
    return f"\n{'':15} ".join(line[:400] for line in lines[:20]) + more
