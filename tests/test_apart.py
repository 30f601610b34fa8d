"""Functions that crash, hang or eat memory cost the call alone."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import unruly

from gendata import apart as module
from gendata.apart import Apart, CrashedError, Limits


@pytest.fixture
def apart(monkeypatch):
    """The functions of ``unruly``, each as an Apart."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    made = []

    def make(fn, seconds=60, memory=None):
        made.append(one := Apart(fn))
        return lambda data, *args: one(data, *args, limits=Limits(seconds, memory))

    yield make
    for one in made:
        one.close()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_function_in_a_process_of_its_own_is_quiet(apart, capfd):
    fn = apart(unruly.length)
    (n, child, rest), again = fn(bytes(3_000_000), {"a": "ü"}), fn(b"")
    assert (n, rest) == (3_000_000, {"a": "ü"})
    assert again == [0, child]  # the process stays
    assert child != os.getpid()
    assert capfd.readouterr() == ("", "")


def test_as_many_processes_as_threads_until_it_is_closed():
    fn = Apart(unruly.length)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with ThreadPoolExecutor(2) as pool:
            children = {pid for _, pid in pool.map(lambda data: fn(data, limits=Limits(60)), [b"a"] * 40)}
    assert 1 <= len(children) <= 2
    fn.close()
    assert not any(map(is_alive, children))


def test_no_process_outlives_the_program(tmp_path):
    code = (
        "import unruly; from gendata.apart import Apart, Limits; print(Apart(unruly.length)(b'', limits=Limits(60))[1])"
    )
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert not is_alive(int(done.stdout))


@pytest.mark.parametrize("data", [b"x", b"x" * 10_000_000], ids=["short", "long"])
@pytest.mark.parametrize("fn", [unruly.crash, unruly.leave])
def test_a_crash_is_told_and_the_next_call_has_a_new_process(apart, fn, data):
    crashing = apart(fn)
    for _ in range(2):
        with pytest.raises(CrashedError) as caught:
            crashing(data)
        assert caught.value.cause == "crash"
    sometimes = apart(unruly.crash_on_x)
    first = sometimes(b"")
    with pytest.raises(CrashedError, match="signal 11"):
        sometimes(b"x")
    assert sometimes(b"")[1] != first[1]


@pytest.mark.parametrize("fn", [unruly.hang, unruly.spin])
def test_a_call_that_takes_too_long_is_stopped(apart, fn):
    start = time.monotonic()
    with pytest.raises(CrashedError, match="more than 1 s") as caught:
        apart(fn, 1)(b"")
    assert caught.value.cause == "timeout"
    assert time.monotonic() - start < 60


def test_a_call_that_needs_too_much_memory_is_stopped_and_the_next_is_not(apart):
    fn = apart(unruly.eat_on_x, memory=256 << 20)
    with pytest.raises(CrashedError, match="more than 268435456 bytes") as caught:
        fn(b"x")
    assert caught.value.cause == "memory"
    assert fn(b"ab")[0] == 2


def test_a_process_that_was_killed_while_it_waited_costs_no_call(apart):
    fn = apart(unruly.length)
    os.kill(fn(b"")[1], 9)
    assert fn(b"ab")[0] == 2


def test_processes_are_replaced_in_time(apart, monkeypatch):
    monkeypatch.setattr(module, "_CALLS", 3)
    fn = apart(unruly.length)
    children = [fn(b"")[1] for _ in range(7)]
    assert [len(set(children[i : i + 3])) for i in (0, 3)] == [1, 1]
    assert len(set(children)) == 3
    assert not is_alive(children[0])


def test_a_bug_is_no_crash(apart):
    with pytest.raises(RuntimeError, match="ValueError: a bug"):
        apart(unruly.fail)(b"")
