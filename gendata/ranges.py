"""Ranges of integers as arrays, without a loop."""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def spread(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """All integers from each of ``low`` to below its ``high``, one range after the other.

    Returns:
        The number of the range of each integer, and the integers.
    """
    sizes = high - low
    of = np.repeat(np.arange(len(sizes)), sizes)
    return of, np.arange(len(of)) - np.repeat(np.cumsum(sizes) - sizes - low, sizes)
