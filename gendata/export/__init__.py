"""Export: a selection as a dataset that other tools read, with its manifest and a card beside it.

Every format writes the origin of each item. Rows that are not real are refused unless asked for.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gendata.export.choice import Choice
    from gendata.records.ledger import Ledger
    from gendata.records.manifest import Manifest
    from gendata.search.sql import Limits
    from gendata.store.head import Store

FORMATS = {
    "parquet": "gendata.export.parquet",
    "jsonl": "gendata.export.jsonl",
    "csv": "gendata.export.csv",
    "imagefolder": "gendata.export.imagefolder",
    "webdataset": "gendata.export.webdataset",
    "hf": "gendata.export.hf",
}
"""Format -> module, with what ``gendata.export.writer.Format`` asks for."""


def export(
    dest: Path,
    format_: str,
    choice: "Choice",
    stores: "Mapping[str, Store]",
    ledger: "Ledger",
    limits: "Limits | None" = None,
) -> dict[str, Any]:
    """Write what was chosen into the folder ``dest``, whole or not at all; the same choice gives the same bytes.

    Beside the data stand ``manifest.parquet`` and ``README.md``, the dataset card.

    Args:
        dest: absent or empty.
        format_: one of FORMATS.
        choice: what to export.
        stores: of the project.
        ledger: keeps the manifest, and the record of the export.
        limits: of the sandbox in which the condition runs.

    Returns:
        The record: format, manifest_id, rows, left_out, files, bytes, sha256 over all files, export_id.

    Raises:
        OriginError: rows are not real, and were not asked for.
        QueryError: ``dest`` is taken, the format is unknown, the choice is not valid or holds nothing to export.
        StoreError: content in the store is not what its id says.
    """
    from gendata.errors import QueryError
    from gendata.export.choice import choose
    from gendata.export.folder import digest, whole
    from gendata.store import INPUTS

    if format_ not in FORMATS:
        raise QueryError(f"format {format_!r} is none of {', '.join(FORMATS)}")
    module = import_module(FORMATS[format_])
    if "generated" not in choice.allowed:  # what our own models made is generated
        stores = {name: store for name, store in stores.items() if name in INPUTS}
    with whole(dest) as part:
        manifest = choose(choice, module.MODALITY, stores, ledger, limits)
        _write(part, module, manifest, stores)
        record = {
            "format": format_,
            "manifest_id": manifest.id,
            "rows": manifest.rows.num_rows,
            "left_out": dict(manifest.selection.get("left_out", {})),
            **digest(part),
        }
        ledger.keep_manifest(manifest)
    export_id = ledger.keep_export(record)  # once it is there: a kill before leaves no record of it
    return record | {"export_id": export_id}


def _write(folder: Path, module: Any, manifest: "Manifest", stores: "Mapping[str, Store]") -> None:
    import pyarrow.compute as pc

    from gendata.engine import Progress
    from gendata.export.card import dataset_card
    from gendata.export.rows import read_rows
    from gendata.records.manifest import write_manifest
    from gendata.select.contents import Contents

    rows = read_rows(Contents(manifest, stores), stores)
    with Progress("export", manifest.rows.num_rows) as progress, module.Writer(folder) as writer:
        for table in rows:
            for split in sorted(pc.unique(table["split"]).to_pylist()):
                writer.write(split, table.filter(pc.equal(table["split"], split)))
            progress.add(table.num_rows)
    write_manifest(folder / "manifest.parquet", manifest)
    (folder / "README.md").write_text(dataset_card(module, manifest), encoding="utf-8")
