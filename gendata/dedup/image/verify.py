"""How alike two thumbnails are, also when one shows a window of the other: normalised correlation, aligned.

Correlation ignores brightness and contrast. A window is known to a grid's step; from there its place and size are
improved, step by step, while the correlation grows (hill climbing). Sums of parts of cells come from an integral
image (Crow, "Summed-Area Tables for Texture Mapping", 1984).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from gendata.dedup.compiled import jit
from gendata.dedup.image.views import BASE, SIDE, Pixels

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]

SMALLEST = 0.76
"""The least share of a side that a crop may keep: 0.8 and half a step."""

_HOPELESS = 0.5  # a window that correlates less at first is not improved
_STEPS = (0.0125, 0.005)


@jit
def correlations(ones: Pixels, others: Pixels) -> Floats:
    """Pearson correlations of pictures (n, rows, columns) with others, one by one; 0 where one is even.

    The sums are whole numbers, so that neither order nor processor matters.
    """
    found = np.zeros(len(others))
    for k in range(len(others)):
        a, b = ones[k].reshape(-1), others[k].reshape(-1)
        n = len(a)
        a_sum = b_sum = aa = bb = ab = np.int64(0)
        for i in range(n):
            x, y = np.int32(a[i]), np.int32(b[i])
            a_sum += x
            b_sum += y
            aa += x * x
            bb += y * y
            ab += x * y
        spread = float(n * aa - a_sum * a_sum) * float(n * bb - b_sum * b_sum)
        if spread > 0:
            found[k] = (n * ab - a_sum * b_sum) / np.sqrt(spread)
    return found


def aligned(base: Pixels, window: Box, thumbnail: Pixels) -> tuple[float, float]:
    """The highest correlation of a thumbnail with a window of a base near ``window``.

    Returns:
        The correlation, and width / height of the window found, in those of the base.
    """
    score, left, top, right, bottom = _climb(base, window, thumbnail.astype(np.float64))
    return score, (right - left) / (bottom - top)


@jit
def _climb(base: Any, window: Any, thumbnail: Any) -> Any:
    sums = np.zeros((BASE + 1, BASE + 1))
    for i in range(BASE):
        along = 0.0
        for j in range(BASE):
            along += base[i, j]
            sums[i + 1, j + 1] = sums[i, j + 1] + along
    cells = np.empty((SIDE, SIDE))
    wanted = (thumbnail - thumbnail.mean()) / max(thumbnail.std(), 1e-9)
    x, y, w, h = window[0], window[1], window[2] - window[0], window[3] - window[1]
    best = _score(sums, (x, y, w, h), wanted, cells)
    for step in _STEPS:
        improved = best >= _HOPELESS
        while improved:
            improved = False
            for move in range(8):
                delta = step if move % 2 else -step
                # a place moves alone; a size grows on both sides
                dx, dy = delta * (move // 2 == 0), delta * (move // 2 == 1)
                dw, dh = delta * (move // 2 == 2), delta * (move // 2 == 3)
                nx, ny, nw, nh = x + dx - dw / 2, y + dy - dh / 2, w + dw, h + dh
                if min(nx, ny) < 0 or max(nx + nw, ny + nh) > 1 or min(nw, nh) < SMALLEST:
                    continue
                score = _score(sums, (nx, ny, nw, nh), wanted, cells)
                if score > best:
                    best, x, y, w, h, improved = score, nx, ny, nw, nh, True
    return best, x, y, x + w, y + h


@jit
def _score(sums: Any, window: Any, wanted: Any, cells: Any) -> float:
    """Correlation of a window with a thumbnail of mean 0 and deviation 1; ``cells`` is room to work in."""
    x, y, w, h = window
    above = np.empty(SIDE + 1)
    total = squares = product = 0.0
    for i in range(SIDE + 1):
        row = min((y + h * i / SIDE) * BASE, float(BASE))
        r = min(int(row), BASE - 1)
        before = 0.0
        for j in range(SIDE + 1):
            column = min((x + w * j / SIDE) * BASE, float(BASE))
            c = min(int(column), BASE - 1)
            f, g = row - r, column - c
            upper = sums[r, c] * (1 - g) + sums[r, c + 1] * g
            here = upper * (1 - f) + (sums[r + 1, c] * (1 - g) + sums[r + 1, c + 1] * g) * f
            if i and j:
                cell = here - above[j] - before
                cells[i - 1, j - 1] = cell
                total += cell
                squares += cell * cell
                product += cell * wanted[i - 1, j - 1]
            before = here - above[j] if i else 0.0
            above[j] = here
    n = SIDE * SIDE
    spread = squares / n - (total / n) ** 2
    return product / n / np.sqrt(spread) if spread > 1e-9 else 0.0
