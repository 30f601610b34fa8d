"""Stage embed: vectors of passages and images."""

from pathlib import Path

from gendata import files, params
from gendata.embed import EmbedParams, embed
from pipelines import PARAMS, main


def run(ingested: Path, decisions: Path, out: Path, metrics: Path) -> None:
    """Embed the kept items of all sources."""
    sources = list(params.read(PARAMS)["sources"])
    files.write_json(metrics, embed(ingested, decisions, sources, out, params.load(PARAMS, "embed", EmbedParams)))


if __name__ == "__main__":
    main(run)
