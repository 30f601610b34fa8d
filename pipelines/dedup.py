"""Stage dedup: which item stays, which go and why."""

from pathlib import Path

from gendata import files, params
from gendata.dedup import DedupParams, dedup
from gendata.dedup.report import report
from pipelines import PARAMS, main


def run(ingested: Path, out: Path, figures: Path, page: Path, metrics: Path) -> None:
    """Decide over the items of all sources, and report on it."""
    sources = {name: source.get("dedup", True) for name, source in params.read(PARAMS)["sources"].items()}
    summary = dedup(ingested, sources, out, params.load(PARAMS, "dedup", DedupParams))
    report(ingested, out, sources, summary, figures, page)
    files.write_json(metrics, summary)


if __name__ == "__main__":
    main(run)
