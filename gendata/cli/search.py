"""gendata search."""

from pathlib import Path
from typing import Any

import click

from gendata.cli._hits import print_hits
from gendata.cli._shared import expected_errors, format_option, note, project
from gendata.errors import QueryError


@click.command()
@click.argument("query", required=False)
@click.option("--image", metavar="FILE|ID", help="Search images that look like this one.")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(1, 10_000), help="How many items.")
@click.option("--mode", type=click.Choice(["hybrid", "semantic", "keyword"]), default="hybrid", show_default=True)
@click.option("--modality", type=click.Choice(["text", "image", "audio", "record"]))
@click.option("--origin", type=click.Choice(["real", "generated", "unknown", "any"]), default="any", show_default=True)
@click.option("--source", help="Only items of this source.")
@click.option("--where", metavar="SQL", help="Only items for which this SQL condition over `items` holds.")
@click.option(
    "--html", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with snippets and thumbnails."
)
@click.option("--explain", is_flag=True, help="Show score and rank by words, by meaning and by likeness.")
@format_option
@expected_errors
def search(
    *,
    query: str | None,
    image: str | None,
    html: Path | None,
    explain: bool,
    format_: str | None,
    count: int,
    **filters: Any,
) -> None:
    """Find items by meaning and keyword together; images by caption or by --image, by words with a joint model.

    A "phrase in quotes" must occur, a -word must not; everything else is words. (After --, a query may begin with -.)
    Without a query, a prompt takes one after the other, or lines are read from stdin; :help lists its commands.

    \b
    gendata search "how do I read a file line by line"
    gendata search "weak reference" --mode keyword --source pydocs
    gendata search 'parse "command line" -deprecated' --explain
    gendata search "digit seven" --modality image --html hits.html
    gendata search --image drawing.png -n 20
    gendata search                     a prompt, with history; models and stores stay loaded
    gendata search "parse a date" --where "quality > 0.8 AND split = 'train'"
    """
    here = project()
    if query is None and image is None:
        if html is not None:
            raise click.UsageError("--html needs a query, or an image with --image")
        from gendata.cli import _prompt

        _prompt.run(here, {"count": count, **filters}, format_, explain)
        return
    found = here.search(query, image=_image(here, image) if image else None, n=count, **filters)
    for message in found.messages:
        note(message)
    if html is not None:
        from gendata.cli import _html

        _html.write(html, f"search: {query or image}", [(hit.row(), here.lookup.shown) for hit in found.hits])
        note(f"page written to {html}")
    print_hits(found.hits, query, format_, explain=explain)


def _image(here: Any, key: str) -> bytes:
    """The bytes of an image file, or of an item by its id."""
    path = Path(key)
    if path.exists():
        try:
            return path.read_bytes()
        except OSError as error:
            raise QueryError(f"{path}: {error.strerror}") from None
    data, media_type = here.lookup.content(here.lookup.resolve(key))
    if not media_type.startswith("image/"):
        raise QueryError(f"{key} is {media_type}, not an image")
    return bytes(data)
