"""Format imagefolder: a folder per split and label, as torchvision and ``datasets`` read it; images only."""

import contextlib
import json
from pathlib import Path
from typing import IO

import pyarrow as pa

from gendata.export.names import file_names, label_folder, safe_name

MODALITY = "image"
FILES = "{split}/**"
LAYOUT = (
    '`<split>/<label>/<id>.<extension>`, and `<split>/metadata.jsonl` with everything else of each image (`""` where '
    "nothing is stated). Labels are percent-encoded where a name cannot hold them; `_unlabelled` holds images without."
)
LOAD = """from datasets import load_dataset
images = load_dataset("DEST", split="SPLIT")

from torchvision.datasets import ImageFolder
images = ImageFolder("DEST/SPLIT")"""

_encode = json.JSONEncoder(ensure_ascii=False).encode


class Writer(contextlib.ExitStack):
    """Writes the files; nothing is held in memory."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        folder = self._folder / safe_name(split)
        if split not in self._files:
            folder.mkdir()
            path = folder / "metadata.jsonl"
            self._files[split] = self.enter_context(path.open("w", encoding="utf-8", newline="\n"))
        for name, row in zip(file_names(rows), rows.to_pylist(), strict=True):
            place = f"{label_folder(row['label'])}/{name}"
            (folder / place).parent.mkdir(exist_ok=True)
            (folder / place).write_bytes(row.pop("data"))
            # no nulls: the reader takes a column of them for another type than that of the next split
            facts = {"file_name": place} | {key: "" if value is None else value for key, value in row.items()}
            self._files[split].write(_encode(facts) + "\n")
