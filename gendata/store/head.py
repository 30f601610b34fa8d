"""HEAD.json: the one pointer that makes a built store visible, and the readers that pin by it."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import ProjectError, StoreError

SCHEMA = 1
"""Version of the store's layout; a reader refuses another one."""

_LANCE_END = b"LANC"
"""The last bytes of a manifest of Lance."""


@dataclass(frozen=True)
class Head:
    """What a store consists of at one moment: a catalog file and a version of each Lance table."""

    catalog: str
    lance: dict[str, int]
    schema: int = SCHEMA


def read_head(store: Path) -> Head | None:
    """The store's HEAD, None if it was never built. Raises StoreError if it cannot be used."""
    path = store / "HEAD.json"
    if not path.is_file():
        return None
    value = files.read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise StoreError(f"{path}: not a store of schema {SCHEMA}; delete the folder and run `gendata run`")
    return Head(**value)


def write_head(store: Path, head: Head) -> None:
    """Switch the store to ``head``: durable, all at once."""
    files.write_json(store / "HEAD.json", asdict(head))


def open_stores(base: Path, names: Iterable[str]) -> dict[str, "Store"]:
    """The stores of these names below ``base`` that are built."""
    return {name: Store.open(base / name) for name in names if read_head(base / name)}


class Store:
    """A store opened for reading, pinned to the HEAD of the moment it was opened."""

    def __init__(self, path: Path, head: Head) -> None:
        self.path, self.head = path, head

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the store in this folder. Raises ProjectError if it is not built."""
        head = read_head(path)
        if head is None:
            raise ProjectError(f"{path.name} store not built: run `gendata run`")
        if not (path / head.catalog).is_file():
            raise StoreError(f"{path}: {head.catalog} is missing; run `gendata doctor --repair`")
        return cls(path, head)

    @property
    def catalog(self) -> Path:
        """The DuckDB file with the metadata of every item and reject."""
        return self.path / self.head.catalog

    def check(self) -> None:
        """Raise StoreError if the catalog or a table does not open."""
        import duckdb

        try:
            duckdb.connect(str(self.catalog), read_only=True).close()
        except duckdb.Error as error:
            raise StoreError(f"{self.catalog}: does not open: {str(error).splitlines()[0]}") from None
        for name, version in self.head.lance.items():
            if not self._manifest_is_whole(name, version):
                self.table(name)

    def _manifest_is_whole(self, name: str, version: int) -> bool:
        """Whether Lance's manifest of a version ends as one does: opening the table takes seconds, for the import."""
        path = self.path / "lance" / f"{name}.lance" / "_versions" / f"{2**64 - 1 - version:020d}.manifest"
        try:
            with path.open("rb") as file:
                file.seek(-len(_LANCE_END), os.SEEK_END)
                return file.read() == _LANCE_END
        except OSError:
            return False

    @cached_property
    def _database(self) -> Any:
        os.environ.setdefault("LANCE_LOG", "error")  # Rust warnings are no result of a query
        import lancedb

        return lancedb.connect(self.path / "lance")

    def table(self, name: str) -> Any | None:
        """A Lance table at the pinned version, None if this store has no such rows."""
        version = self.head.lance.get(name)
        if version is None:
            return None
        try:
            table = self._database.open_table(name)
            table.checkout(version)
        except (ValueError, RuntimeError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"{self.path}: table {name} version {version} does not open: {reason}") from error
        return table
