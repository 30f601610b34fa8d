"""kill -9 anywhere in a run, then run again: the same bytes as an unbroken run, and doctor is content."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from gendata.store.head import read_head

STAGES = ("scan", "ingest@corpus", "dedup", "tag", "embed", "similar", "store")


def _reset(project):
    for name in ("artifacts", ".gendata", ".dvc/tmp", ".dvc/cache"):
        shutil.rmtree(project.root / name, ignore_errors=True)
    (project.root / "dvc.lock").unlink(missing_ok=True)


def _kill_in(project, stage, seconds, *flags):
    """Start a run and kill it with all its children, some time after a stage began; whether it was still at work."""
    command = [sys.executable, "-m", "gendata", "run", *flags]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(command, cwd=project.root, env=project.environment(), **options) as process:
        for line in process.stderr:
            if line.strip() == f"running {stage}":
                time.sleep(seconds)
                break
        at_work = process.poll() is None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return at_work


def _kills(project, count, seed, recover):
    """Kill ``count`` runs; after every ``recover`` of them, which hit what the kill before left, all must be well.

    Returns how many hit a run that was still at work.
    """
    expected = project.digest()
    rng, killed = random.Random(seed), 0
    for n in range(count):
        over = n // recover % 3 == 2  # every third time the kill hits a run over a whole one
        if n % recover == 0 and not over:
            _reset(project)
        killed += _kill_in(project, rng.choice(STAGES), rng.uniform(0, 1.5), *(["--force"] if over else []))
        if n % recover == recover - 1:
            project.gendata("run")
            assert project.digest() == expected, f"kill {n}"
            project.gendata("doctor", "--repair", "--format", "json")
    return killed


def test_ten_kills(project):
    assert _kills(project, 10, seed=1, recover=2) >= 6


@pytest.mark.soak
def test_a_hundred_kills(project):
    assert _kills(project, 100, seed=2, recover=1) >= 60


def test_a_dvc_lock_that_was_cut_short_is_written_anew(project):
    expected, lock = project.digest(), project.root / "dvc.lock"
    whole = lock.read_bytes()
    for share in (0.0, 0.01, 0.5, 0.97):
        lock.write_bytes(whole[: int(len(whole) * share)])
        project.gendata("run")
        assert project.digest() == expected, share
        assert lock.read_bytes() == whole, share


def test_databases_that_are_missing_are_rebuilt(project):
    expected = project.digest()
    shutil.rmtree(project.root / "artifacts/store/real/lance")
    assert project.gendata("status").stdout
    assert "rebuilding" in project.gendata("run").stderr
    store = project.root / "artifacts/store/real"
    (store / read_head(store).catalog).write_bytes(b"junk")
    assert "does not open" in project.gendata("status").stdout
    assert "rebuilding" in project.gendata("run").stderr
    assert project.json("doctor") == []
    assert project.digest() == expected
