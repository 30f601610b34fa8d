"""Stage compare: what is said about the families, measured, and one table over all of them."""

from pathlib import Path

from gendata import files, params
from gendata.compare import CompareParams
from gendata.compare.evidence import Folders
from gendata.compare.trainings import Sections
from gendata.compare.write import Outs, compare
from gendata.evaluate import EvaluateParams
from gendata.tracking import TrackingParams, open_tracker
from pipelines import PARAMS, ROOT, main


def run(artifacts: Path, out: Path, report: Path, shown: Path, metrics: Path) -> None:
    """Measure and write, from what the stages before left; families that left params.yaml are left out."""
    given = params.read(PARAMS)
    families = list(given.get("train") or {})
    folders = Folders(*(artifacts / name for name in ("select", "train", "generate", "evaluate", "store")))
    sections = Sections(
        given.get("train") or {}, given.get("generate") or {}, params.load(PARAMS, "evaluate", EvaluateParams)
    )
    asked, outs = params.load(PARAMS, "compare", CompareParams), Outs(out, report, shown)
    found = compare(families, folders, asked, sections, outs)
    with open_tracker(params.load(PARAMS, "tracking", TrackingParams), ROOT, "compare") as tracker:
        tracker.document("comparison.md", found["markdown"])
    rows = {row["family"]: row for row in found["families"]}
    files.write_json(metrics, {**rows, "verdicts": found["verdicts"]})


if __name__ == "__main__":
    main(run)
