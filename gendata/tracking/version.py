"""Which version of the data a run saw, as its records tell: the commit, and the digest of dvc.lock.

Cards do not hold it: a commit that changes no data would make another checkpoint of equal weights.
"""

import subprocess
from contextlib import suppress
from pathlib import Path

from gendata import files

_PATIENCE = 10
"""Seconds that git may take."""


def data_version(root: Path) -> dict[str, str]:
    """``git_commit`` and ``dvc_lock`` (sha256) of a project; without what is not there.

    Between commits the second tells what the first cannot. DVC writes dvc.lock after each stage, so while a
    training runs it names the data that this one reads.
    """
    found = {}
    with suppress(OSError, subprocess.SubprocessError):  # no git, no repository, no commit
        command = ["git", "-C", str(root), "rev-parse", "--verify", "HEAD"]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_PATIENCE)
        found["git_commit"] = told.stdout.strip()
    with suppress(OSError):
        found["dvc_lock"] = files.sha256(root / "dvc.lock")
    return found
