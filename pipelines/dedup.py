"""Stage dedup: which item stays, which go and why."""

from pathlib import Path

from gendata import files, params
from gendata.dedup import DedupParams, dedup
from gendata.dedup.cache import SketchCache
from gendata.dedup.report import report
from gendata.ingest import IngestParams
from gendata.references import readers
from pipelines import PARAMS, main


def run(ingested: Path, listings: Path, out: Path, figures: Path, page: Path, metrics: Path) -> None:
    """Decide over the items of all sources, against the references, and report on it."""
    sources = {name: source.get("dedup", True) for name, source in params.read(PARAMS)["sources"].items()}
    chosen, limits = params.load(PARAMS, "dedup", DedupParams), params.load(PARAMS, "ingest", IngestParams)
    references = readers(chosen.against, Path.cwd(), listings, limits)
    cache = SketchCache(files.WORK / "cache" / "dedup")
    summary = dedup(ingested, sources, out, chosen, references, cache)
    cache.drop_unused()
    report(ingested, out, sources, summary, figures, page)
    files.write_json(metrics, summary)


if __name__ == "__main__":
    main(run)
