"""map_shards: one function over many shards, here on local processes; progress on stderr; a place for what is large.

Apart: a function that may crash, in a process of its own.
"""

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from gendata import files

T = TypeVar("T")
R = TypeVar("R")

_ESTIMABLE = 0.02
"""Share done from which the time left is worth telling."""

SMALL = 256 << 10
"""Bytes of shards below which processes take longer to start than all the work takes."""


@contextlib.contextmanager
def scratch(out: Path) -> Iterator[Path]:
    """A folder for what is too large for memory while ``out`` is made.

    It is gone when the block ends, and emptied first if a kill left it.
    """
    folder = files.WORK / "work" / f"{'-'.join(out.parts[-3:]).replace(os.sep, '')}-scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def drop_unused(cache: Path, used: Collection[Path]) -> None:
    """Remove all of a cache that a finished run did not use."""
    for path in sorted(cache.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in used:
            path.unlink()


class Progress:
    """A count on stderr for work that takes longer than ``after`` seconds: silent before that.

    On a terminal the line is redrawn twice a second; elsewhere a line is added every ten seconds.

    Attributes:
        done: how many are done; what was done before, given at the start, counts for no rate.
        note: shown behind the count.
        rate: what is done with one of the units, and its name: (2048, "tokens") shows tokens per second.
    """

    note = ""
    rate: tuple[int, str] = (1, "")

    def __init__(
        self, label: str, total: int | None = None, unit: str = "items", after: float = 2.0, done: int = 0
    ) -> None:
        self.label, self.total, self.unit, self.after = label, total, unit, after
        self.done = self._before = done
        self._start = time.monotonic()
        self._tty = sys.stderr.isatty()
        self._next = self._start + after
        self._shown = False

    def add(self, n: int = 1) -> None:
        """``n`` more are done."""
        self.done += n
        now = time.monotonic()
        if now >= self._next:
            self._next = now + (0.5 if self._tty else 10.0)
            self._print(now)

    def _print(self, now: float) -> None:
        elapsed = max(now - self._start, 1e-9)
        of = f"/{self.total}" if self.total else ""
        new, todo = self.done - self._before, (self.total or 0) - self._before
        left = f", {elapsed * (todo - new) / new:.0f} s left" if new > _ESTIMABLE * todo > 0 else ""
        size, name = self.rate
        speed = f"{new * size / elapsed:,.0f}{f' {name}' if name else ''}/s"
        line = f"{self.label}: {self.done}{of} {self.unit}{f', {self.note}' if self.note else ''}, {speed}{left}"
        with contextlib.suppress(BrokenPipeError):  # nobody listens: no reason to stop
            sys.stderr.write(f"\r\x1b[K{line}" if self._tty else f"{line}\n")
            sys.stderr.flush()
        self._shown = True

    def close(self) -> None:
        """End the line, if one was shown."""
        if self._shown and self._tty:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_shards(
    fn: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, label: str, workers: int = 0, unit: str = "shards"
) -> list[R]:
    """``[fn(*job) for job in jobs]`` over processes, in order. ``fn`` is top-level and picklable.

    ``workers`` 0 means every core. One job or one worker runs in this process, and so do jobs over files that are
    ``SMALL`` together. The first error of a job is raised here as it was; jobs not yet started are dropped.
    """
    return list(imap_shards(fn, jobs, label=label, workers=workers, unit=unit))


def imap_shards(
    fn: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, label: str, workers: int = 0, unit: str = "shards"
) -> Iterator[R]:
    """Like ``map_shards``, but yields each result as soon as it and all before it are done."""
    workers = 1 if _small(jobs) else min(workers or cores(), len(jobs))
    with Progress(label, len(jobs), unit) as progress:
        if workers <= 1:
            yield from _counted((fn(*job) for job in jobs), progress)
            return
        # spawn: forking a process whose Arrow threads run is not safe
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(fn, *job) for job in jobs]
            try:
                yield from _counted((f.result() for f in futures), progress)
            finally:
                for f in futures:
                    f.cancel()


def imap_threads(fn: Callable[[T], R], values: Iterable[T], workers: int = 0) -> Iterator[R]:
    """``fn`` of each value, in order, in threads; for code that lets go of Python's lock.

    ``values`` are taken as threads become free, so that few are in memory. ``workers`` 0 means every core.
    """
    workers = workers or cores()
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for value in values:
            waiting.append(pool.submit(fn, value))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _small(jobs: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the jobs name files, and those are small."""
    paths = {value for job in jobs for value in job if isinstance(value, Path)}
    return 0 < sum(path.stat().st_size for path in paths if path.is_file()) < SMALL


def _counted(results: Iterable[R], progress: Progress) -> Iterator[R]:
    for result in results:
        progress.add()
        yield result


class CrashedError(Exception):
    """The process of an ``Apart`` ended or was too slow; the message says which."""


class Apart:
    """A function of bytes, in a process of its own for each thread that calls it.

    What the function runs may crash, hang or write to stderr: a library for files of strangers. Its other arguments
    and its value are as JSON holds them; an error of Python in it is a bug and raised as RuntimeError.
    """

    def __init__(self, fn: Callable[..., Any], patience: float) -> None:
        """``fn`` is of the top level of its module; ``patience`` is how many seconds a call may take."""
        self._name, self._patience = f"{fn.__module__}:{fn.__name__}", patience
        self._threads = threading.local()

    def __call__(self, data: bytes, *args: Any) -> Any:
        """The value of the function. Raises CrashedError."""
        child: _Child | None = getattr(self._threads, "child", None)
        if child is None:
            child = self._threads.child = _Child(self._name)
        timer = threading.Timer(self._patience, child.process.kill)
        timer.start()
        try:
            answer = child.ask(data, args)
        finally:
            timer.cancel()
        if answer is None:
            del self._threads.child
            raise CrashedError(f"it ended by signal {-child.process.wait()}, or after {self._patience:g} s")
        if "raised" in answer:
            del self._threads.child
            raise RuntimeError(answer["raised"])
        return answer["value"]


class _Child:
    """The process; it ends with the thread that uses it."""

    def __init__(self, name: str) -> None:
        root = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from gendata.engine import serve; serve({name!r})"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # Ctrl-C reaches the parent alone, and the child's input then ends
        )
        weakref.finalize(self, _end, self.process)

    def ask(self, data: bytes, args: Sequence[Any]) -> dict[str, Any] | None:
        """The answer, None if the process ends instead."""
        stdin, stdout = cast(IO[bytes], self.process.stdin), cast(IO[bytes], self.process.stdout)
        try:
            stdin.write(json.dumps([len(data), *args]).encode() + b"\n")
            stdin.write(data)
            stdin.flush()
        except BrokenPipeError:
            return None
        line = stdout.readline()
        return dict(json.loads(line)) if line.endswith(b"\n") else None


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(BrokenPipeError):
            cast(IO[bytes], pipe).close()
    process.wait()


def serve(name: str) -> None:
    """What the process of an ``Apart`` does: a line and bytes from stdin, a line to what was stdout, and again."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    sys.excepthook = lambda _, error, __: say({"raised": "".join(traceback.format_exception(error))})
    module, _, function = name.partition(":")
    fn = getattr(import_module(module), function)
    while line := sys.stdin.buffer.readline():
        size, *args = json.loads(line)
        say({"value": fn(sys.stdin.buffer.read(size), *args)})
