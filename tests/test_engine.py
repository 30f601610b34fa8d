"""map_shards: in order, over processes, errors as they were."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from gendata import engine


def square(x, pause=0.0):
    time.sleep(pause)
    return x * x


def process(_):
    time.sleep(0.2)
    return os.getpid()


def after_others(folder, name, others):
    """Leave a file, or wait for so many."""
    while len(list(folder.iterdir())) < others:
        time.sleep(0.01)
    if name:
        (folder / name).touch()
    return name


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


def test_processes_end_with_the_one_that_started_them_also_where_it_is_killed(tmp_path):
    code = (
        "import tests.test_engine as t\n"
        "if __name__ == '__main__':\n"
        "    for pid in t.engine.imap_shards(t.process, [(i,) for i in range(99)], label='t', workers=2):\n"
        "        print(pid, flush=True)\n"
    )
    (tmp_path / "parent.py").write_text(code)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True, env=env
    ) as parent:
        workers = [psutil.Process(pid) for pid in {int(parent.stdout.readline()) for _ in range(4)}]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]


def test_no_process_is_started_for_small_files(tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    large.write_bytes(bytes(engine.SMALL))
    assert engine.map_shards(process, [(small,), (small,)], label="t", workers=2) == [os.getpid()] * 2
    assert os.getpid() not in engine.map_shards(process, [(small,), (large,)], label="t", workers=2)


def test_what_is_done_behind_a_long_job_counts(monkeypatch, tmp_path):
    made = []

    class Seen(engine.Progress):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(engine, "Progress", Seen)
    jobs = [(tmp_path, "", 3), (tmp_path, "a", 0), (tmp_path, "b", 0), (tmp_path, "c", 0)]
    found = engine.imap_shards(after_others, jobs, label="x", workers=2)
    assert next(found) == ""
    assert made[0].done >= 3  # with two that ended before it, and maybe the last
    assert list(found) == ["a", "b", "c"]
    assert made[0].done == 4


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
