"""Stage evaluate: figures of a family's outputs, against held-out real data."""

from pathlib import Path

from gendata import files, params
from gendata.evaluate import EvaluateParams
from gendata.evaluate.scores import write_scores
from gendata.evaluate.stage import evaluate
from gendata.models.checkpoint import open_checkpoint
from gendata.records.manifest import read_manifest
from gendata.select.contents import Contents
from gendata.store import INPUTS
from gendata.store.head import open_stores
from pipelines import PARAMS, main, skip, skipped


def run(family: str, selected: Path, trained: Path, generated: Path, stores: Path, *outs: Path) -> None:
    """Measure; real content comes from the stores, by the manifest. The outs are report, scores and metrics."""
    out, scored, metrics = outs
    if reason := skipped(generated):
        skip(out, metrics, reason)
        with files.output(scored) as work:
            write_scores(work)
        return
    checkpoint, chosen = open_checkpoint(trained, family), params.load(PARAMS, "evaluate", EvaluateParams)
    contents = Contents(read_manifest(selected / "manifest.parquet"), open_stores(stores, INPUTS))
    figures = evaluate(checkpoint, contents, generated / "items", chosen, out, scored)
    files.write_json(metrics, {"status": "done", **figures})


if __name__ == "__main__":
    main(run)
