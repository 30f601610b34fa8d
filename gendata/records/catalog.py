"""The ledger as tables for SQL: ``manifests``, ``manifest_items``, ``checkpoints`` and ``runs``.

They are read only for a statement that mentions them, so that a long ledger slows no other query.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendata import files
from gendata.errors import StoreError
from gendata.items import canonical_json, to_table
from gendata.records.ledger import Ledger
from gendata.records.manifest import MANIFEST_SCHEMA, read_summary

MANIFESTS = pa.schema(
    [
        ("manifest_id", pa.string()),
        ("rows", pa.int64()),
        ("train_rows", pa.int64()),
        ("where", pa.string()),
        *((name, pa.string()) for name in ("allow_origins", "sources", "licenses", "origins", "splits", "selection")),
    ]
)
"""``sources``, ``licenses``, ``origins`` and ``splits`` are JSON objects from name to rows, over all splits;
``allow_origins`` is a JSON list, ``selection`` the JSON of all that chose the rows."""

MANIFEST_ITEMS = pa.schema([("manifest_id", pa.string()), *MANIFEST_SCHEMA])
"""Every row of every manifest: which items were used for what."""

CHECKPOINTS = pa.schema(
    [
        ("checkpoint_id", pa.string()),
        ("family", pa.string()),
        ("manifest_id", pa.string()),
        ("steps", pa.int64()),
        ("parameters", pa.int64()),
        ("external", pa.bool_()),
        *((name, pa.string()) for name in ("figures", "gendata", "card")),
    ]
)
"""``figures`` is a JSON object from name to number, ``card`` the JSON of the whole card; ``external`` ones were
trained elsewhere (`gendata model add`) and state no steps, parameters or figures."""

RUNS = pa.schema(
    [
        *((name, pa.string()) for name in ("run_id", "family", "checkpoint_id", "git_commit", "dvc_lock")),
        ("seconds", pa.float64()),
    ]
)
"""The last three are null in runs of models from elsewhere; ``dvc_lock`` is the digest of dvc.lock."""

SCHEMAS = {"manifests": MANIFESTS, "manifest_items": MANIFEST_ITEMS, "checkpoints": CHECKPOINTS, "runs": RUNS}
"""The tables and their columns."""


def ledger_tables(root: Path, sql: str) -> dict[str, pa.Table | pa.RecordBatchReader]:
    """The tables that a statement may need, typed also where the ledger is empty; none if it mentions none.

    Raises:
        StoreError: a file of the ledger is not readable; for ``manifest_items`` also while it is read.
    """
    words = set(re.findall(r"\w+", sql.lower()))
    if not words & {*SCHEMAS, "show"}:
        return {}
    ledger = Ledger(root)
    return {
        name: _read(name, ledger) if name in words else schema.empty_table()  # SHOW TABLES lists them all
        for name, schema in SCHEMAS.items()
    }


def _read(name: str, ledger: Ledger) -> pa.Table | pa.RecordBatchReader:
    if name == "manifest_items":
        return pa.RecordBatchReader.from_batches(MANIFEST_ITEMS, _items(ledger))
    if name == "manifests":
        return _table(name, map(_manifest, ledger.manifests()))
    return _table(name, map(_checkpoint if name == "checkpoints" else dict, ledger.all(name)))


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    schema = SCHEMAS[name]
    try:
        return to_table(({n: row.get(n) for n in schema.names} for row in rows), schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StoreError(f"the {name} of the ledger: {error}; `gendata doctor` names the file") from None


def _manifest(summary: Mapping[str, Any]) -> dict[str, Any]:
    by, selection = summary["by"], summary["selection"]
    counted = {"sources": "source", "licenses": "license", "origins": "origin", "splits": "split"}
    return {
        **summary,
        "train_rows": by["split"].get("train", 0),
        "where": selection.get("where"),
        "allow_origins": canonical_json(selection.get("allow_origins", [])),
        "selection": canonical_json(selection),
        **{column: canonical_json(by[name]) for column, name in counted.items()},
    }


def _checkpoint(card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **card,
        "external": bool(card.get("external")),
        "figures": canonical_json(card.get("figures", {})),
        "card": canonical_json(card),
    }


def _items(ledger: Ledger) -> Iterator[pa.RecordBatch]:
    for path in sorted((ledger.folder / "manifests").glob("*.parquet")):
        manifest_id = read_summary(path)["manifest_id"]  # refuses what is no manifest
        for batch in files.iter_batches(path, MANIFEST_SCHEMA.names):
            ids = pa.array([manifest_id] * batch.num_rows, pa.string())
            yield pa.RecordBatch.from_arrays([ids, *batch.columns], schema=MANIFEST_ITEMS)
