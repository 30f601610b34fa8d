"""Stage similar: which items say or show nearly the same as one that stays."""

from pathlib import Path

from gendata import files, params
from gendata.keep import KNOWN
from gendata.similar import SimilarParams, similar
from pipelines import PARAMS, main


def run(ingested: Path, decisions: Path, tags: Path, vectors: Path, encoders: Path, out: Path, metrics: Path) -> None:
    """Compare the kept items of all sources; ``encoders`` are the metrics of stage embed, which name the models."""
    sections = params.read(PARAMS)
    sources = {name: source.get("dedup", True) for name, source in sections["sources"].items()}
    dedup = sections.get("dedup") or {}
    policy = tuple(dedup.get("prefer") or ()), tuple(dedup.get("keep", KNOWN))
    used = files.read_json(encoders)
    joint = "text" in used and "image" in used and used["text"]["model"] == used["image"]["model"]
    how = params.load(PARAMS, "similar", SimilarParams)
    stages = (ingested, decisions, tags, vectors)
    files.write_json(metrics, similar(stages, sources, out, how, policy=policy, joint=joint))


if __name__ == "__main__":
    main(run)
