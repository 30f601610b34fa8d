"""Seconds of cold starts: a whole process each, from the shell's point of view, beside their budgets.

``python -m benchmarks.cold [PROJECT]``. The project must be built; its pages are warm after the first
run, which is not counted. Peak memory is that of the largest process of a command: it, or its child.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 5
COMMANDS = (
    (("--help",), 0.15),
    (("sql", "select count(*) from items"), 1.5),
    (("search", "open a file"), 3.5),
)
"""Arguments of gendata and their budget in seconds."""


def once(args: tuple[str, ...], project: Path) -> tuple[float, float]:
    """Seconds and peak MiB of one process. Exits if it fails."""
    command = [sys.executable, "-m", "gendata", *args]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # getrusage would give the peak of all children so far
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"gendata {' '.join(args)} failed in {project}")
    return seconds, usage.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main() -> None:
    """Prints a line per command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("project", nargs="?", type=Path, default=Path())
    project = parser.parse_args().project
    print(f"{'command':<42} {'median s':>8} {'min':>6} {'max':>6} {'budget':>6} {'peak MiB':>8}")
    for args, budget in COMMANDS:
        once(args, project)
        seconds, peaks = zip(*(once(args, project) for _ in range(ROUNDS)), strict=True)
        median = statistics.median(seconds)
        line = f"gendata {' '.join(args):<34} {median:8.2f} {min(seconds):6.2f} {max(seconds):6.2f} {budget:6.2f}"
        print(f"{line} {max(peaks):8.0f}{'' if median <= budget else '  over budget'}")


if __name__ == "__main__":
    main()
