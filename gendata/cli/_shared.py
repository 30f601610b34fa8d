"""What commands share: the error policy, the project, and the output formats."""

import base64
import bisect
import csv
import decimal
import functools
import itertools
import json
import math
import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO, TypeVar

import click

from gendata.errors import REFUSED, GendataError
from gendata.page import printable as printable

if TYPE_CHECKING:
    from gendata.project import Project

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv", "ids")

Draw = Callable[[str, int], str]
"""How a cell of a table looks: its text, to be made that many columns wide; may hold colour codes."""

TABLE_ROWS = 1000
"""Rows of a table at most: its columns cannot be aligned before all rows are there."""

VECTOR = 8
"""Numbers that a list of them shows in a table; a longer one is a vector, of which two and the length tell enough."""


def expected_errors(function: Callable[P, R]) -> Callable[P, R]:
    """A GendataError is one line and exit 1; a bug keeps its traceback."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GendataError as error:
            complain(error)
            raise SystemExit(1) from None
        except BrokenPipeError:  # `gendata ... | head`
            _silence(sys.stdout)
            raise SystemExit(0) from None
        except OSError as error:
            if error.errno not in REFUSED:
                raise
            note(f"error: {printable(str(error.filename or 'disk'))}: {error.strerror}")
            raise SystemExit(1) from None

    return wrapper


def complain(error: GendataError) -> None:
    """An expected error as one line on stderr."""
    note(f"error: {' '.join(printable(str(error)).split())}")


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


def wants_table(format_: str | None) -> bool:
    """Whether the result is a table: asked for, or by default on a terminal."""
    return format_ == "table" or (format_ is None and sys.stdout.isatty())


def emit(
    rows: Iterable[Mapping[str, Any]],
    format_: str | None,
    columns: Sequence[str] | None = None,
    *,
    fields: Sequence[str] | None = None,
    draw: Mapping[str, Draw] | None = None,
) -> None:
    """Rows to stdout, one at a time, so that a result may be larger than memory.

    Args:
        rows: the result; a table shows its first ``TABLE_ROWS``.
        format_: one of FORMATS, or None for the default.
        columns: the columns of a table; the other formats hold everything.
        fields: all keys of the rows, if known before the first row. Without them CSV has to hold
            every row to find its header, and has none if there are no rows.
        draw: how the cells of these columns of a table look.
    """
    if wants_table(format_):
        _table_start(iter(rows), columns or fields, draw)
    elif format_ == "json":
        _json(rows)
    elif format_ == "csv":
        _csv(rows, fields)
    elif format_ == "ids":
        _ids(rows, fields)
    else:
        for row in rows:
            click.echo(to_json(row))


def _table_start(
    rows: Iterator[Mapping[str, Any]], columns: Sequence[str] | None, draw: Mapping[str, Draw] | None
) -> None:
    click.echo(table(list(itertools.islice(rows, TABLE_ROWS)), columns, draw))
    if next(rows, None) is not None:
        note(f"first {TABLE_ROWS} rows shown; --format jsonl gives all of them, as does --out FILE of gendata sql")


def _json(rows: Iterable[Mapping[str, Any]]) -> None:
    before = "[\n  "
    for row in rows:  # a query that fails at its first row has printed nothing
        click.echo(before + to_json(row, indent=2).replace("\n", "\n  "), nl=False)
        before = ",\n  "
    click.echo("[]" if before.startswith("[") else "\n]")


def _csv(rows: Iterable[Mapping[str, Any]], fields: Sequence[str] | None) -> None:
    if fields is None:
        rows = list(rows)
        fields = _keys(rows)
    rows = iter(rows)
    first = list(itertools.islice(rows, 1))  # a query that fails at its first row has printed nothing
    if fields:
        # not click.echo, which takes colour codes out of the data
        writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: csv_cell(v) for k, v in row.items()} for row in itertools.chain(first, rows))
        sys.stdout.flush()  # here, where a closed pipe is understood, rather than at exit


def _ids(rows: Iterable[Mapping[str, Any]], fields: Sequence[str] | None) -> None:
    if fields is not None:
        _need_id(fields)
    for row in rows:
        _need_id(row)
        click.echo(row["id"])


def _need_id(names: Iterable[str]) -> None:
    if "id" not in names:
        raise GendataError("--format ids needs a column id in the result")


def _keys(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def to_json(value: object, indent: int | None = None) -> str:
    """JSON, one line without ``indent``: dates and decimals as text, blobs in base64, NaN and infinity as null."""
    dump = functools.partial(json.dumps, ensure_ascii=False, indent=indent, default=_plain, allow_nan=False)
    try:
        return dump(value)
    except ValueError:  # rare enough that the look into every value is paid for here alone
        return dump(_finite(value))


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, (list, tuple)) else value


def csv_cell(value: object) -> str | None:
    """The text of a value in a CSV file: JSON for lists and structs, base64 for blobs, and NaN as such."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return to_json(value)
    return json.dumps(value) if isinstance(value, (bool, int, float)) else str(_plain(value))


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal) and value == value.to_integral_value():
        return int(value)  # DuckDB sums integers into wider ones, which Arrow has as decimals
    return str(value)


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, draw: Mapping[str, Draw] | None = None
) -> str:
    """Rows as an aligned text table that fits the terminal; long cells are cut with an ellipsis."""
    if not rows:
        return "(no rows)"
    names = list(columns or _keys(rows))
    room = max(shutil.get_terminal_size((120, 24)).columns, 60)
    cells = [[_cell(row.get(n), 4 * room) for n in names] for row in rows]
    widths = [max(cell_width(n), *(cell_width(line[i]) for line in cells)) for i, n in enumerate(names)]
    while sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1
    numeric = [all(isinstance(r.get(n), (int, float)) for r in rows) for n in names]
    plain: list[Draw] = [partial(fit, right=right) for right in numeric]
    drawn = [(draw or {}).get(n, fitted) for n, fitted in zip(names, plain, strict=True)]
    lines = [(names, plain), (["─" * w for w in widths], plain), *((line, drawn) for line in cells)]
    return "\n".join(
        "  ".join(look(c, w) for c, w, look in zip(line, widths, looks, strict=True)).rstrip() for line, looks in lines
    )


