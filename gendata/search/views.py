"""The tables that SQL can name, as views: over the catalogs, and over the Lance tables of the stores."""

from collections.abc import Collection, Mapping

import duckdb

from gendata.store import OUTPUTS
from gendata.store.place import storage_options

OUTPUT_COLUMNS = {
    "model": "VARCHAR",
    "checkpoint_id": "VARCHAR",
    "manifest_id": "VARCHAR",
    "seed": "BIGINT",
    "request": "VARCHAR",
    "created_at": "VARCHAR",
}
"""The columns that ``outputs`` has beside those of ``items``."""

_LANCE_VIEWS = {
    "passages": (
        "passages",
        {
            "id": "VARCHAR",
            "part": "INTEGER",
            "start": "BIGINT",
            "end": "BIGINT",
            "modality": "VARCHAR",
            "origin": "VARCHAR",
            "source": "VARCHAR",
            "text": "VARCHAR",
        },
    ),
    "passage_vectors": ("passages", {"id": "VARCHAR", "part": "INTEGER", "vector": "FLOAT[]"}),
    "image_vectors": ("images", {"id": "VARCHAR", "vector": "FLOAT[]"}),
    "contents": ("items", {"id": "VARCHAR", "data": "BLOB"}),
}
_OF_OUTPUTS = "output_"

LANCE_VIEWS = _LANCE_VIEWS | {f"{_OF_OUTPUTS}{view}": what for view, what in _LANCE_VIEWS.items()}
"""The Lance table and the columns of each view. Vectors and blobs stand apart: they would drown a ``SELECT *``. What is
of outputs has views of its own, so that nothing generated stands among what is real by accident. ``data`` is null of
originals that stay where they are: a sandbox reads no files.

The types are those where there is no row: vectors are arrays of their length, as in ``FLOAT[384]``."""

Versions = Mapping[str, Mapping[str, tuple[str, int]]]
"""By Lance table and store: where it lies, and the version to read."""


def add_catalogs(connection: duckdb.DuckDBPyConnection, catalogs: Mapping[str, str]) -> None:
    """Attach the stores' catalogs read-only and unite them in the views of the public tables.

    ``items``, ``rejected`` and ``sources`` are those of the stores real and other; ``outputs`` are
    the items of the store outputs. A part that is not built has no rows.
    """
    for name, path in catalogs.items():
        connection.execute(f"ATTACH {_literal(path)} AS store_{name} (READ_ONLY)")
    inputs = [name for name in catalogs if name != OUTPUTS]
    for table in ("items", "rejected", "sources"):
        parts = [f"SELECT * FROM store_{name}.{table}" for name in inputs]
        if not parts:
            parts = [f"SELECT * FROM store_outputs.{table} WHERE false"]
        connection.execute(f"CREATE VIEW {table} AS {' UNION ALL BY NAME '.join(parts)}")
    missing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in OUTPUT_COLUMNS.items())
    outputs = "* FROM store_outputs.items" if OUTPUTS in catalogs else f"*, {missing} FROM items WHERE false"
    connection.execute(f"CREATE VIEW outputs AS SELECT {outputs}")


def add_lance(connection: duckdb.DuckDBPyConnection, lance: Versions, mentioned: Collection[str]) -> None:
    """The views over the Lance tables at their pinned versions; without rows those that are not mentioned."""
    for view, (table, columns) in LANCE_VIEWS.items():
        versions = {
            name: version
            for name, version in lance.get(table, {}).items()
            if view in mentioned and (name == OUTPUTS) == view.startswith(_OF_OUTPUTS)
        }
        if versions:
            from gendata.search.scan import Scan  # half a second: only for statements that need it

            for name, (uri, version) in versions.items():
                connection.register(
                    f"lance_{table}_{name}", Scan(uri, version=version, storage_options=storage_options(uri))
                )
            names = ", ".join(f'"{name}"' for name in columns)
            sql = " UNION ALL ".join(f"SELECT {names} FROM lance_{table}_{name}" for name in versions)
        else:
            names = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
            sql = f"SELECT {names} WHERE false"
        connection.execute(f"CREATE TEMP VIEW {view} AS {sql}")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
