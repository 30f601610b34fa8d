"""What a format is: a module with a Writer and what the dataset card says of it."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa


class Writer(Protocol):
    """Writes rows into a folder; used as a context manager, whose end completes the files."""

    def __init__(self, folder: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split, with the columns of ``gendata.export.rows.SCHEMA``."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Format(Protocol):
    """A module of FORMATS."""

    Writer: type[Writer]

    MODALITY: str | None
    """The only modality that the format holds; None if it holds all."""

    FILES: str | None
    """Glob of the files of a split, ``{split}`` in place of its name, for the ``configs`` of the card's front matter;
    None where ``datasets.load_dataset`` does not read the format."""

    LAYOUT: str
    """What lies where, in Markdown."""

    LOAD: str
    """How to read it: Python, ``DEST`` in place of the folder and ``SPLIT`` of a split."""
