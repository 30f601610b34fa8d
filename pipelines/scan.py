"""Stage scan: what each source holds now, so that DVC knows which of them changed.

Runs every time: DVC itself cannot hash a folder with undecodable names, broken links or pipes.
"""

from pathlib import Path

from gendata import params
from gendata.ingest import IngestParams, load_sources, scan
from pipelines import PARAMS, main


def run(out: Path) -> None:
    """List every source into ``out``."""
    sources = load_sources(params.read(PARAMS).get("sources") or {}, Path.cwd())
    scan(sources, Path.cwd(), out, params.load(PARAMS, "ingest", IngestParams))


if __name__ == "__main__":
    main(run)
