"""map_shards: in order, over processes, errors as they were. Apart: processes that may crash."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import unruly

from gendata import engine


def square(x, pause=0.0):
    time.sleep(pause)
    return x * x


def process(_):
    time.sleep(0.2)
    return os.getpid()


def fail_on_three(x):
    if x == 3:
        raise ValueError("three")
    return x


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    jobs = [(3, 0.2), (2, 0.0), (1, 0.0)]
    assert engine.map_shards(square, jobs, label="t", workers=workers) == [9, 4, 1]


def test_work_is_spread_over_processes():
    assert os.getpid() not in engine.map_shards(process, [(i,) for i in range(4)], label="t", workers=2)
    assert engine.map_shards(process, [(0,)], label="t", workers=2) == [os.getpid()]


def test_no_process_is_started_for_small_files(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    large.write_bytes(bytes(engine.SMALL))
    assert engine.map_shards(process, [(small,), (small,)], label="t", workers=2) == [os.getpid()] * 2
    assert os.getpid() not in engine.map_shards(process, [(small,), (large,)], label="t", workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_error_of_a_job_is_raised_as_it_was(workers):
    with pytest.raises(ValueError, match="three"):
        engine.map_shards(fail_on_three, [(i,) for i in range(6)], label="t", workers=workers)


def test_progress_is_silent_when_quick_and_speaks_when_slow(capsys):
    with engine.Progress("quick", 10) as progress:
        progress.add(10)
    assert capsys.readouterr().err == ""
    with engine.Progress("slow", 10, "files", after=0) as progress:
        progress.add(5)
    assert "slow: 5/10 files" in capsys.readouterr().err


def test_what_was_done_before_counts_for_no_rate(capsys, monkeypatch):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr(engine.time, "monotonic", lambda: next(clock))
    with engine.Progress("train", 1000, "steps", after=0, done=900) as progress:
        progress.rate, progress.note = (32, "images"), "loss 0.5"
        progress.add(20)
    assert capsys.readouterr().err == "train: 920/1000 steps, loss 0.5, 64 images/s, 40 s left\n"


@pytest.fixture
def apart(monkeypatch):
    """The functions of ``unruly``, each as an Apart."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    return lambda fn, patience=60: engine.Apart(fn, patience)


def test_a_function_in_a_process_of_its_own_is_quiet(apart, capfd):
    fn = apart(unruly.length)
    (n, child, rest), again = fn(bytes(3_000_000), {"a": "ü"}), fn(b"")
    assert (n, rest) == (3_000_000, {"a": "ü"})
    assert again == [0, child]  # the process stays
    assert child != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_each_thread_has_a_process_that_ends_with_it(apart):
    fn = apart(unruly.length)
    with ThreadPoolExecutor(2) as pool:
        children = {pid for _, pid in pool.map(fn, [b"a"] * 40)}
    assert len(children) <= 2
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("data", [b"x", b"x" * 10_000_000], ids=["short", "long"])
@pytest.mark.parametrize("fn", [unruly.crash, unruly.leave])
def test_a_crash_is_told_and_the_next_call_has_a_new_process(apart, fn, data):
    crashing = apart(fn)
    for _ in range(2):
        with pytest.raises(engine.CrashedError):
            crashing(data)
    sometimes = apart(unruly.crash_on_x)
    first = sometimes(b"")
    with pytest.raises(engine.CrashedError, match="signal 11"):
        sometimes(b"x")
    assert sometimes(b"")[1] != first[1]


def test_a_call_that_takes_too_long_is_stopped(apart):
    start = time.monotonic()
    with pytest.raises(engine.CrashedError, match="after 1 s"):
        apart(unruly.hang, 1)(b"")
    assert time.monotonic() - start < 30


def test_a_bug_is_no_crash(apart):
    with pytest.raises(RuntimeError, match="ValueError: a bug"):
        apart(unruly.fail)(b"")
