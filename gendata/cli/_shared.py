"""What commands share: the error policy, the project, and the output formats."""

import csv
import decimal
import functools
import io
import json
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from gendata.errors import GendataError

if TYPE_CHECKING:
    from gendata.project import Project

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv", "ids")


def expected_errors(function: Callable[P, R]) -> Callable[P, R]:
    """A GendataError is one line and exit 1; a bug keeps its traceback."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GendataError as error:
            click.echo(f"error: {' '.join(printable(str(error)).split())}", err=True)
            raise SystemExit(1) from None
        except BrokenPipeError:  # `gendata ... | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None

    return wrapper


def project() -> "Project":
    """The project of this call: --project, GENDATA_PROJECT, or the nearest one upwards."""
    from gendata.project import Project

    root = Path(click.get_current_context().find_root().obj or ".")
    if not root.is_dir():
        raise GendataError(f"{root}: no such folder")
    return Project.find(root)


def format_option(function: F) -> F:
    """``--format``: a table on a terminal, jsonl otherwise."""
    return click.option(
        "--format", "format_", type=click.Choice(FORMATS), help="Default: table on a terminal, else jsonl."
    )(function)


def emit(rows: Iterable[Mapping[str, Any]], format_: str | None, columns: Sequence[str] | None = None) -> None:
    """Rows to stdout. ``columns`` are those of a table; the other formats hold everything."""
    chosen = format_ or ("table" if sys.stdout.isatty() else "jsonl")
    if chosen == "jsonl":
        for row in rows:
            click.echo(to_json(row))
        return
    listed = list(rows)
    if chosen == "json":
        click.echo(json.dumps(listed, ensure_ascii=False, indent=2, default=_plain))
    elif chosen == "csv":
        click.echo(_csv(listed), nl=False)
    elif chosen == "ids":
        if listed and "id" not in listed[0]:
            raise GendataError("--format ids needs a column id in the result")
        for row in listed:
            click.echo(row["id"])
    else:
        click.echo(table(listed, columns))


def to_json(value: object) -> str:
    """One line of JSON; dates and decimals as text, blobs by their size."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value)} bytes>"
    if isinstance(value, decimal.Decimal) and value == value.to_integral_value():
        return int(value)  # DuckDB sums integers into wider ones, which Arrow has as decimals
    return str(value)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {k: v if v is None or isinstance(v, str) else to_json(v) for k, v in row.items()} for row in rows
        )
    return out.getvalue()


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Rows as an aligned text table that fits the terminal; long cells are cut with an ellipsis."""
    if not rows:
        return "(no rows)"
    names = list(columns or rows[0])
    cells = [[_cell(row.get(n)) for n in names] for row in rows]
    widths = [max(_width(n), *(_width(line[i]) for line in cells)) for i, n in enumerate(names)]
    room = max(shutil.get_terminal_size((120, 24)).columns, 60)
    while sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    numeric = [all(isinstance(r.get(n), (int, float)) for r in rows) for n in names]
    lines = [names, ["─" * w for w in widths], *cells]
    return "\n".join(
        "  ".join(_fit(c, w, right) for c, w, right in zip(line, widths, numeric, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (bytes, list, dict)):
        value = to_json(value)
    return re.sub(r"\s+", " ", printable(str(value)))


def printable(text: str) -> str:
    """Without control characters: data never steers the terminal."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"} else "�" for c in text)


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _fit(text: str, width: int, right: bool) -> str:
    if _width(text) > width:
        while _width(text) > width - 1:
            text = text[:-1]
        text += "…"
    return " " * (width - _width(text)) + text if right else text + " " * (width - _width(text))


def short(item_id: str) -> str:
    """An id as people read it; a prefix of this length is unique in any real collection."""
    return item_id[:12]


def note(message: str) -> None:
    """A message on stderr: stdout carries the result only."""
    click.echo(printable(message), err=True)
