"""The DVC stages as scripts: load params, call one function, write. Paths come from dvc.yaml."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from gendata import files
from gendata.errors import REFUSED, GendataError

PARAMS = Path("params.yaml")
"""Numbers stand here and nowhere else; DVC runs every stage in the project root."""

ROOT = Path()

STATUS = "skipped.json"
"""In the out of a stage that could not do its work: why. Its readers are skipped too."""


def main(stage: Callable[..., None]) -> None:
    """Run a stage with the paths of its command line; an expected error is one line and exit 1."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        stage(*(Path(a) if "/" in a else a for a in sys.argv[1:]))
    except GendataError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        sys.stderr.write(f"error: {error.filename or 'disk'}: {error.strerror}\n")
        raise SystemExit(1) from None


def skip(out: Path, metrics: Path, reason: str) -> None:
    """An out that holds nothing but the reason, and metrics that say so."""
    with files.output(out) as work:
        files.write_json(work / STATUS, {"reason": reason})
    files.write_json(metrics, {"status": "skipped", "reason": reason})
    sys.stderr.write(f"{metrics.parent.name}@{metrics.stem} skipped: {reason}\n")  # as DVC names the stage


def skipped(folder: Path) -> str | None:
    """Why the stage that writes this folder was skipped, None if it was not."""
    path = folder / STATUS
    return str(files.read_json(path)["reason"]) if path.is_file() else None
