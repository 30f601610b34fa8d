"""Stage train: a checkpoint of a family, trained on its manifest."""

import time
from pathlib import Path

from gendata import files, params
from gendata.models import load_config
from gendata.records.ledger import Ledger
from gendata.records.manifest import read_manifest
from gendata.select.contents import Contents
from gendata.store import INPUTS
from gendata.store.head import open_stores
from gendata.tracking import TrackingParams, open_tracker
from gendata.tracking.version import data_version
from gendata.train import train
from gendata.train.machine import is_first
from pipelines import PARAMS, ROOT, main, skip, skipped


def run(family: str, selected: Path, stores: Path, out: Path, metrics: Path) -> None:
    """Train; the content of the manifest's rows comes from the stores."""
    if reason := skipped(selected):
        skip(out, metrics, reason)
        return
    config = load_config(family, params.read(PARAMS))
    manifest = read_manifest(selected / "manifest.parquet")
    contents = Contents(manifest, open_stores(stores, INPUTS))
    tracking = params.load(PARAMS, "tracking", TrackingParams) if is_first() else TrackingParams(to="none")
    started = time.monotonic()
    with open_tracker(tracking, ROOT, family) as tracker:
        card = train(family, contents, config, out, tracker)
    if not card:
        return
    ledger = Ledger(ROOT)
    ledger.keep_manifest(manifest)
    ledger.keep_checkpoint(card)
    run = {"family": family, "run_id": tracker.run_id, "checkpoint_id": card["checkpoint_id"]}
    ledger.keep_run({**run, **data_version(ROOT), "seconds": round(time.monotonic() - started, 1)})
    files.write_json(metrics, {"status": "done", "checkpoint_id": card["checkpoint_id"], **card["figures"]})


if __name__ == "__main__":
    main(run)
