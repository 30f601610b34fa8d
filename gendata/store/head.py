"""HEAD.json: the one pointer that makes a built store visible, and the readers that pin by it."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gendata import files
from gendata.errors import ProjectError, StoreError

if TYPE_CHECKING:
    import lance

SCHEMA = 1
"""Version of the store's layout; a reader refuses another one."""

_BEFORE = "HEAD.before.json"


@dataclass(frozen=True)
class Head:
    """What a store consists of at one moment: a catalog file and a version of each Lance table."""

    catalog: str
    lance: dict[str, int]
    schema: int = SCHEMA


def read_head(store: Path) -> Head | None:
    """The store's HEAD, None if it was never built. Raises StoreError if it cannot be used."""
    return _read(store / "HEAD.json")


def _read(path: Path) -> Head | None:
    if not path.is_file():
        return None
    value = files.read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise StoreError(f"{path}: not a store of schema {SCHEMA}; delete the folder and run `gendata run`")
    return Head(**value)


def write_head(store: Path, head: Head, before: Head | None) -> None:
    """Switch the store to ``head``: durable, all at once. The HEAD before is kept beside."""
    if before is not None:
        files.write_json(store / _BEFORE, asdict(before))
    files.write_json(store / "HEAD.json", asdict(head))


def roll_back(store: Path) -> bool:
    """Switch a store that does not open back to the HEAD before; whether there is one that opens."""
    try:
        Store.open(store).check()
    except (ProjectError, StoreError):
        pass
    else:
        return False
    try:
        before = _read(store / _BEFORE)
        if before is None:
            return False
        Store(store, before).check()
    except StoreError:
        return False
    write_head(store, before, None)
    return True


def open_stores(base: Path, names: Iterable[str]) -> dict[str, "Store"]:
    """The stores of these names below ``base`` that are built."""
    return {name: Store.open(base / name) for name in names if read_head(base / name)}


class Store:
    """A store opened for reading, pinned to the HEAD of the moment it was opened."""

    def __init__(self, path: Path, head: Head) -> None:
        self.path, self.head = path, head
        self._tables: dict[tuple[str, int], lance.LanceDataset] = {}

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
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"{self.catalog}: does not open: {str(error).splitlines()[0]}") from None
        for name in self.head.lance:
            self.table(name)

    def table(self, name: str) -> "lance.LanceDataset | None":
        """A Lance table at the pinned version, None if this store has no such rows. Raises StoreError.

        It is opened by Lance itself: LanceDB reads through it as well, and takes five times as long to import.
        """
        version = self.head.lance.get(name)
        if version is None:
            return None
        if (name, version) not in self._tables:
            os.environ.setdefault("LANCE_LOG", "error")  # Rust warnings are no result of a query
            import lance

            path = self.path / "lance" / f"{name}.lance"
            try:
                self._tables[name, version] = lance.dataset(path, version=version)
            except (ValueError, RuntimeError, OSError) as error:
                reason = str(error).splitlines()[0]
                raise StoreError(f"{self.path}: table {name} version {version} does not open: {reason}") from error
        return self._tables[name, version]
