"""Stage tag: language, size, quality and split of every kept item, and what tables bring."""

from pathlib import Path

from gendata import files, params
from gendata.ingest import IngestParams
from gendata.ingest.brought import Tags, bring
from gendata.tag import CACHE, TagParams, tag
from pipelines import PARAMS, ROOT, main


def run(ingested: Path, decisions: Path, out: Path, metrics: Path) -> None:
    """Tag the kept items of all sources."""
    sources = list(params.read(PARAMS)["sources"])
    how, limits = params.load(PARAMS, "tag", TagParams), params.load(PARAMS, "ingest", IngestParams)
    with bring(how.tables, Tags(), ROOT, (ingested, decisions), sources, limits) as (brought, tables):
        summary = tag(ingested, decisions, sources, out, how, CACHE, brought)
    files.write_json(metrics, {**summary, "tables": tables})


if __name__ == "__main__":
    main(run)
