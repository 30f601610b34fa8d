"""kill -9 anywhere in a run, then run again: the same bytes as an unbroken run, and doctor is content."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from sandbox import write_corpus

from gendata.store.head import read_head

FOLDER = {"kind": "folder", "path": "corpus", "origin": "real"}


@pytest.fixture
def project(sandbox):
    write_corpus(sandbox.root / "corpus")
    sandbox.sources(corpus=FOLDER)
    return sandbox


def _reset(project):
    for name in ("artifacts", ".gendata", ".dvc/tmp", ".dvc/cache"):
        shutil.rmtree(project.root / name, ignore_errors=True)
    (project.root / "dvc.lock").unlink(missing_ok=True)


def _kill_after(project, seconds):
    """Start a run and kill it with all its children."""
    command = [sys.executable, "-m", "gendata", "run"]
    process = subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def _kills(project, count, seed):
    project.gendata("run")
    expected = project.digest()
    _reset(project)
    start = time.monotonic()
    project.gendata("run")
    whole = time.monotonic() - start
    assert project.digest() == expected
    rng, killed = random.Random(seed), 0
    for n in range(count):
        if n % 3 != 2:  # every third kill hits a run over what the last one left
            _reset(project)
        else:
            shutil.rmtree(project.root / "artifacts" / "dedup", ignore_errors=True)
        killed += _kill_after(project, rng.uniform(0.3, whole))
        project.gendata("run")
        assert project.digest() == expected, f"kill {n}"
        findings = project.gendata("doctor", "--repair", "--format", "json")
        assert findings.returncode == 0
    assert killed >= count * 0.6


def test_ten_kills(project):
    _kills(project, 10, seed=1)


@pytest.mark.soak
def test_a_hundred_kills(project):
    _kills(project, 100, seed=2)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.97])
def test_a_dvc_lock_that_was_cut_short_is_written_anew(project, share):
    project.gendata("run")
    expected, lock = project.digest(), project.root / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: int(len(whole) * share)])
    project.gendata("run")
    assert project.digest() == expected
    assert lock.read_bytes() == whole


def test_databases_that_are_missing_are_rebuilt(project):
    project.gendata("run")
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
