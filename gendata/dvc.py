"""DVC as a child process: quiet, offline, and back on its feet after a kill."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gendata import files
from gendata.errors import ProjectError

WAIT_SECONDS = 600.0
"""How long to wait for another run in the same project, before giving up with DVC's message."""

_BUSY = ("is being blocked by", "is busy", "Unable to acquire lock")

_BROKEN_LOCK = re.compile(r"dvc\.lock.*(validation failed|corrupted|invalid)")

_NOISE = (
    "> ",
    "WARNING: 'artifacts/",  # a stage without rows has an empty folder
    "Updating lock file",
    "Generating lock file",
    "Use `dvc push`",
    "To track the changes",
    "git add",
    "dvc config core.autostage",
    "To enable auto",
    "Data and pipelines are up to date",
)


def environment() -> dict[str, str]:
    """This process's environment for DVC and its stages: this Python first, quiet, offline, and large blocks kept.

    Tensors of some megabytes come and go in every step of a model. glibc gives what is above 128 kB back to the kernel
    at once, which has to fill the next with zeros: a tenth of the time of embedding and training (see mallopt(3)).
    """
    env = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    env |= {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return env | dict(os.environ) | {"PATH": path, "PYTHONUNBUFFERED": "1"}


def repro(root: Path, args: list[str], say: Callable[[str], None]) -> list[str]:
    """``dvc repro`` with these arguments; the names of the stages that ran.

    ``say`` gets each line worth reading. Waits while another run is at work in the project.
    Raises ProjectError with the stage's own error if one fails.
    """
    end, told = time.monotonic() + WAIT_SECONDS, False
    while True:
        _forget_the_dead(root / ".dvc" / "tmp" / "rwlock")
        ran, error = _repro(root, args, say)
        if error is None:
            return ran
        if _BROKEN_LOCK.search(error):
            kept = _set_aside(root / "dvc.lock")
            say(f"dvc.lock cannot be read: it is kept as {kept} and written anew, every stage is looked at again")
            continue
        if not any(text in error for text in _BUSY) or time.monotonic() > end:
            raise ProjectError(error)
        if not told:
            say("another run is at work in this project: waiting for it")
            told = True
        time.sleep(1)


def repro_side_by_side(root: Path, lanes: Sequence[Sequence[str]], jobs: int, say: Callable[[str], None]) -> list[str]:
    """Bring each lane of stages up to date, one stage after the other, ``jobs`` lanes at a time; those that ran.

    What a stage depends on outside its lane must be up to date. DVC lets go of its lock while a stage works. Where a
    stage fails, lanes at work are finished, no other is begun, and ProjectError has the first error.
    """
    ran, failed = list[str](), list[str]()

    def follow(lane: Sequence[str]) -> None:
        if not failed:
            done, error = _repro(root, ["--single-item", *lane], say)
            ran.extend(done)
            failed.extend([error] if error else [])

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(follow, lanes))
    if failed:
        raise ProjectError(failed[0])
    return ran


def _set_aside(lock: Path) -> str:
    """Move a lock that was cut short by a kill, or holds a merge conflict, out of DVC's way."""
    kept = lock.parent / files.WORK / "dvc.lock.broken"
    kept.parent.mkdir(exist_ok=True)
    lock.replace(kept)
    return kept.relative_to(lock.parent).as_posix()


def _repro(root: Path, args: list[str], say: Callable[[str], None]) -> tuple[list[str], str | None]:
    ran: list[str] = []
    errors: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *args],
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in map(str.rstrip, process.stdout or ()):
            if line.startswith("Running stage '"):
                ran.append(line.split("'")[1])
                say(f"running {ran[-1]}")
            elif line.startswith(("ERROR: ", "error: ")):
                errors.append(line.split(": ", 1)[1])
            elif _BROKEN_LOCK.search(line):
                errors.append(line)
            elif line and not line.lstrip().startswith(_NOISE) and "didn't change, skipping" not in line:
                say(line)
    if process.returncode == 0:
        return ran, None
    return ran, errors[0] if errors else f"dvc repro ended with exit code {process.returncode}"


def status(root: Path) -> dict[str, Any]:
    """``dvc status`` as DVC gives it: stage to a list of reasons. Raises ProjectError."""
    return dict(json.loads(_ask(root, "status", "--json")))


def cache(root: Path) -> Path:
    """The folder of DVC's cache. Raises ProjectError."""
    return Path(_ask(root, "cache", "dir").strip())


def _ask(root: Path, *args: str) -> str:
    """What a command of DVC prints. Raises ProjectError with DVC's own last line if it fails."""
    command = [sys.executable, "-m", "dvc", *args]
    result = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stderr.strip().splitlines() or [f"dvc {args[0]} failed"]
        raise ProjectError(said[-1].removeprefix("ERROR: "))
    return result.stdout


def _forget_the_dead(path: Path) -> None:
    """Remove DVC's file of readers and writers if none of them lives.

    DVC itself takes a zombie for alive, and stops at a file that was killed half-written.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        held = {}
    holders = [*held.get("write", {}).values(), *(info for infos in held.get("read", {}).values() for info in infos)]
    if not any(_lives(int(info["pid"])) for info in holders):
        path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
