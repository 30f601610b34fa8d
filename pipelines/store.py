"""Stage store: everything joined into the stores of real and of other items."""

from pathlib import Path

from gendata import files, params
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.rows import Artifacts
from pipelines import PARAMS, main


def run(ingested: Path, decisions: Path, tags: Path, vectors: Path, similar: Path, out: Path, metrics: Path) -> None:
    """Build the stores; ``out`` holds one folder each, with its store.json."""
    sections = params.read(PARAMS)
    artifacts = Artifacts(ingested, decisions, tags, vectors, tuple(sections["sources"]), similar)
    summary = build(artifacts, sections["sources"], out, params.load(PARAMS, "store", StoreParams))
    files.write_json(metrics, summary)


if __name__ == "__main__":
    main(run)
