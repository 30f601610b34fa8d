"""Loops compiled by numba, and a word on stderr to whoever waits for that."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core import event

F = TypeVar("F", bound=Callable[..., Any])

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def jit(function: F) -> F:
    """Compiled at its first call and kept beside the code; threads run it side by side.

    numba keeps what it compiled until that function's own file changes, whatever it calls: loops that call each other
    stand in one file, and the functions below stay as they are.
    """
    return cast("F", numba.njit(nogil=True, cache=True)(function))


@jit
def mix(value: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014): every input bit reaches every output bit."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@jit
def root(parent: Any, node: int) -> int:
    """The root of a node's tree, in a forest given by the parent of each node."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]  # path halving
        node = parent[node]
    return node


@jit
def join(parent: Any, a: int, b: int) -> None:
    """Join the trees of two nodes of a forest under the lower root."""
    a, b = root(parent, a), root(parent, b)
    parent[max(a, b)] = min(a, b)


@jit
def sort(values: Any) -> None:
    """Sort by insertion over Knuth's gaps (Shell 1959); ``ndarray.sort`` would take three seconds to compile."""
    gap = 1
    while gap < len(values):
        gap = 3 * gap + 1
    while gap > 1:
        gap //= 3
        for at in range(gap, len(values)):
            value, place = values[at], at
            while place >= gap and values[place - gap] > value:
                values[place] = values[place - gap]
                place -= gap
            values[place] = value


class Notice(event.Listener):
    """Says once per process that loops are compiled. Numba calls it only where none are kept."""

    told = False

    def on_start(self, event: event.Event) -> None:
        """The first one is told: the others follow within seconds."""
        if not self.told:
            self.told = True
            sys.stderr.write("compiling loops for this machine, once after an install or upgrade: up to a minute ...\n")

    def on_end(self, event: event.Event) -> None:
        """Nothing: what was waited for shows."""


NOTICE = Notice()
cast(Any, event).register("numba:compile", NOTICE)
