"""Lines over an axis as SVG: a few dozen points, no script, colours that a reader without colours can do without."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from gendata.page import escaped

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 260, 70, 130, 24, 40
_COLOURS = ("#2563ab", "#c2571a", "#3a7d44", "#8a4f9e", "#6b7280", "#b0923a")
_TICKS = 4


def chart(plot: Mapping[str, Any]) -> str:
    """Lines as an inline SVG; points that are not numbers are left out.

    Args:
        plot: ``title``, ``x`` and ``y`` (what the axes show), ``log`` (whether y is) and ``lines``: points by name.
    """
    lines = {
        name: [(x, y) for x, y in line if x is not None and y is not None and (not plot["log"] or y > 0)]
        for name, line in plot["lines"].items()
    }
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    x_of = _scale([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    values = [math.log10(y) if plot["log"] else y for _, y in points]
    y_of = _scale(values, _HEIGHT - _BOTTOM, _TOP)
    parts = [_axes(plot, [x for x, _ in points], values)]
    for i, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        at = [(x_of(x), y_of(math.log10(y) if plot["log"] else y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
        if len(at) <= 2 * _TICKS * _TICKS:
            parts += [f'<circle r="2.4" fill="{colour}" cx="{x:.1f}" cy="{y:.1f}"/>' for x, y in at]
        legend = _TOP + 16 * i
        parts.append(_text(_WIDTH - _RIGHT + 12, legend, name, f' fill="{colour}"'))
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img" font-size="11" fill="currentColor">'
    return f"{head}<title>{escaped(plot['title'])}</title>{''.join(parts)}</svg>"


def _axes(plot: Mapping[str, Any], xs: Sequence[float], values: Sequence[float]) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="currentColor" opacity=".5"/>']
    x_of, y_of = _scale(xs, _LEFT, right), _scale(values, bottom, _TOP)
    parts += [_text(x_of(x), bottom + 15, f"{x:.3g}", ' text-anchor="middle"') for x in _ticks(xs)]
    for value in _ticks(values):
        label = f"{10**value:.2g}" if plot["log"] else f"{value:.3g}"
        parts.append(_text(_LEFT - 6, y_of(value) + 4, label, ' text-anchor="end"'))
    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, plot["x"], ' text-anchor="middle"'))
    parts.append(_text(4, 12, plot["y"], ""))
    return "".join(parts)


def _ticks(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return sorted({low + (high - low) * i / _TICKS for i in range(_TICKS + 1)})


def _scale(values: Sequence[float], start: float, end: float) -> Any:
    low, high = min(values), max(values)
    return lambda value: start + (end - start) * ((value - low) / (high - low) if high > low else 0.5)


def _text(x: float, y: float, text: str, more: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escaped(text)}</text>'
