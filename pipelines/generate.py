"""Stage generate: outputs of a family's checkpoint."""

from pathlib import Path

from gendata import files, params
from gendata.generate import generate, load_generate, write_outputs
from gendata.models.checkpoint import open_checkpoint
from pipelines import PARAMS, main, skip, skipped


def run(family: str, trained: Path, out: Path, metrics: Path) -> None:
    """Write ``out/items/00000.parquet`` and on."""
    if reason := skipped(trained):
        skip(out, metrics, reason)
        return
    given = (params.read(PARAMS).get("generate") or {}).get(family) or {}
    asked = load_generate(family, given, f"params.yaml: generate.{family}")
    checkpoint = open_checkpoint(trained, family)
    with files.output(out) as work:
        counts = write_outputs(work / "items", generate(checkpoint, asked))
    files.write_json(metrics, {"status": "done", "checkpoint_id": checkpoint.id, **counts})


if __name__ == "__main__":
    main(run)
