"""A function over many units on threads, in order and with bounded memory.

Threads, not processes: hashing, decoding and reading release the interpreter lock, and nothing
need be copied between processes.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from gendata.engine import cores

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    fn: Callable[[T], R], units: Iterable[T], workers: int, ended: Callable[[], object] = lambda: None
) -> Iterator[R]:
    """``map(fn, units)``, at most two units per worker ahead of the consumer; ``workers`` 0: every core.

    ``ended`` is called at the end, also of an error, before those at work are waited for: it may tell them to stop.
    """
    workers = workers or cores()
    window: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers) as pool:
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
