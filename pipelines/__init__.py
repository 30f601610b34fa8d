"""The DVC stages as scripts: load params, call one function, write. Paths come from dvc.yaml."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from gendata.errors import GendataError

PARAMS = Path("params.yaml")
"""Numbers stand here and nowhere else; DVC runs every stage in the project root."""


def main(stage: Callable[..., None]) -> None:
    """Run a stage with the paths of its command line; an expected error is one line and exit 1."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        stage(*(Path(a) if "/" in a else a for a in sys.argv[1:]))
    except GendataError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
