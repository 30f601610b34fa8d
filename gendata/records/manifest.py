"""Manifests: exactly which rows a training or an export used, and the selection that chose them.

The id is a sha256 over the selection and every row, so a corrected label is a new manifest. A
manifest is one Parquet file; its summary stands in the schema's metadata and is read without the rows.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gendata import files
from gendata.errors import StoreError
from gendata.items import canonical_json

SCHEMA = 1
"""Version of the manifest's layout."""

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("text_sha256", pa.string()),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("license", pa.string()),
    ]
)
"""One row per item. ``text_sha256`` is the digest of its text or caption: a changed caption is a new manifest."""

_META = b"gendata.manifest"
_COUNTED = ("split", "origin", "source", "license", "modality")


@dataclass(frozen=True)
class Manifest:
    """The rows of a selection (MANIFEST_SCHEMA), in the order of the store."""

    id: str
    selection: Mapping[str, Any]
    """What chose the rows: ``where``, ``allow_origins``, and what was left out; canonical JSON values."""
    rows: pa.Table

    @classmethod
    def of(cls, selection: Mapping[str, Any], rows: pa.Table) -> "Manifest":
        """The manifest of these rows, with its id."""
        return cls(_digest(selection, rows), selection, rows.select(MANIFEST_SCHEMA.names).cast(MANIFEST_SCHEMA))

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by split, origin, source, license and modality; an unstated license counts as ``""``."""
        return {name: _count(self.rows[name]) for name in _COUNTED}

    def split(self, name: str) -> pa.Table:
        """The rows of one split."""
        import pyarrow.compute as pc

        return self.rows.filter(pc.equal(self.rows["split"], name))

    def summary(self) -> dict[str, Any]:
        """What the ledger and a model card say of it."""
        return {
            "schema": SCHEMA,
            "manifest_id": self.id,
            "rows": self.rows.num_rows,
            "by": self.counts(),
            "selection": dict(self.selection),
        }


def _count(column: pa.ChunkedArray) -> dict[str, int]:
    import pyarrow.compute as pc

    counted = pc.value_counts(pc.fill_null(column, "")).to_pylist()
    return {entry["values"]: entry["counts"] for entry in sorted(counted, key=lambda entry: entry["values"])}


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest; the same manifest gives the same bytes."""
    schema = MANIFEST_SCHEMA.with_metadata({_META: canonical_json(manifest.summary()).encode()})
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = manifest.rows.combine_chunks().cast(schema)
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3, version="2.6") as writer:
        for start in range(0, rows.num_rows, files.GROUP_ROWS):
            writer.write_table(rows.slice(start, files.GROUP_ROWS))


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check that its rows are those of its id. Raises StoreError."""
    summary = read_summary(path)
    rows = files.read_table(path)
    if not rows.schema.remove_metadata().equals(MANIFEST_SCHEMA):
        raise StoreError(f"{path}: not a manifest of schema {SCHEMA}")
    manifest = Manifest(_digest(summary["selection"], rows), summary["selection"], rows)
    if manifest.id != summary["manifest_id"]:
        raise StoreError(f"{path}: its rows are not those of manifest {summary['manifest_id'][:12]}: it was changed")
    return manifest


def read_summary(path: Path) -> dict[str, Any]:
    """The summary alone, from the file's footer. Raises StoreError."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        summary = json.loads(metadata[_META])
    except FileNotFoundError:
        raise StoreError(f"{path}: no manifest there") from None
    except (pa.ArrowException, OSError, KeyError, ValueError):
        raise StoreError(f"{path}: not a manifest") from None
    if not isinstance(summary, dict) or summary.get("schema") != SCHEMA:
        raise StoreError(f"{path}: not a manifest of schema {SCHEMA}")
    return dict(summary)


def _digest(selection: Mapping[str, Any], rows: pa.Table) -> str:
    digest = hashlib.sha256(canonical_json(selection).encode() + b"\n")
    for line in _lines(rows):
        digest.update(line)
    return digest.hexdigest()


def _lines(rows: pa.Table) -> Iterable[bytes]:
    """``canonical_json`` of every row, a column at a time, which is several times faster."""
    names = sorted(MANIFEST_SCHEMA.names)
    form = "{" + ",".join(f'"{name}":%s' for name in names) + "}\n"
    for batch in rows.select(names).to_batches(max_chunksize=8192):
        columns = ([_json(value) for value in column.to_pylist()] for column in batch.columns)
        for row in zip(*columns, strict=True):
            yield (form % row).encode()


def _json(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)
