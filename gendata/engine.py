"""map_shards: one function over many shards, here on local processes; progress on stderr; a place for what is large."""

import contextlib
import math
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

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

    On a terminal the line is redrawn twice a second; elsewhere a line is added every ten seconds. In processes of
    ``map_shards`` it is silent: what they do is counted by the process that started them.

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
        self._next = self._start + after if multiprocessing.parent_process() is None else math.inf
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
        left = f", {_span(elapsed * (todo - new) / new)} left" if new > _ESTIMABLE * todo > 0 else ""
        size, name = self.rate
        rate, per = next((r, per) for r, per in _rates(new * size / elapsed) if r >= 1 or per == "h")
        speed = f", {rate:,.0f}{f' {name}' if name else ''}/{per}" if new else ""
        line = f"{self.label}: {self.done}{of} {self.unit}{f', {self.note}' if self.note else ''}{speed}{left}"
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


def _rates(per_second: float) -> tuple[tuple[float, str], ...]:
    return (per_second, "s"), (60 * per_second, "min"), (3600 * per_second, "h")


def _span(seconds: float) -> str:
    """A time for people: 90 s, 25 min, 3.5 h."""
    if seconds < 2 * 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


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
        with processes(workers) as pool:
            futures = [pool.submit(fn, *job) for job in jobs]
            for f in futures:  # as they end: one that takes long must not hide those behind it
                f.add_done_callback(lambda f: progress.add(not f.cancelled()))
            try:
                yield from (_waited(f, progress) for f in futures)
            finally:
                for f in futures:
                    f.cancel()


def _waited(future: Future[R], progress: Progress) -> R:
    """What it gives; the time that it takes is shown meanwhile, in a log once a minute."""
    while not wait((future,), 1.0 if sys.stderr.isatty() else 60.0).done:
        progress.add(0)
    return future.result()


def processes(workers: int, *first: Callable[[], None]) -> ProcessPoolExecutor:
    """A pool of processes that each call ``first`` at first.

    They end with this one, also where it is killed: left alone they wait for work for ever.
    """
    # spawn: forking a process whose Arrow threads run is not safe
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _begin, (_end_with_parent, *first))


def _begin(*first: Callable[[], None]) -> None:
    for call in first:
        call()


def _end_with_parent() -> None:
    def wait() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


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
