"""Functions that may crash, hang, write to stderr or eat memory, in processes of their own: parsers of any file.

A process answers many calls. What it does not survive costs the call that killed it alone: a call that dies in a
process that others used before is tried once more in a fresh one, so that its outcome depends on nothing else.
"""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Literal, cast

_CALLS = 1000
"""After which a process is replaced, so that what a parser leaks does not add up."""

_WALL = 10
"""Seconds of the clock per second of processor time that a call may take: the machine may be busy."""

_OUT_OF_MEMORY = 113
"""Exit status; one that no program is likely to choose."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one call: ``seconds`` of processor time, and ``memory`` in bytes of its process in all (None: no limit)."""

    seconds: int
    memory: int | None = None


class CrashedError(Exception):
    """A call did not end well; ``cause`` says whether by its limits, and the message how."""

    def __init__(self, cause: Literal["timeout", "memory", "crash"], message: str) -> None:
        super().__init__(message)
        self.cause = cause


class Apart:
    """A function of bytes, in as many processes as threads call it at once.

    Its other arguments and its value are as JSON holds them; an error of Python in it is a bug and raised as
    RuntimeError.
    """

    def __init__(self, fn: Callable[..., Any]) -> None:
        """``fn`` is of the top level of its module."""
        self._name = f"{fn.__module__}:{fn.__name__}"
        self._idle: list[_Child] = []  # each is used by one thread at a time
        weakref.finalize(self, _close, self._idle)

    def __call__(self, data: bytes, *args: Any, limits: Limits) -> Any:
        """The value of the function. Raises CrashedError."""
        try:
            used = self._idle.pop()
        except IndexError:
            return self._ask(_Child(self._name), data, args, limits)
        try:
            return self._ask(used, data, args, limits)
        except CrashedError as error:
            if error.cause == "timeout":  # processor time is of this call alone
                raise
        return self._ask(_Child(self._name), data, args, limits)

    def _ask(self, child: "_Child", data: bytes, args: tuple[Any, ...], limits: Limits) -> Any:
        answer = child.ask(data, args, limits)
        if "raised" in answer:
            child.close()
            raise RuntimeError(answer["raised"])
        if child.calls < _CALLS:
            self._idle.append(child)
        else:
            child.close()
        return answer["value"]

    def close(self) -> None:
        """End the processes that wait for calls."""
        _close(self._idle)


def _close(idle: "list[_Child]") -> None:
    while idle:
        idle.pop().close()


class _Child:
    """A process, and how many calls it has had."""

    def __init__(self, name: str) -> None:
        self.calls = 0
        self.watched = Watched(start(f"from {__name__} import serve; serve({name!r})", subprocess.PIPE))

    def ask(self, data: bytes, args: tuple[Any, ...], limits: Limits) -> dict[str, Any]:
        """The answer. Raises CrashedError where there is none; the process is dead then."""
        self.calls += 1
        with self.watched.at_most(limits) as process:
            with contextlib.suppress(BrokenPipeError):
                header = json.dumps([len(data), limits.seconds, limits.memory, *args]).encode()
                pipe(process.stdin).write(header + b"\n" + data)
                pipe(process.stdin).flush()
            line = pipe(process.stdout).readline()
        if not line.endswith(b"\n"):
            raise self.watched.death(limits)
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self.watched.close()


class Watched:
    """A process that answers within its limits, or is dead."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process, self._late = process, False

    @contextlib.contextmanager
    def at_most(self, limits: Limits) -> "Iterator[subprocess.Popen[bytes]]":
        """The process; it is killed where what is done with it takes far longer than its processor time may."""
        timer = threading.Timer(_WALL * limits.seconds, self._stop)
        timer.daemon = True  # an interrupt before the try would have the program wait for it
        try:
            timer.start()
            yield self.process
        finally:
            timer.cancel()

    def _stop(self) -> None:
        self._late = True
        self.process.kill()

    def death(self, limits: Limits) -> CrashedError:
        """Why it is dead."""
        status = self.process.wait()
        self.close()
        if self._late or status == -signal.SIGXCPU:
            return CrashedError("timeout", f"it took more than {limits.seconds} s")
        if status == _OUT_OF_MEMORY:
            return CrashedError("memory", f"it needs more than {limits.memory} bytes of memory")
        ended = f"by signal {-status}" if status < 0 else f"with status {status}"
        return CrashedError("crash", f"its process ended {ended}")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        pipe(self.process.stdout).close()
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def start(code: str, stdin: int) -> "subprocess.Popen[bytes]":
    """A process of Python; what it writes to stderr is lost."""
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Arrow's own allocator reserves a gigabyte at once, which the limit counts as used
        # and so are the stacks of a thread per core
        env={**os.environ, "PYTHONPATH": path, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "2"},
        process_group=0,  # Ctrl-C reaches the parent alone, whose end closes the pipe
    )


def pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    """One that is there."""
    return cast(IO[bytes], pipe)


@contextlib.contextmanager
def answering() -> Iterator[IO[bytes]]:
    """In the process: what was its stdout, for answers, while a library's output goes to stderr.

    At an end for want of memory the parent is told so.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        yield answers
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)  # at once: there may be no memory left to clean up with


def serve(name: str) -> None:
    """What the process does: a line and bytes from stdin, a line to what was stdout, until stdin ends."""
    with answering() as answers:
        _serve(name, answers)


def _serve(name: str, answers: IO[bytes]) -> None:
    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    sys.excepthook = lambda _, error, __: say({"raised": "".join(traceback.format_exception(error))})
    module, _, function = name.partition(":")
    fn = getattr(import_module(module), function)
    while line := sys.stdin.buffer.readline():
        size, seconds, memory, *args = json.loads(line)
        bound(Limits(seconds, memory))
        data = sys.stdin.buffer.read(size)
        if len(data) < size:
            return
        say({"value": fn(data, *args)})


def bound(limits: Limits) -> None:
    """Bound the memory of this process, and its processor time from here on; the parent is told by a signal."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    ours = [(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + limits.seconds)]
    if limits.memory is not None:
        ours.append((resource.RLIMIT_DATA, limits.memory))
    for what, most in ours:
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