def _cell(value: object, most: int) -> str:
    """At most the first ``most`` characters: a row may hold a whole book."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value):,} bytes>"
    if isinstance(value, list) and len(value) > VECTOR and all(isinstance(v, (int, float)) for v in value):
        return f"[{value[0]:.3g}, {value[1]:.3g}, ... {len(value)}]"
    if isinstance(value, (list, dict)):
        value = to_json(value)
    return re.sub(r"\s+", " ", printable(str(value)[:most]))


def cell_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int, right: bool = False) -> str:
    """A text made ``width`` columns wide: cut with an ellipsis, or filled with spaces."""
    if cell_width(text) > width:
        text = text[: bisect.bisect(list(itertools.accumulate(map(cell_width, text))), width - 1)] + "…"
    space = " " * (width - cell_width(text))
    return space + text if right else text + space


def mapped(text: str | None) -> dict[str, str]:
    """What an option ``--map`` says: which column is the text, the label, ... Raises GendataError."""
    pairs = [p.split("=", 1) for p in (text or "").split(",") if p.strip()]
    if any(len(p) != 2 for p in pairs):
        raise GendataError(f"--map takes column pairs like text=body,label=y, not {text!r}")
    return {key.strip(): value.strip() for key, value in pairs}


def short(item_id: str) -> str:
    """An id as people read it; a prefix of this length is unique in any real collection."""
    return item_id[:12]


def note(message: str) -> None:
    """A message on stderr: stdout carries the result only.

    If nobody reads stderr any more (``gendata run 2>&1 | head``), the work goes on in silence.
    """
    try:
        click.echo(printable(message), err=True)
    except BrokenPipeError:
        _silence(sys.stderr)


def _silence(stream: TextIO) -> None:
    """Send what is still written to a closed pipe nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
