"""What repeats of an experiment found, joined into one finding: by Student's t over seeds or trainings.

The figures of several trainings are measured on the same held-out items, whose chance is in all of them: it is not in
their spread. So the squares of both half widths are added, that of Student's t over trainings and the mean one within.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from gendata.compare.finding import COUNTED, Effect, Finding, Plot
from gendata.compare.stats import Interval, exact, mean_interval

SEEDS, TRAININGS = "seeds", "trainings"
ONE_TRAINING = "one training stands for the family"


def over(findings: Sequence[Finding], unit: str) -> Finding:
    """The finding of all repeats: effects of the same name are joined, in the order in which they come.

    Args:
        findings: of each repeat; one that missed something has no effects, or lacks some, and its note is the reason.
        unit: what was repeated, SEEDS or TRAININGS.
    """
    there = [finding for finding in findings if finding.effects]
    if not there:
        return findings[0]
    notes = list(dict.fromkeys(finding.note for finding in there if finding.note))
    note = f"of the first of {len(there)} {unit}: {notes[0]}" if len(notes) > 1 else "".join(notes)
    names = dict.fromkeys(effect.what for finding in there for effect in finding.effects)
    effects = tuple(_joined(name, findings, unit) for name in names)
    return Finding(effects, note, _plot([finding.plot for finding in there]))


def _joined(name: str, findings: Sequence[Finding], unit: str) -> Effect:
    found = [next((e for e in finding.effects if e.what == name), None) for finding in findings]
    effects = [effect for effect in found if effect is not None]
    first, n = effects[0], len(effects)
    lacking = [finding.note for finding, effect in zip(findings, found, strict=True) if effect is None]
    gap = f"{len(lacking)} of {len(findings)} {unit} gave nothing: {lacking[0]}" if lacking else ""
    if len(findings) == 1 and unit == TRAININGS:
        return replace(first, interval=first.interval.limited(ONE_TRAINING))
    interval, test = _interval(effects, unit)
    for limit, count in Counter(e.interval.limit for e in effects if e.interval.limit).items():
        if 2 * count >= n:
            interval = interval.limited(limit if count == n else f"{count} of {n} {unit}: {limit}")
    return Effect(name, _sides(effects), interval.limited(gap), test)


def _interval(effects: Sequence[Effect], unit: str) -> tuple[Interval, str]:
    first, n = effects[0], len(effects)
    values = {e.interval.low for e in effects} | {e.interval.high for e in effects}
    if first.test == COUNTED and len(values) == 1:
        return exact(first.interval.low), COUNTED
    between = mean_interval([e.interval.middle for e in effects], unit)
    within = fmean(((e.interval.high - e.interval.low) / 2) ** 2 for e in effects)
    if not within:
        return between, f"Student's t over {n} {unit}"
    half = math.hypot(between.high - between.middle, math.sqrt(within)) if math.isfinite(between.high) else math.inf
    joined = Interval(between.middle - half, between.middle + half, between.limit)
    return joined, f"Student's t over {n} {unit}, and within each {first.test}"


def _sides(effects: Sequence[Effect]) -> dict[str, float]:
    """Means over the repeats that have them."""
    names = dict.fromkeys(side for effect in effects for side in effect.sides)
    return {name: fmean(e.sides[name] for e in effects if name in e.sides) for name in names}


def _plot(plots: Sequence[Plot | None]) -> Plot | None:
    """The first with the mean of all at each point, or as it is where the points of others lie elsewhere."""
    first, *rest = plots
    if first is None or any(other is None or _points(other) != _points(first) for other in rest):
        return first
    lines = {
        name: [(x, fmean(plot.lines[name][i][1] for plot in plots if plot)) for i, (x, _) in enumerate(line)]
        for name, line in first.lines.items()
    }
    return replace(first, lines=lines)


def _points(plot: Plot) -> dict[str, list[float]]:
    return {name: [x for x, _ in line] for name, line in plot.lines.items()}
