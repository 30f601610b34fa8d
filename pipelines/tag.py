"""Stage tag: language, size, quality and split of every kept item."""

from pathlib import Path

from gendata import files, params
from gendata.tag import TagParams, tag
from pipelines import PARAMS, main


def run(ingested: Path, decisions: Path, out: Path, metrics: Path) -> None:
    """Tag the kept items of all sources."""
    sources = list(params.read(PARAMS)["sources"])
    files.write_json(metrics, tag(ingested, decisions, sources, out, params.load(PARAMS, "tag", TagParams)))


if __name__ == "__main__":
    main(run)
