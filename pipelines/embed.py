"""Stage embed: vectors of passages and images, computed or out of tables."""

from pathlib import Path

from gendata import files, params
from gendata.embed import CACHE, EmbedParams, embed
from gendata.ingest import IngestParams
from gendata.ingest.brought import Vectors, bring
from pipelines import PARAMS, ROOT, main


def run(ingested: Path, decisions: Path, out: Path, metrics: Path) -> None:
    """Embed the kept items of all sources."""
    sources = list(params.read(PARAMS)["sources"])
    how, limits = params.load(PARAMS, "embed", EmbedParams), params.load(PARAMS, "ingest", IngestParams)
    about = ROOT, (ingested, decisions), sources, limits
    with (
        bring(how.image.tables, Vectors("image"), *about) as (images, of_images),
        bring(how.text.tables, Vectors("text"), *about) as (texts, of_texts),
    ):
        summary = embed(ingested, decisions, sources, out, how, CACHE, (images, texts))
    files.write_json(metrics, {**summary, "tables": of_images | of_texts})


if __name__ == "__main__":
    main(run)
