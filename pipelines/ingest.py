"""Stage ingest: the units of one source to items and rejects."""

from pathlib import Path

from gendata import files, params
from gendata.ingest import IngestParams, ingest, load_sources
from pipelines import PARAMS, main


def run(name: str, listing: Path, out: Path, metrics: Path) -> None:
    """Ingest the source ``name`` as ``listing`` lists it."""
    source = load_sources(params.read(PARAMS).get("sources") or {}, Path.cwd())[name]
    limits = params.load(PARAMS, "ingest", IngestParams)
    files.write_json(metrics, ingest(name, source, Path.cwd(), listing, out, limits))


if __name__ == "__main__":
    main(run)
