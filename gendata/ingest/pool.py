"""A function over many units, in order and with bounded memory; what is small, several at a time.

On threads, as hashing, decoding and reading release the interpreter lock, and nothing need be copied between
processes; on processes (``apart``) what is Python.
"""

import ctypes
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import chain, islice
from typing import TypeVar

from gendata.engine import cores, processes

_BATCH, _BATCH_BYTES = 32, 1 << 20
"""Units and bytes that a thread takes at once: handing a unit over takes as long as hashing a small file."""

_FEW = 4096
"""Units that threads have done by when processes would have started."""

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    fn: Callable[[T], R],
    units: Iterable[T],
    workers: int,
    size: Callable[[T], int] = lambda _: _BATCH_BYTES,
    ended: Callable[[], object] = lambda: None,
) -> Iterator[R]:
    """``map(fn, units)``, at most two batches of units per worker ahead of the consumer; ``workers`` 0: every core.

    ``size`` is about the bytes of a unit; where it is not given every unit is a batch. ``ended`` is called at the end,
    also of an error, before those at work are waited for: it may tell them to stop.
    """
    workers = workers or cores()
    with ThreadPoolExecutor(workers) as pool:
        for results in _windowed(pool, lambda batch: list(map(fn, batch)), _batches(units, size), workers, ended):
            yield from results


def spread(
    fn: Callable[[list[T]], R],
    units: Iterable[T],
    workers: int,
    size: Callable[[T], int],
    quick: Callable[[T], bool] = lambda _: True,
) -> Iterator[R]:
    """``fn`` of batches of units, in order; of many all but the first ``_FEW`` units on processes.

    There small units do not wait for Python's lock. ``fn`` and units can be pickled; on threads units that are not
    ``quick`` are a batch each.
    """
    units, workers = iter(units), workers or cores()
    first = units if workers == 1 else islice(units, _FEW)
    with ThreadPoolExecutor(workers) as pool:
        yield from _windowed(pool, fn, _batches(first, lambda u: size(u) if quick(u) else _BATCH_BYTES), workers)
    for unit in units:
        yield from apart(fn, _batches(chain([unit], units), size, _FEW // 8), workers)


def ahead(units: Iterator[T]) -> Iterator[T]:
    """The same units; a thread makes the next one while one is used. For what lets go of Python's lock."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(list, islice(units, 1))
        while one := following.result():
            following = thread.submit(list, islice(units, 1))
            yield from one


def apart(fn: Callable[[T], R], units: Iterable[T], workers: int) -> Iterator[R]:
    """``map(fn, units)`` on processes, for what holds the interpreter lock; as few ahead, and ``fn`` is top-level."""
    workers = workers or cores()
    with processes(workers, _keep_memory) as pool:
        yield from _windowed(pool, fn, units, workers)


def _keep_memory() -> None:
    """In a new process: what is imported is no garbage, and memory for the next unit is not given back (glibc).

    Otherwise one sixth of the time goes into pages that the kernel takes back and clears again.
    """
    gc.freeze()
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 16 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""


def _batches(units: Iterable[T], size: Callable[[T], int], most: int = _BATCH) -> Iterator[list[T]]:
    """Units up to the one that fills a batch."""
    batch: list[T] = []
    left = _BATCH_BYTES
    for unit in units:
        batch.append(unit)
        left -= size(unit)
        if left <= 0 or len(batch) == most:
            yield batch
            batch, left = [], _BATCH_BYTES
    if batch:
        yield batch


def _windowed(
    pool: Executor,
    fn: Callable[[T], R],
    units: Iterable[T],
    workers: int,
    ended: Callable[[], object] = lambda: None,
) -> Iterator[R]:
    window: deque[Future[R]] = deque()
    try:
        for unit in units:
            window.append(pool.submit(fn, unit))
            if len(window) > 2 * workers:
                yield window.popleft().result()
        while window:
            yield window.popleft().result()
    finally:
        ended()
        for future in window:
            future.cancel()
