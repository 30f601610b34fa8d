"""Format csv: one file per split, in UTF-8, and media as files beside it.

Every value is quoted and a missing one is not, so that an empty text and no text differ for readers that look.
"""

import contextlib
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from gendata.export.media import write_media
from gendata.export.names import safe_name

MODALITY = None
FILES = "{split}.csv"
LAYOUT = "`<split>.csv`; `file` names the image or audio of an item in `data/`. Texts may hold line breaks, quoted."
LOAD = """import pandas
items = pandas.read_csv("DEST/SPLIT.csv", dtype=str, keep_default_na=False)

from datasets import load_dataset
items = load_dataset("DEST", split="SPLIT")"""

_OPTIONS = csv.WriteOptions(quoting_style="all_valid")


class Writer(contextlib.ExitStack):
    """Writes the files; nothing is held in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[str, Any] = {}
        (folder / "data").mkdir()

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        table = write_media(self._folder, rows)
        if split not in self._files:
            path = self._folder / f"{safe_name(split)}.csv"
            self._files[split] = self.enter_context(csv.CSVWriter(path, table.schema, write_options=_OPTIONS))
        self._files[split].write_table(table)
