"""Small pictures to what is compared: thumbnails and 64-bit hashes, also of turned pictures and of windows; tints.

Hash: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010 (pHash): the thumbnail of
32 x 32 grey values, the 8 x 8 lowest frequencies of its DCT-II without the constant row and column, one bit each:
over their median or not. The cosines are whole numbers of 1/4096, and all products stay below 2^53, so that hashes
are the same on every processor.

**Turns.** The eight ways to flip and turn a picture by 90 degrees are numbers of three bits: 4 mirrors at the
diagonal, then 2 puts it upside down, then 1 swaps left and right. They swap or change the sign of coefficients.

**Windows.** A crop's hash is near that of some window of the original: of 80, 85, 90 or 95 % of both sides, at
steps of 5 %: 54 windows. Their coefficients come from a base of 64 x 64 grey values by one product of matrices each.

**Tints.** Chroma is kept apart, in 16 x 16 places: hashes and thumbnails are of luma.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image

from gendata.dedup import ImageParams
from gendata.dedup.image.decode import luma
from gendata.keep import Ints

Hashes = npt.NDArray[np.uint64]
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

SIDE = 32
"""Side of the thumbnail, of the hash's input and of what is correlated."""
BASE = 64
"""Side of the base that windows are taken from."""
TINTS = 16
"""Side of the grid of chroma."""

_STEP = 0.05
_EVEN = 3.0  # grey levels: the standard deviation of a line of a frame, at most
_COSINES = np.rint(np.cos(np.pi * np.arange(1, 9)[:, None] * (2 * np.arange(SIDE) + 1) / (2 * SIDE)) * 4096)
_SIGNS = np.where(np.arange(1, 9) % 2, -1.0, 1.0)


def turns(invariant: tuple[str, ...]) -> tuple[int, ...]:
    """The turns that are no difference, the plain picture first; whatever follows from two of them is one of them."""
    flip, rotation = "flip" in invariant, "rotation" in invariant
    if flip and rotation:
        return tuple(range(8))
    return (0, 1, 2, 3) if flip else (0, 3, 5, 6) if rotation else (0,)


def turned(thumbnails: Pixels, turn: int) -> Pixels:
    """Thumbnails (..., SIDE, SIDE), flipped and turned."""
    if turn & 4:
        thumbnails = np.swapaxes(thumbnails, -1, -2)
    return thumbnails[..., :: -1 if turn & 2 else 1, :: -1 if turn & 1 else 1]


def phash(thumbnails: Pixels, of_turns: tuple[int, ...] = (0,)) -> tuple[Hashes, Floats]:
    """Thumbnails (n, SIDE, SIDE) to hashes (n, turns) and contrasts (n,).

    The contrast is the standard deviation of the coefficients, in grey levels of an orthonormal DCT.
    """
    waves = _COSINES @ thumbnails.astype(np.float64) @ _COSINES.T
    hashes = np.empty((len(waves), len(of_turns)), np.uint64)
    for i, turn in enumerate(of_turns):
        signed = np.swapaxes(waves, 1, 2) if turn & 4 else waves
        signed = signed * (_SIGNS[:, None] if turn & 2 else 1.0) * (_SIGNS if turn & 1 else 1.0)
        hashes[:, i] = _bits(signed.reshape(-1, 64))
    return hashes, waves.reshape(len(waves), 64).std(axis=1) * (2 / SIDE / 4096**2)


def _bits(waves: Floats) -> Hashes:
    """Coefficients (n, 64) to hashes (n,): over the lower median or not."""
    bits = waves > np.partition(waves, 31, axis=1)[:, 31:32]
    return np.packbits(bits, axis=1).view(">u8").reshape(-1).astype(np.uint64)


def _scales() -> list[list[tuple[float, float]]]:
    """Per size of window the intervals along a side, as start and end within 0 to 1."""
    counts = range(1, 5)
    return [[(_STEP * i, 1 - _STEP * (n - i)) for i in range(n + 1)] for n in counts]


