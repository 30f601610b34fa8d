"""Format webdataset: tar shards per split; ``<id>.json`` with the facts, ``<id>.txt``, ``<id>.png`` and the like."""

import json
import tarfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa

from gendata.export.names import file_names, safe_name

MODALITY = None
FILES = "{split}/*.tar"
LAYOUT = (
    "`<split>/00000.tar` and on. Each item is `<id>.json` with its facts, `<id>.txt` with its text or caption if it "
    "has one, and its data under an extension as `.png`."
)
LOAD = """import glob, webdataset
items = webdataset.WebDataset(sorted(glob.glob("DEST/SPLIT/*.tar")), shardshuffle=False).decode("pil")

from datasets import load_dataset
items = load_dataset("DEST", split="SPLIT", streaming=True)"""

_encode = json.JSONEncoder(ensure_ascii=False).encode

_SHARD_BYTES = 256 << 20
"""A shard is closed after so many bytes."""


class Writer:
    """Writes the shards; nothing is held in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._splits: dict[str, _Shards] = {}

    def __enter__(self) -> Self:
        return self

    def write(self, split: str, rows: pa.Table) -> None:
        """Add rows of one split."""
        if split not in self._splits:
            self._splits[split] = _Shards(self._folder / safe_name(split))
        for name, row in zip(file_names(rows), rows.to_pylist(), strict=True):
            self._splits[split].add(name, row)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for shards in self._splits.values():
            shards.close()


class _Shards:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder, self._count = folder, 0
        self._file: IO[bytes] | None = None

    def add(self, name: str | None, row: dict[str, Any]) -> None:
        if self._file is None:
            self._file = (self._folder / f"{self._count:05d}.tar").open("wb")
            self._count += 1
        data, text = row.pop("data"), row.pop("text")
        facts = _encode(row).encode()
        members = [(f"{row['id']}.json", facts)]
        if text is not None:
            members.append((f"{row['id']}.txt", text.encode()))
        if name is not None:
            members.append((name, data))
        for path, content in members:
            self._file.write(_header(path, len(content)) + content + bytes(-len(content) % tarfile.BLOCKSIZE))
        if self._file.tell() >= _SHARD_BYTES:
            self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.write(bytes(-self._file.tell() % tarfile.RECORDSIZE or tarfile.RECORDSIZE))
            self._file.close()
            self._file = None


def _header(path: str, size: int) -> bytes:
    """A ustar header without owner and time; tarfile takes ten times as long to make the same."""
    name, octal = path.encode(), b"%011o\0" % size
    checksum = _REST_SUM + sum(name) + sum(octal)
    return b"".join((name.ljust(100, b"\0"), _REST[0], octal, _REST[1], b"%06o\0 " % checksum, _REST[2]))


def _rest() -> tuple[bytes, bytes, bytes]:
    """What stands between name, size and checksum, and after them."""
    info = tarfile.TarInfo()
    info.mode = 0o644
    header = info.tobuf(tarfile.USTAR_FORMAT)
    return header[100:124], header[136:148], header[156:]


_REST = _rest()
_REST_SUM = sum(map(sum, _REST)) + 8 * ord(" ")  # the field of the checksum counts as spaces
