"""Questions about single items: find one by id, prefix or file; its copies; counts.

Unlike user SQL these run in this process, on the catalogs opened read-only, with bound values.
"""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gendata.errors import QueryError
from gendata.store.head import Store

DEFAULT_COUNTS = ("modality", "origin", "source", "split", "lang")
_PREFIX = 4


class Lookup:
    """Reads the catalogs of all stores of a project."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = stores

    @cached_property
    def _connection(self) -> Any:
        import duckdb

        connection = duckdb.connect()
        for name, store in self._stores.items():
            path = str(store.catalog).replace("'", "''")
            connection.execute(f"ATTACH '{path}' AS \"{name}\" (READ_ONLY)")
        for table in ("items", "rejected", "sources"):
            union = " UNION ALL BY NAME ".join(f"SELECT '{n}' AS store, * FROM \"{n}\".{table}" for n in self._stores)
            connection.execute(f"CREATE VIEW {table} AS {union}")
        return connection

    def _rows(self, sql: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, values or [])
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def resolve(self, key: str | Path) -> str:
        """The id of an item from its id, a unique prefix of it, or a file with its content.

        Raises QueryError if there is no such item, or more than one.
        """
        path = Path(key)
        if path.is_file():
            return self._of_file(path)
        prefix = str(key).lower()
        if len(prefix) < _PREFIX or not all(c in "0123456789abcdef" for c in prefix):
            raise QueryError(f"{str(key)!r} is neither a file nor an id (at least {_PREFIX} hex digits)")
        rows = self._rows("SELECT DISTINCT id FROM items WHERE starts_with(id, ?) ORDER BY id LIMIT 3", [prefix])
        if not rows:
            raise QueryError(f"no item with id {prefix}")
        if len(rows) > 1:
            raise QueryError(f"id prefix {prefix} is not unique: {rows[0]['id'][:16]}, {rows[1]['id'][:16]}, ...")
        return str(rows[0]["id"])

    def _of_file(self, path: Path) -> str:
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise QueryError(f"{path}: {error.strerror}") from None
        rows = self._rows("SELECT id FROM items WHERE id = ? OR file_sha256 = ? ORDER BY id LIMIT 2", [digest, digest])
        if not rows:
            raise QueryError(f"{path}: no item with this content (sha256 {digest[:16]}...)")
        if len(rows) > 1 and rows[0]["id"] != rows[1]["id"] and digest not in {r["id"] for r in rows}:
            raise QueryError(f"{path}: holds several items; name one by id (`gendata sql` finds them by file_sha256)")
        return digest if digest in {r["id"] for r in rows} else str(rows[0]["id"])

    def item(self, item_id: str) -> dict[str, Any]:
        """Everything the catalog says of one item, and where its dropped copies came from."""
        item = self._rows("SELECT * FROM items WHERE id = ?", [item_id])[0]
        dropped = (
            "SELECT source, uri, reason, id, detail FROM rejected WHERE kept_id = ? ORDER BY source, uri LIMIT 100"
        )
        return item | {"dropped_copies": self._rows(dropped, [item_id])}

    def content(self, item_id: str) -> tuple[bytes, str]:
        """The original bytes of a media item, or the UTF-8 text of another, and the media type."""
        item = self.item(item_id)
        table = self._stores[item["store"]].table("items")
        rows = table.search().where(f"id = '{item_id}'").select(["data", "text"]).to_list() if table else []
        if not rows:
            raise QueryError(f"{item_id}: its content is not in the store; run `gendata doctor --repair`")
        data = rows[0]["data"]
        return (data if data is not None else rows[0]["text"].encode("utf-8")), str(item["media_type"])

    def counts(self, by: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Items by each of these columns together; each of DEFAULT_COUNTS alone if none is given."""
        known = [r["column_name"] for r in self._rows("DESCRIBE items")]
        if unknown := [c for c in by if c not in known]:
            raise QueryError(f"no column {unknown[0]!r} in items; there are {', '.join(known)}")
        if by:
            names = ", ".join(f'"{c}"' for c in by)
            return self._rows(
                f"SELECT {names}, count(*) AS items FROM items GROUP BY {names} ORDER BY items DESC, {names}"
            )
        rows = []
        for column in DEFAULT_COUNTS:
            rows += self._rows(
                f'SELECT \'{column}\' AS "by", "{column}" AS value, count(*) AS items FROM items '
                "GROUP BY value ORDER BY items DESC, value"
            )
        return rows + self._rows(
            "SELECT 'rejected (' || stage || ')' AS \"by\", reason AS value, count(*) AS items FROM rejected "
            'GROUP BY "by", value ORDER BY "by", items DESC, value'
        )

    def duplicates(self, item_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """Dropped copies beside the item that stays, the largest clusters first; of one group if given."""
        only = 'AND i."group" = (SELECT "group" FROM items WHERE id = ?)' if item_id else ""
        return self._rows(
            'SELECT i."group", i.copies, r.reason, r.detail, i.id AS kept_id, i.source AS kept_source, '
            "i.uri AS kept_uri, r.id, r.source, r.uri, i.modality, left(i.text, 200) AS text "
            f"FROM rejected r JOIN items i ON i.id = r.kept_id WHERE r.stage = 'dedup' {only} "
            'ORDER BY i.copies DESC, i."group", i.id, r.source, r.uri LIMIT ?',
            [*([item_id] if item_id else []), limit],
        )

    def conflicts(self, limit: int = 100) -> list[dict[str, Any]]:
        """Items that equal or nearly equal one of another origin."""
        return self._rows(
            "SELECT id, origin, source, uri, conflict_id FROM items WHERE conflict_id IS NOT NULL ORDER BY id LIMIT ?",
            [limit],
        )
