"""HEAD.json: the one pointer that makes a built store visible, and the readers that pin by it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gendata import duck, files
from gendata.errors import ProjectError, StoreError
from gendata.store.place import Folder, Place, past_grace, place, storage_options

if TYPE_CHECKING:
    import duckdb

    from gendata.store.table import Table

SCHEMA = 1
"""Version of the store's layout; a reader refuses another one."""

HEADS = _HEAD, _BEFORE = "HEAD.json", "HEAD.before.json"


@dataclass(frozen=True)
class Head:
    """What a store consists of at one moment: a catalog file and a version of each Lance table."""

    catalog: str
    lance: dict[str, int]
    schema: int = SCHEMA


def place_of(store: Path) -> Place | None:
    """Where the databases of the store in a project's folder are, as the HEAD.json there says; None if never built."""
    value = _parse(Folder(store), _HEAD)
    if value is None:
        return None
    return place(store, value["uri"]) if "uri" in value else Folder(store)


def read_head(store: Path) -> Head | None:
    """The store's HEAD, None if it was never built. Raises StoreError if it cannot be used."""
    at = place_of(store)
    return None if at is None else head_at(at)


def head_at(at: Place, name: str = _HEAD) -> Head | None:
    """The HEAD in a place, None if none is there. Raises StoreError if it cannot be used."""
    value = _parse(at, name)
    if value is None or "uri" in value:
        return None
    catalog: Any = value.get("catalog")
    tables: Any = value.get("lance")
    named = isinstance(catalog, str) and catalog and isinstance(tables, dict)
    if not (named and all(type(version) is int for version in tables.values())):
        raise StoreError(f"{at.uri}/{name}: names no catalog and tables; delete it and run `gendata run`")
    return Head(catalog, tables)


def _parse(at: Place, name: str) -> dict[str, Any] | None:
    content = at.read(name)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except ValueError as error:
        raise StoreError(f"{at.uri}/{name}: not valid JSON: {error}") from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise StoreError(f"{at.uri}/{name}: not a store of schema {SCHEMA}; delete it and run `gendata run`")
    return value


def stale_catalogs(at: Place, heads: Iterable[Head]) -> list[str]:
    """The catalogs in a place that none of ``heads`` names, and that no reader can hold any more."""
    named = {head.catalog for head in heads}
    found = (name for name in at.sizes("") if name.startswith("catalog-") and name not in named)
    return [name for name in found if past_grace(at.written(name))]


def write_head(store: Path, head: Head, before: Head | None = None, at: Place | None = None) -> None:
    """Switch the store to ``head``: durable, all at once. The HEAD before is kept beside.

    Where the databases are elsewhere (``at``), the HEAD.json of the project's folder says where.
    """
    at = at or Folder(store)
    if before is not None:
        at.write(_BEFORE, files.json_bytes(asdict(before)))
    at.write(_HEAD, files.json_bytes(asdict(head)))
    if at.uri != str(store):
        files.write_json(store / _HEAD, {"schema": SCHEMA, "uri": at.uri.removesuffix(f"/{store.name}")})


def roll_back(store: Path) -> bool:
    """Switch a store that does not open back to the HEAD before; whether there is one that opens."""
    try:
        Store.open(store).check()
    except (ProjectError, StoreError):
        pass
    else:
        return False
    try:
        at = place_of(store) or Folder(store)
    except StoreError:  # HEAD itself was cut short
        at = Folder(store)
    try:
        before = head_at(at, _BEFORE)
        if before is None:
            return False
        Store(store, at, before).check()
    except StoreError:
        return False
    write_head(store, before, at=at)
    return True


def open_stores(base: Path, names: Iterable[str]) -> dict[str, "Store"]:
    """The stores of these names below ``base`` that are built."""
    return {name: Store.open(base / name) for name in names if read_head(base / name)}


class Store:
    """A store opened for reading, pinned to the HEAD of the moment it was opened."""

    def __init__(self, path: Path, at: Place, head: Head) -> None:
        self.path, self.place, self.head = path, at, head
        self._tables: dict[tuple[str, int], Table] = {}

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the store in this folder. Raises ProjectError if it is not built."""
        at = place_of(path)
        head = None if at is None else head_at(at)
        if at is None or head is None:
            raise ProjectError(f"{path.name} store not built: run `gendata run`")
        at.fetch(head.catalog)
        return cls(path, at, head)

    @property
    def catalog(self) -> Path:
        """The DuckDB file with the metadata of every item and reject. Raises StoreError if it is not there."""
        return self.place.fetch(self.head.catalog)

    @cached_property
    def connection(self) -> "duckdb.DuckDBPyConnection":
        """To the catalog, read-only; threads take a ``cursor()`` each. Raises StoreError if it does not open."""
        import duckdb

        try:
            return duck.database(self.catalog)
        except (duckdb.Error, OSError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"{self.catalog}: does not open ({reason}); run `gendata doctor --repair`") from None

    def uri(self, name: str) -> str:
        """Of a Lance table."""
        return f"{self.place.uri}/lance/{name}.lance"

    def check(self) -> None:
        """Raise StoreError if the catalog or a table does not open, or a file of rows is not whole."""
        from gendata.store.table import cut_short

        self.connection.close()
        del self.connection
        for name in self.head.lance:
            table = self.table(name)
            if table is not None and (lost := cut_short(self.place, name, table)):
                raise StoreError(
                    f"{self.path}: {lost[0]} of table {name} is gone or cut short; run `gendata doctor --repair`"
                )

    def table(self, name: str) -> "Table | None":
        """A Lance table at the pinned version, None if this store has no such rows. Raises StoreError.

        It is opened by Lance itself: LanceDB reads through it as well, and takes five times as long to import.
        """
        version = self.head.lance.get(name)
        if version is None:
            return None
        if (name, version) not in self._tables:
            from gendata.store.table import Table, unreadable

            uri = self.uri(name)
            try:
                self._tables[name, version] = Table(uri, version=version, storage_options=storage_options(uri))
            except (ValueError, RuntimeError, OSError) as error:
                raise unreadable(f"{self.path}: table {name} version {version}", error) from error
        return self._tables[name, version]
