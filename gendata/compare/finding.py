"""What an experiment finds of a statement: effects with intervals, one verdict by one rule, points of a plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gendata.compare.stats import Interval

SUPPORTED, NOT_SUPPORTED, MIXED = "supported", "not supported", "mixed"
IMPOSSIBLE = "not measurable here"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, MIXED, IMPOSSIBLE)

RULE = (
    "An effect is a number that is above 0 where the statement holds. Its verdict is `supported` where all of its 95 % "
    "interval is above 0, `not supported` where all is 0 or below, else `mixed`. Where something limits what it says "
    "(few seeds or rows, one training that stands for a family, a small part of a training) the verdict is `mixed`, "
    "and the test names it. Over several trainings the interval is Student's t of their figures, widened by the mean "
    "interval within each. A statement of several effects has the verdict that all of them have, else `mixed`."
)

COUNTED = "exact count"
"""The test of an effect that is neither sampled nor trained anew."""

_DIGITS = 6

Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Effect:
    """One comparison."""

    what: str
    """What is compared, with its unit."""
    sides: Mapping[str, float]
    """Our number for each side."""
    interval: Interval
    """Of the effect, which is above 0 where the statement holds; for an exact count, the count."""
    test: str
    """How the interval was found, over how many of what."""

    @property
    def verdict(self) -> str:
        """By RULE."""
        if self.interval.limit:
            return MIXED
        if self.interval.low > 0:
            return SUPPORTED
        return NOT_SUPPORTED if self.interval.high <= 0 else MIXED


@dataclass(frozen=True)
class Plot:
    """Lines over a common axis."""

    title: str
    x: str
    y: str
    lines: Mapping[str, Line]
    log: bool = False
    """Whether the vertical axis is logarithmic."""


@dataclass(frozen=True)
class Finding:
    """What is said of one statement; ``note`` tells what limits it, or why nothing was measured."""

    effects: tuple[Effect, ...]
    note: str = ""
    plot: Plot | None = None

    @property
    def verdict(self) -> str:
        """By RULE."""
        found = {effect.verdict for effect in self.effects}
        if not found:
            return IMPOSSIBLE
        return found.pop() if len(found) == 1 else MIXED

    def row(self) -> dict[str, Any]:
        """Plain values, numbers to six digits: the same finding gives the same JSON."""
        effects = [
            {
                "what": e.what,
                "sides": {name: _rounded(value) for name, value in e.sides.items()},
                "effect_interval": [_rounded(e.interval.low), _rounded(e.interval.high)],
                "test": e.test + (f"; no more than mixed: {e.interval.limit}" if e.interval.limit else ""),
                "verdict": e.verdict,
            }
            for e in self.effects
        ]
        return {"verdict": self.verdict, "effects": effects, "note": self.note, "plot": self._plot()}

    def _plot(self) -> dict[str, Any] | None:
        if self.plot is None:
            return None
        lines = {name: [[_rounded(x), _rounded(y)] for x, y in line] for name, line in self.plot.lines.items()}
        plot = self.plot
        return {"title": plot.title, "x": plot.x, "y": plot.y, "log": plot.log, "lines": lines}

    def plain(self) -> dict[str, Any]:
        """All of it as plain values, of which ``read`` makes the same again."""
        return asdict(self)

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> "Finding":
        """What ``plain`` gave."""
        effects = (Effect(**{**e, "interval": Interval(*e["interval"])}) for e in plain["effects"])
        return cls(tuple(effects), plain["note"], None if plain["plot"] is None else Plot(**plain["plot"]))


def _rounded(value: float) -> float | None:
    """To six digits; None for what is not finite, which JSON has no word for."""
    return float(f"{float(value):.{_DIGITS}g}") if math.isfinite(value) else None
