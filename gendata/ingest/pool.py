"""A function over many units, in order and with bounded memory; what is small, several at a time.

On threads, as hashing, decoding and reading release the interpreter lock, and nothing need be copied between
processes; on processes (``apart``) what is Python.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import TypeVar

from gendata.engine import cores, processes

_BATCH, _BATCH_BYTES = 32, 1 << 20
"""Units and bytes that a thread takes at once: handing a unit over takes as long as hashing a small file."""

_FEW = 8192
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


def spread(fn: Callable[[T], R], units: Iterable[T], workers: int, size: Callable[[T], int]) -> Iterator[R]:
    """Like ``ordered``; of many units all but the first ``_FEW`` on processes, where small ones do not wait for a lock.

    ``fn`` is top-level, and units can be pickled.
    """
    units = iter(units)
    yield from ordered(fn, units if workers == 1 else islice(units, _FEW), workers, size)
    for first in units:
        batches = _batches(chain([first], units), size, _FEW // 16)
        yield from chain.from_iterable(apart(partial(_each, fn), batches, workers))


def _each(fn: Callable[[T], R], units: list[T]) -> list[R]:
    return [fn(unit) for unit in units]


def apart(fn: Callable[[T], R], units: Iterable[T], workers: int) -> Iterator[R]:
    """``map(fn, units)`` on processes, for what holds the interpreter lock; as few ahead, and ``fn`` is top-level."""
    workers = workers or cores()
    with processes(workers) as pool:
        yield from _windowed(pool, fn, units, workers)


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
