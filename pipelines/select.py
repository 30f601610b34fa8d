"""Stage select: the training manifest of a family."""

import sys
from pathlib import Path

from gendata import files, params
from gendata.models import needs
from gendata.records.ledger import Ledger
from gendata.records.manifest import write_manifest
from gendata.select import load_select
from gendata.select.selection import left_out, select
from gendata.store import INPUTS
from gendata.store.head import open_stores
from pipelines import PARAMS, ROOT, main, skip


def run(family: str, stores: Path, out: Path, metrics: Path) -> None:
    """Write ``out/manifest.parquet``, or why the family cannot be trained."""
    chosen = load_select(family, params.read(PARAMS))
    manifest, reason = select(f"select.{family}", needs(family), chosen, open_stores(stores, INPUTS))
    if reason:
        skip(out, metrics, reason)
        return
    for line in left_out(manifest):
        sys.stderr.write(f"select@{family}: {line}\n")
    with files.output(out) as work:
        write_manifest(work / "manifest.parquet", manifest)
    Ledger(ROOT).keep_manifest(manifest)
    files.write_json(metrics, {"status": "done", **manifest.summary()})


if __name__ == "__main__":
    main(run)
