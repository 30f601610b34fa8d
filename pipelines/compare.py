"""Stage compare: one table over all families."""

from pathlib import Path

from gendata import files, params
from gendata.evaluate.compare import compare
from pipelines import PARAMS, main


def run(trained: Path, evaluated: Path, out: Path, metrics: Path) -> None:
    """Write the table; families that are not in params.yaml any more are left out."""
    families = list(params.read(PARAMS).get("train") or {})
    files.write_json(metrics, {row["family"]: row for row in compare(families, trained, evaluated, out)})


if __name__ == "__main__":
    main(run)
