"""Stage scan: what each source holds now, so that DVC knows which of them changed.

Runs every time: DVC itself cannot hash a folder with undecodable names, broken links or pipes.
"""

from pathlib import Path

from gendata import params
from gendata.dedup import DedupParams
from gendata.ingest import IngestParams, load_sources, scan
from gendata.ingest.remote import forget
from gendata.references import scan_references
from gendata.template import write_lock
from pipelines import PARAMS, ROOT, main


def run(out: Path) -> None:
    """List every source into ``out``, and every reference of dedup; digest the code of all stages."""
    write_lock(ROOT)
    sources = load_sources(params.read(PARAMS).get("sources") or {}, Path.cwd())
    limits = params.load(PARAMS, "ingest", IngestParams)
    forget(sources, Path.cwd())
    scan(sources, Path.cwd(), out, limits)
    scan_references(params.load(PARAMS, "dedup", DedupParams).against, Path.cwd(), out / "against", limits)


if __name__ == "__main__":
    main(run)
