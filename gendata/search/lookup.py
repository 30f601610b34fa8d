"""Questions about single items: find one by id, prefix or file; its copies; counts.

Unlike user SQL these run in this process, on the catalogs opened read-only, with bound values.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from gendata import duck, files
from gendata.errors import QueryError, StoreError
from gendata.originals import Originals
from gendata.search import alike, contents
from gendata.search.contents import CopyKey
from gendata.search.copies import CONFLICTS, REFERENCES, SAME_SIDE, SOURCE_PAIRS
from gendata.store import OUTPUTS
from gendata.store.head import Store

DEFAULT_COUNTS = ("store", "modality", "origin", "source", "split", "lang")
KEPT = "kept, same group"
"""In place of a reason: a member of the group that was not dropped."""

_PREFIX = 4
_SOURCES = "SELECT DISTINCT source FROM sources ORDER BY 1"

_INGESTED = f"r.store <> '{OUTPUTS}'"


class UnknownItemError(QueryError):
    """No store has an item of this id."""


class Lookup:
    """Reads the catalogs of all stores of a project."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self._stores = stores

    @cached_property
    def _connection(self) -> Any:
        import duckdb

        from gendata.search.views import OUTPUT_COLUMNS

        connection = duck.database()
        for name, store in self._stores.items():
            path = str(store.catalog).replace("'", "''")
            try:
                connection.execute(f"ATTACH '{path}' AS \"{name}\" (READ_ONLY)")
            except duckdb.Error as error:
                raise _broken(str(store.catalog), error) from error
        for table in ("items", "rejected", "sources"):
            parts = [f"SELECT '{n}' AS store, * FROM \"{n}\".{table}" for n in self._stores]
            if table == "items" and OUTPUTS not in self._stores:  # its columns are there, and null
                columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in OUTPUT_COLUMNS.items())
                parts.append(f"SELECT {columns} WHERE false")
            try:
                connection.execute(f"CREATE VIEW {table} AS {' UNION ALL BY NAME '.join(parts)}")
            except duckdb.Error as error:
                raise _broken(f"table {table} of the catalogs", error) from error
        # a copy of an item that similar removed later is one of what stays for that
        connection.execute(
            "CREATE VIEW copies AS SELECT r.* REPLACE (coalesce(s.kept_id, r.kept_id) AS kept_id) FROM rejected r "
            f"LEFT JOIN rejected s ON s.id = r.kept_id AND s.stage = 'similar' AND r.stage = 'dedup' AND {_INGESTED}"
        )
        return connection

    def _rows(self, sql: str, values: list[Any] | dict[str, Any] | None = None) -> list[dict[str, Any]]:
        import duckdb

        connection = self._connection
        try:
            cursor = connection.execute(sql, values or [])
            rows = cursor.fetchall()
        except duckdb.Error as error:
            raise _broken("the catalog", error) from error
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in rows]

    def resolve(self, key: str | Path) -> str:
        """The id of an item from its id, a unique prefix of it, or a file with its content.

        A copy that was dropped stands for the item that was kept instead; ``dropped`` tells.
        Raises QueryError if there is no such item, or more than one.
        """
        item_id, copy = self._find(key)
        if copy is not None and copy["reason"] == "reference":
            raise QueryError(f"{key} was dropped: {copy['detail']}")
        return item_id

    def dropped(self, key: str | Path) -> dict[str, Any] | None:
        """The row of ``rejected`` of the dropped copy that ``key`` names; None if it names a kept item.

        Raises QueryError as ``resolve`` does.
        """
        _, copy = self._find(key)
        return copy

    def _find(self, key: str | Path) -> tuple[str, dict[str, Any] | None]:
        path = Path(key)
        if path.is_file():
            return self._of_file(path)
        prefix = str(key).lower()
        if len(prefix) < _PREFIX or not all(c in "0123456789abcdef" for c in prefix):
            raise QueryError(f"{str(key)!r} is neither a file nor an id (at least {_PREFIX} hex digits)")
        rows = self._rows("SELECT DISTINCT id FROM items WHERE starts_with(id, ?) ORDER BY id LIMIT 3", [prefix])
        copies = self._copies("starts_with(id, ?)", prefix) if not rows else []
        ids = sorted({str(row["id"]) for row in rows or copies})
        if not ids:
            raise UnknownItemError(f"no item with id {prefix}")
        if len(ids) > 1:
            raise QueryError(f"id prefix {prefix} is not unique: {ids[0][:16]}, {ids[1][:16]}, ...")
        return (str(copies[0]["kept_id"]), copies[0]) if copies else (ids[0], None)

    def _of_file(self, path: Path) -> tuple[str, dict[str, Any] | None]:
        try:
            digest = files.sha256(path)
        except OSError as error:
            raise QueryError(f"{path}: {error.strerror}") from None
        rows = self._rows("SELECT id FROM items WHERE id = ? OR file_sha256 = ? ORDER BY id LIMIT 2", [digest, digest])
        ids = {str(row["id"]) for row in rows}
        if digest in ids:
            return digest, None
        copies = self._copies("? IN (id, file_sha256)", digest) if not rows else []
        ids |= {str(row["kept_id"]) for row in copies}
        if not ids:
            raise UnknownItemError(f"{path}: no item with this content (sha256 {digest[:16]}...)")
        if len(ids) > 1:
            raise QueryError(f"{path}: holds several items; name one by id (`gendata sql` finds them by file_sha256)")
        return ids.pop(), copies[0] if copies else None

    def _copies(self, condition: str, value: str) -> list[dict[str, Any]]:
        """One dropped copy of each id and kept id for which the condition on the value holds, three at most."""
        return self._rows(
            f"SELECT * FROM copies WHERE kept_id IS NOT NULL AND {condition} "
            "QUALIFY row_number() OVER (PARTITION BY id, kept_id ORDER BY source, uri) = 1 "
            "ORDER BY id, kept_id LIMIT 3",
            [value],
        )

    def item(self, item_id: str) -> dict[str, Any]:
        """Everything the catalog says of one item, and where its dropped copies came from.

        An output that equals an ingested item is shown as that item; ``also_in`` names the other stores.
        """
        first, *others = self.places(item_id)
        return first | {"also_in": [other["store"] for other in others]}

    def places(self, item_id: str) -> list[dict[str, Any]]:
        """The item as each store has it, ingested before output, with the copies that were dropped there.

        ``original`` is the path of one that stays where it is.
        """
        dropped = (
            "SELECT source, uri, reason, id, detail FROM copies WHERE kept_id = ? AND store = ? "
            "ORDER BY source, uri LIMIT 100"
        )
        rows = self._rows("SELECT * FROM items WHERE id = ? ORDER BY store = ?, store", [item_id, OUTPUTS])
        for row in rows:
            if row.get("size") is not None:
                row["original"] = Originals(self._stores[row["store"]].path).where(row["source"], row["uri"])
        return [row | {"dropped_copies": self._rows(dropped, [item_id, row["store"]])} for row in rows]

    def content(self, item_id: str) -> tuple[bytes, str]:
        """The original bytes of a media item, or the UTF-8 text of another, and the media type."""
        item = self.item(item_id)
        return contents.content(self._stores[item["store"]], item)

    def shown(self, item_id: str) -> tuple[bytes, str]:
        """What a page shows of an item: its content, or of an image that stays where it is the thumbnail."""
        item = self.item(item_id)
        return contents.shown(self._stores[item["store"]], item)

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
        if "size" in known:  # not in a store of long ago
            rows += self._rows(
                "SELECT 'content' AS \"by\", 'reference' AS value, count(*) AS items FROM items "
                "WHERE size IS NOT NULL HAVING count(*) > 0"
            )
        return rows + self._rows(
            "SELECT 'rejected (' || stage || ')' AS \"by\", reason AS value, count(*) AS items FROM rejected "
            'GROUP BY "by", value ORDER BY "by", items DESC, value'
        )

    def duplicates(
        self, item_id: str | None = None, limit: int = 1000, *, reason: str | None = None, source: str | None = None
    ) -> list[dict[str, Any]]:
        """At most ``limit`` dropped copies beside the item that stays, the largest clusters first.

        With a reason or a source only those dropped for it, or from there. Raises QueryError on an unknown source.

        With an item only those of its group, and the other members of the group that were kept too
        (reason KEPT), beside the item itself. ``score`` is the similarity, 1.0 for equal content.
        """
        columns = 'i."group", i.copies, {}, i.id AS kept_id, i.source AS kept_source, i.uri AS kept_uri'
        columns += ", r.id, r.source, r.uri, i.modality, left(i.text, 200) AS text"
        if source is not None and source not in (known := [row["source"] for row in self._rows(_SOURCES)]):
            raise QueryError(f"no source {source!r}; there are {', '.join(known)}")
        parts = [
            f"SELECT {columns.format('r.reason, r.detail, r.score')} FROM copies r "
            f"JOIN items i ON i.id = r.kept_id AND {SAME_SIDE} WHERE r.stage = 'dedup' "
            "AND r.reason = coalesce($reason, r.reason) AND r.source = coalesce($source, r.source)"
        ]
        if not item_id:
            parts.append(REFERENCES)
        if item_id:
            parts[0] += ' AND i."group" IN (SELECT "group" FROM items WHERE id = $id)'
            kept = f"'{KEPT}' AS reason, 'not merged' AS detail, NULL::DOUBLE AS score"
            parts.append(
                f"SELECT {columns.format(kept)} FROM items i "
                f'JOIN items r ON r."group" = i."group" AND r.id <> i.id AND {SAME_SIDE} WHERE i.id = $id'
            )
        return self._rows(
            f'{" UNION ALL BY NAME ".join(parts)} ORDER BY copies DESC, "group", kept_id, source, uri, id LIMIT $limit',
            {"limit": limit, "reason": reason, "source": source} | ({"id": item_id} if item_id else {}),
        )

    def referenced(self) -> int:
        """How many rows were dropped since they match a fixed reference."""
        counted = self._rows("SELECT count(*) AS n FROM rejected WHERE stage = 'dedup' AND reason = 'reference'")
        return int(counted[0]["n"])

    def contained(self) -> int:
        """How many items are contained in another one."""
        return int(self._rows("SELECT count(*) AS n FROM items WHERE contained_in IS NOT NULL")[0]["n"])

    def source_pairs(self) -> list[dict[str, Any]]:
        """How many rows of a source were dropped for a copy in which source, why, and their share of the source."""
        return self._rows(SOURCE_PAIRS)

    def contradictions(self, limit: int = 1000) -> list[dict[str, Any]]:
        """At most ``limit`` copies that state another label, license, split, meta or origin than what they are of."""
        return self._rows(f"{CONFLICTS} ORDER BY conflict, kept_id, source, uri, id, key LIMIT ?", [limit])

    def contradicted(self) -> dict[str, int]:
        """How many items have copies that contradict each other: by label, license, meta, origin and split."""
        counted = f"SELECT conflict, count(DISTINCT kept_id) AS n FROM ({CONFLICTS}) GROUP BY 1 ORDER BY 1"
        return {row["conflict"]: row["n"] for row in self._rows(counted)}

    def similar(self, item_id: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """At most ``limit`` pairs of items that are alike by their vectors; see ``gendata.search.alike``."""
        shards = alike.shards(self._artifacts / "similar")
        rows = self._rows(alike.PAIRS, {"shards": shards, "limit": limit, "id": item_id}) if shards else []
        gone = [row for row in rows if row["verdict"] == alike.REMOVED and row["modality"] != "image"]
        return alike.with_texts(rows, self.dropped_contents(gone))

    @property
    def _artifacts(self) -> Path:
        return next(iter(self._stores.values())).path.parent.parent

    def dropped_contents(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[CopyKey, bytes, str]]:
        """Key, content (as ``content`` gives it) and media type of dropped copies, rows of ``duplicates``.

        They are not in the store: they are read from the shards of ingest, a row group at a time, in
        their order there. Of an image that stays where it is it is the thumbnail. A copy whose shard is gone is left
        out, and so is audio that stays where it is.
        """
        wanted: dict[str, set[CopyKey]] = {}
        for row in rows:
            wanted.setdefault(row["source"], set()).add((row["source"], row["uri"], row["id"]))
        folder = self._artifacts / "ingest"
        for source, keys in sorted(wanted.items()):
            for path in files.shards(folder / source / "items"):
                yield from contents.dropped(path, keys)

    def conflicts(self, limit: int = 100) -> list[dict[str, Any]]:
        """At most ``limit`` items that nearly equal one of another origin, or came with several (their own id)."""
        return self._rows(
            "SELECT id, origin, source, uri, conflict_id FROM items WHERE conflict_id IS NOT NULL ORDER BY id LIMIT ?",
            [limit],
        )


def _broken(what: str, error: Exception) -> StoreError:
    return StoreError(f"{what}: not readable ({str(error).partition(chr(10))[0]}); run `gendata doctor --repair`")
