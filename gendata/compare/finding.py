"""What an experiment finds of a statement: effects with intervals, one verdict by one rule, points of a plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from gendata.compare.stats import Interval, mean_interval

SUPPORTED, NOT_SUPPORTED, MIXED = "supported", "not supported", "mixed"
IMPOSSIBLE = "not measurable here"
VERDICTS = (SUPPORTED, NOT_SUPPORTED, MIXED, IMPOSSIBLE)

RULE = (
    "An effect is a number that is above 0 where the statement holds. Its verdict is `supported` where all of its 95 % "
    "interval is above 0, `not supported` where all is 0 or below, else `mixed`. Where something limits what it says "
    "(few seeds or rows, one training that stands for a family, a small part of a training) the verdict is `mixed`, "
    "and the test names it. A statement of several effects has the verdict that all of them have, else `mixed`."
)

ONE_TRAINING = "one training stands for the family"
"""Limits what figures of a family's checkpoint say of the family."""

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


def over(findings: Sequence[Finding], unit: str) -> Finding:
    """What independent repeats found of one statement, joined: means, and Student's t over the middles of intervals.

    Args:
        findings: of each repeat: the same effects in the same order, or none where something was missed.
        unit: what was repeated, "trainings" or "seeds". The interval of one training is that of its items: another
            training may lie outside of it, so it decides nothing.
    """
    there = [finding for finding in findings if finding.effects]
    if not there:
        return findings[0]
    notes = list(dict.fromkeys(finding.note for finding in there))
    note = notes[0] if len(notes) == 1 else f"of the first of {len(there)} {unit}: {notes[0]}"
    missing = [finding.note for finding in findings if not finding.effects]
    gap = f"{len(missing)} of {len(findings)} {unit} gave nothing: {missing[0]}" if missing else ""
    effects = tuple(_over(same, unit, gap) for same in zip(*(finding.effects for finding in there), strict=True))
    return Finding(effects, note, _over_plots([finding.plot for finding in there]))


def _over(effects: Sequence[Effect], unit: str, gap: str) -> Effect:
    first, n = effects[0], len(effects)
    if n == 1 and unit == "trainings":
        return replace(first, interval=first.interval.limited(ONE_TRAINING).limited(gap))
    sides = {name: fmean(e.sides[name] for e in effects) for name in first.sides}
    limit = first.interval.limit if all(e.interval.limit for e in effects) else ""
    interval = mean_interval([e.interval.middle for e in effects]).limited(limit).limited(gap)
    return Effect(first.what, sides, interval, f"Student's t over {n} {unit}")


def _over_plots(plots: Sequence[Plot | None]) -> Plot | None:
    """The first with the mean of all at each point, or as it is where the points of others lie elsewhere."""
    first, *rest = plots
    if first is None or not all(
        other is not None
        and {name: [x for x, _ in line] for name, line in other.lines.items()}
        == {name: [x for x, _ in line] for name, line in first.lines.items()}
        for other in rest
    ):
        return first
    lines = {
        name: [(line[i][0], fmean(plot.lines[name][i][1] for plot in plots if plot)) for i in range(len(line))]
        for name, line in first.lines.items()
    }
    return replace(first, lines=lines)


def _rounded(value: float) -> float | None:
    """To six digits; None for what is not finite, which JSON has no word for."""
    return float(f"{float(value):.{_DIGITS}g}") if math.isfinite(value) else None
