"""gendata add."""

import re
from pathlib import Path

import click

from gendata.cli._shared import emit, expected_errors, mapped, note, project


@click.command()
@click.argument("path", metavar="PATH")
@click.option(
    "--origin",
    type=click.Choice(["real", "generated", "unknown"]),
    help="Where all of it came from; nothing is guessed.",
)
@click.option("--kind", help="How it is read: folder, table, archive, ... (default: from PATH).")
@click.option("--name", help="Name of the source (default: from PATH).")
@click.option(
    "--map",
    "mapping",
    metavar="text=body,label=y",
    help="Columns of a table: text, image, audio, label, license, split, origin; of chats messages, or prompt and "
    "reply, input, system, session, model, time.",
)
@click.option("--query", help="The SELECT whose rows are read, of a database (default: its only table).")
@click.option("--key", help="The column of a database that identifies a row and orders them.")
@click.option("--license", "license_", help="License that holds where an item states none.")
@click.option("--reference", is_flag=True, help="Leave images and audio where they are, instead of copying them.")
@click.option("--no-dedup", is_flag=True, help="Keep near copies (for logs); equal content is still one item.")
@click.option("--dry-run", is_flag=True, help="Show five rows as they would be read, change nothing.")
@expected_errors
def add(
    *,
    path: str,
    kind: str | None,
    origin: str | None,
    name: str | None,
    mapping: str | None,
    query: str | None,
    key: str | None,
    license_: str | None,
    reference: bool,
    no_dedup: bool,
    dry_run: bool,
) -> None:
    """Add a folder, files, a table (jsonl, csv, parquet, ...), a database, an archive, a URL or a built-in corpus.

    \b
    gendata add photos/ --origin real --license CC-BY-4.0
    gendata add articles.jsonl --origin generated --map text=body,label=topic
    gendata add /data/photos --origin real --reference
    gendata add photos.zip --origin real
    gendata add chats.csv --origin generated --map prompt=question,reply=answer
    gendata add notes.db --origin real --query "select * from notes" --key id
    gendata add s3://bucket/prefix --origin real
    gendata add mnist5k --origin real
    """
    from gendata import sources

    here = project()
    entry = sources.entry(
        here.root, path, kind=kind, origin=origin, mapping=mapped(mapping), license_=license_, dedup=not no_dedup
    )
    entry |= sources.settings(here.root, entry, query=query, key=key) | ({"content": "reference"} if reference else {})
    chosen = name or re.sub(r"[^a-z0-9_-]+", "-", Path(path).stem.lower()).strip("-_") or "source"
    rows = sources.preview(here, chosen, entry)
    emit(rows, None, sources.PREVIEW)
    if any(row["media_type"] == "application/json" for row in rows):
        note("rows are records, as no column is a text, an image or a chat; --map text=COLUMN says otherwise")
    if dry_run:
        note("dry run: params.yaml is unchanged")
        return
    sources.write(here, chosen, entry)
    note(f"added source {chosen} to params.yaml; `gendata run` reads it")
