"""Stage scan: what each source holds now, so that DVC knows which of them changed.

Runs every time: DVC itself cannot hash a folder with undecodable names, broken links or pipes.
"""

from pathlib import Path

from gendata import params
from gendata.dedup import DedupParams
from gendata.embed import EmbedParams
from gendata.ingest import IngestParams, journal, load_sources, scan
from gendata.ingest.brought import scan_tables
from gendata.ingest.remote import forget
from gendata.references import scan_references
from gendata.tag import TagParams
from gendata.template import write_lock
from pipelines import PARAMS, ROOT, main


def run(out: Path) -> None:
    """List every source into ``out``, every reference of dedup and every table; digest the code of all stages."""
    write_lock(ROOT)
    sources = load_sources(params.read(PARAMS).get("sources") or {}, Path.cwd())
    against = params.load(PARAMS, "dedup", DedupParams).against
    limits = params.load(PARAMS, "ingest", IngestParams)
    journal.share(Path.cwd())
    journal.drop_all_but([*sources, *against])
    forget(sources, Path.cwd())
    scan(sources, Path.cwd(), out, limits)
    scan_references(against, Path.cwd(), out / "against", limits)
    tags, vectors = params.load(PARAMS, "tag", TagParams).tables, params.load(PARAMS, "embed", EmbedParams)
    scan_tables({"tag": tags}, list(sources), ROOT, out / "tag", limits)
    sections = {"embed.image": vectors.image.tables, "embed.text": vectors.text.tables}
    scan_tables(sections, list(sources), ROOT, out / "embed", limits)


if __name__ == "__main__":
    main(run)
