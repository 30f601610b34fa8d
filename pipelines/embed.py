"""Stage embed: vectors of passages and images, computed or out of tables."""

from pathlib import Path

from gendata import files, params
from gendata.embed import CACHE, EmbedParams, embed
from gendata.ingest import IngestParams
from gendata.ingest.brought import ImageVectors, bring
from pipelines import PARAMS, ROOT, main


def run(ingested: Path, decisions: Path, out: Path, metrics: Path) -> None:
    """Embed the kept items of all sources."""
    sources = list(params.read(PARAMS)["sources"])
    how, limits = params.load(PARAMS, "embed", EmbedParams), params.load(PARAMS, "ingest", IngestParams)
    with bring(how.image.tables, ImageVectors(), ROOT, (ingested, decisions), sources, limits) as (brought, tables):
        summary = embed(ingested, decisions, sources, out, how, CACHE, brought)
    files.write_json(metrics, {**summary, "tables": tables})


if __name__ == "__main__":
    main(run)
