"""Originals that stay where they are: the bytes of the images and audio of sources of ``content: reference``.

The one way to such bytes, for every stage and reader: what is read is compared with the size and the id of the item,
so it is never anything else. Results therefore do not depend on where originals lie; that is read from params.yaml
when the first is asked for.
"""

import hashlib
import io
import os
import stat
from collections.abc import Mapping
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from gendata import params
from gendata.errors import StoreError
from gendata.items import decode_uri, is_glob

if TYPE_CHECKING:
    from gendata.store.head import Store

COLUMNS = ("id", "source", "uri", "size", "data")
"""What ``fill`` looks at. Rows without ``size`` are those of copies."""

REMEDY = "put it back as it was, or `gendata run`, which sees what there is now"

_WHY = {
    "original-missing": "is not there",
    "original-changed": "is not what was ingested",
    "original-unreadable": "cannot be read",
}

_UNKNOWN = "original-unknown"

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)


class OriginalError(StoreError):
    """An original is not there, or not what it was: ``reason`` is a short code."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, reason)
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[0])


class Originals:
    """Of the project that ``near`` lies in: a shard of ingest, a store, or the folder of the project itself."""

    def __init__(self, near: Path) -> None:
        self._near = near
        self._bases: dict[str, Path] = {}

    @classmethod
    def of(cls, stores: "Mapping[str, Store]") -> "Originals":
        """Of the project that these stores are in."""
        return cls(next((store.path for store in stores.values()), Path()))

    def fill(self, rows: Rows) -> Rows:
        """The rows with the bytes of originals in ``data``, of those that have a ``size``. Raises OriginalError."""
        if "size" not in rows.schema.names or not pc.any(pc.is_valid(rows["size"])).as_py():
            return rows
        data = [self.content(row) for row in rows.select(COLUMNS).to_pylist()]
        return rows.set_column(rows.schema.get_field_index("data"), "data", pa.array(data, pa.large_binary()))

    def content(self, row: Mapping[str, Any]) -> bytes | None:
        """The bytes of one item, a row with COLUMNS; None of a text. Raises OriginalError."""
        if row.get("size") is not None:
            return self.read(row["id"], row["source"], row["uri"], row["size"])
        data: bytes | None = row["data"]
        return data

    def read(self, item_id: str, source: str, uri: str, size: int) -> bytes:
        """The bytes of one original. Raises OriginalError unless they are those of the item."""
        path = os.fsencode(self._base(source)) + b"/" + decode_uri(uri)
        try:
            with io.BufferedReader(io.FileIO(path, opener=_at_once)) as file:
                found = os.fstat(file.fileno())
                whole = stat.S_ISREG(found.st_mode) and found.st_size == size
                data = file.read(size + 1) if whole else b""
        except (FileNotFoundError, NotADirectoryError, ValueError):  # the last is a NUL: no file can be of that name
            raise self._error(item_id, source, uri, "original-missing") from None
        except OSError as error:
            raise self._error(item_id, source, uri, "original-unreadable", f": {error.strerror}") from None
        if not whole or hashlib.sha256(data).hexdigest() != item_id:
            raise self._error(item_id, source, uri, "original-changed")
        return data

    def where(self, source: str, uri: str) -> str:
        """The path of an original, relative to the project if it is in it, as text that can be printed."""
        try:
            base = self._base(source)
        except OriginalError:
            return f"{uri} of source {source}"
        root = self._root.resolve()
        return f"{base.relative_to(root) if base.is_relative_to(root) else base}/{uri}"

    @cached_property
    def _root(self) -> Path:
        if (root := params.project_above(self._near)) is None:
            raise OriginalError(f"{self._near}: in no project, so nothing says where originals are", _UNKNOWN)
        return root

    def _base(self, source: str) -> Path:
        """The folder that the uris of a source are relative to."""
        if source not in self._bases:
            listed = params.read(self._root / "params.yaml").get("sources")
            stated = listed.get(source) if isinstance(listed, dict) else None
            given, kind = (stated.get("path"), stated.get("kind")) if isinstance(stated, dict) else (None, None)
            try:
                if not given or not isinstance(given, str):
                    raise ValueError
                self._bases[source] = base_of(self._root, given, kind)
            except (ValueError, RuntimeError):  # the last is ~ of a user that there is not, or a loop of links
                lost = f"source {source}: params.yaml says no more where its originals are: `gendata run`"
                raise OriginalError(lost, _UNKNOWN) from None
        return self._bases[source]

    def _error(self, item_id: str, source: str, uri: str, reason: str, detail: str = "") -> OriginalError:
        return OriginalError(
            f"item {item_id[:12]}: {self.where(source, uri)} ({source}) {_WHY[reason]}{detail} ({reason}): {REMEDY}",
            reason,
        )


def base_of(root: Path, given: str, kind: object = None) -> Path:
    """The folder that the uris of a source with this path are relative to: as kinds of whole files have it.

    It is the path, if that is a folder; of a file, also one that is gone, the folder that it is in; of a glob that
    before the first wild card.
    """
    path = root / Path(given).expanduser()
    if not os.path.lexists(path):
        parts = Path(given).expanduser().parts
        fixed = [*takewhile(lambda part: not is_glob(part), parts)]
        named = kind == "files" and len(fixed) == len(parts)
        return (root / Path(*(fixed[:-1] if named else fixed))).resolve()
    path = path.resolve()
    return path if path.is_dir() else path.parent


def media_type(thumbnail: bytes) -> str:
    """Of a thumbnail, which is a PNG or a JPEG."""
    return "image/png" if thumbnail.startswith(b"\x89PNG") else "image/jpeg"


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for what has become a pipe."""
    return os.open(path, flags | os.O_NONBLOCK)