def _box(start: float, end: float, parts: int, side: int) -> Floats:
    """What makes the means of equal parts of an interval out of ``side`` values: (parts, side)."""
    edges = np.linspace(start, end, parts + 1) * side
    cells = np.arange(side)
    covered = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return np.asarray(np.maximum(covered, 0) / (edges[1:] - edges[:-1])[:, None])


def _interval(start: float, end: float) -> Floats:
    """The low frequencies of an interval of a base: (8, BASE), to be multiplied with its values."""
    return np.asarray(np.rint(_COSINES @ _box(start, end, SIDE, BASE)))


WINDOWS = np.array([(x[0], y[0], x[1], y[1]) for scale in _scales() for y in scale for x in scale])
"""Left, top, right and bottom of each window, within 0 to 1: (windows, 4)."""
_INTERVALS = [np.concatenate([_interval(*interval) for interval in scale]) for scale in _scales()]
_CELLS = 4
HUE = 256**2 * _CELLS
_BOXES = np.rint(
    256 * np.array([[_box(w[k], w[k + 2], _CELLS, TINTS) for k in (0, 1)] for w in (*WINDOWS, (0.0, 0.0, 1.0, 1.0))])
)  # the last shows all


def window_hashes(bases: Pixels) -> Hashes:
    """Bases (n, BASE, BASE) to the hashes of WINDOWS (n, windows)."""
    values, parts = bases.astype(np.float64), []
    for along in _INTERVALS:
        count = len(along) // 8
        waves = (along @ values @ along.T).reshape(-1, count, 8, count, 8).swapaxes(2, 3)
        parts.append(_bits(waves.reshape(-1, 64)).reshape(len(bases), count * count))
    return np.concatenate(parts, axis=1)


def thumbnail(grey: Image.Image, side: int = SIDE) -> Pixels:
    """The picture in ``side`` x ``side`` grey values, each the mean of its part."""
    return np.asarray(grey.resize((side, side), Image.Resampling.BOX))


def tint(small: Image.Image) -> Pixels:
    """The picture's Cb and Cr (2, TINTS, TINTS), each the mean of its part; 128 without colour."""
    if small.mode == "L":
        return np.full((2, TINTS, TINTS), 128, np.uint8)
    means = small.resize((TINTS, TINTS), Image.Resampling.BOX).convert("YCbCr")
    return np.moveaxis(np.asarray(means), -1, 0)[1:]


def hues(tints: Pixels, windows: Ints) -> Floats:
    """What windows of tints (n, 2, TINTS, TINTS) show in 4 x 4 cells: chroma, 0 for grey, of shape (n, 32).

    Whole numbers, and below 2^24, so that sums of their products are exact. HUE is the length of what has a chroma of
    one level in each cell.
    """
    across, down = _BOXES[windows, 0], _BOXES[windows, 1]
    cells = down[:, None] @ (tints.astype(np.float64) - 128) @ across[:, None].swapaxes(-1, -2)
    return np.asarray(cells.reshape(len(tints), 2 * _CELLS**2))


def views(small: Image.Image, params: ImageParams) -> list[Image.Image]:
    """The pictures that stand for one: itself, and what is inside its frame if frames are to play no role."""
    inner = framed(small) if "border" in params.invariant else None
    return [small] if inner is None else [small, inner]


def framed(small: Image.Image) -> Image.Image | None:
    """What is inside an even frame; None if there is no frame, or less than half of a side inside."""
    pixels = np.asarray(luma(small))
    top, bottom = _inner(pixels.std(axis=1) > _EVEN)
    left, right = _inner(pixels.std(axis=0) > _EVEN)
    inside = (right - left, bottom - top)
    if inside == small.size or 2 * inside[0] < small.width or 2 * inside[1] < small.height:
        return None
    return small.crop((left, top, right, bottom))


def _inner(busy: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The first line that is not even, and the one after the last."""
    places = np.flatnonzero(busy)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
