"""Stage dedup: which item stays, which go and why."""

from pathlib import Path

from gendata import files, params
from gendata.dedup import DedupParams, dedup
from pipelines import PARAMS, main


def run(ingested: Path, out: Path, metrics: Path) -> None:
    """Decide over the items of all sources."""
    sources = {name: source.get("dedup", True) for name, source in params.read(PARAMS)["sources"].items()}
    files.write_json(metrics, dedup(ingested, sources, out, params.load(PARAMS, "dedup", DedupParams)))


if __name__ == "__main__":
    main(run)
