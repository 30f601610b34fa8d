"""Cost of an update: one per cent more texts, against the whole run ingest..store that came before.

``python -m benchmarks.update [--texts 100000] [--keep FOLDER]``. Each text joins a piece of three books with another,
so that no two are nearly equal; they lie in tables of 1,000 rows. Everything is done by ``gendata run`` in a project
of its own, as a user does it, with nothing cached.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.corpus import PASSAGE, passages, project_of

ROWS = 1000
"""Rows of a file."""


def write(folder: Path, start: int, stop: int) -> None:
    """Texts of these numbers, as tables."""
    folder.mkdir(exist_ok=True)
    pieces = passages(PASSAGE // 2)
    for first in range(start, stop, ROWS):
        pairs = (divmod(number, len(pieces)) for number in range(first, min(first + ROWS, stop)))
        rows = (
            json.dumps({"text": f"{pieces[i]} {pieces[(i + 1 + n) * 7919 % len(pieces)]}"}) + "\n" for n, i in pairs
        )
        (folder / f"{first:07d}.jsonl").write_text("".join(rows), encoding="utf-8")


def run(root: Path, label: str) -> float:
    """Seconds of ``gendata run``; prints those of each stage."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONUNBUFFERED": "1"}
    command, started = [sys.executable, "-m", "gendata", "run"], time.perf_counter()
    stages: list[tuple[str, float]] = []
    with subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            if line.startswith("running "):
                stages.append((line.split()[1], time.perf_counter()))
            elif "embedded" in line or "error" in line:
                print(f"  {line.strip()}")
    took = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"gendata run ended with {process.returncode}")
    ends = [at for _, at in stages[1:]] + [started + took]
    parts = ", ".join(f"{name} {end - at:.1f}" for (name, at), end in zip(stages, ends, strict=True))
    print(f"{label}: {took:.1f} s ({parts})", flush=True)
    return took


def main() -> None:
    """Print both runs and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="the project's folder, which stays")
    asked = parser.parse_args()
    count = asked.texts
    if asked.keep and asked.keep.exists():
        parser.error(f"{asked.keep} is there: a whole run starts from nothing")
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as folder:
        root = asked.keep or Path(folder) / "project"
        project_of(root, "books: {kind: table, path: books, origin: real, map: {text: text}}")
        write(root / "books", 0, count)
        whole = run(root, f"{count} texts")
        write(root / "books", count, count + count // 100)
        more = run(root, f"{count // 100} more")
        print(f"the update costs {more / whole:.3f} of the whole run (target 0.10)")


if __name__ == "__main__":
    main()
