"""Format jsonl: one file per split, in UTF-8, and media as files beside it."""

import contextlib
import json
from pathlib import Path
from typing import IO

import pyarrow as pa

from gendata.export.media import write_media
from gendata.export.names import safe_name

MODALITY = None
FILES = "{split}.jsonl"
LAYOUT = "`<split>.jsonl`, an object per line; `file` names the image or audio of an item in `data/`."
LOAD = """import pandas
items = pandas.read_json("DEST/SPLIT.jsonl", lines=True, dtype=False)

from datasets import load_dataset
items = load_dataset("DEST", split="SPLIT")"""

_encode = json.JSONEncoder(ensure_ascii=False).encode


class Writer(contextlib.ExitStack):
    """Writes the files; nothing is held in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[str, IO[str]] = {}
        (folder / "data").mkdir()

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        if split not in self._files:
            path = self._folder / f"{safe_name(split)}.jsonl"
            self._files[split] = self.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        for row in write_media(self._folder, rows).to_pylist():
            self._files[split].write(_encode(row) + "\n")
