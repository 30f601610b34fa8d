"""Loops compiled by numba, and a word on stderr to whoever waits for that."""

import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core import event

F = TypeVar("F", bound=Callable[..., Any])


def jit(function: F) -> F:
    """Compiled at its first call and kept beside the code; threads run it side by side.

    numba keeps what it compiled until that function's own file changes, whatever it calls: loops that call each other
    stand in one file.
    """
    return cast("F", numba.njit(nogil=True, cache=True)(function))


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
