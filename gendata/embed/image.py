"""An image encoder that needs no weights: outlines and colour layout, and no words.

Histograms of oriented gradients (Dalal & Triggs, "Histograms of oriented gradients for human
detection", CVPR 2005) of a 64 x 64 grey thumbnail, and beside them the mean colours of an 8 x 8
grid. It finds images that look alike in shape and composition; it does not know what they show.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from gendata import engine
from gendata.embed import ImageEncoderParams
from gendata.embed.decode import UnreadableImageError, every, upright
from gendata.embed.device import resolve
from gendata.embed.encoder import ImageEncoder, JointEncoder, Vectors, key_of

SIDE, CELL, BINS = 64, 8, 9
"""Thumbnail side and cell side in pixels, orientations in half a turn."""

CELLS = SIDE // CELL
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""The cells of a block of 2 x 2."""

CLIP, EPS = 0.2, 0.5
"""L2-Hys of the paper. ``EPS`` is beside the summed edges of a block (an edge from black to white across
it has about 30) and keeps noise in flat areas from looking like edges."""

GREY = np.asarray([0.299, 0.587, 0.114], np.float32)
"""Luma of ITU-R BT.601."""

CELL_OF = BINS * (np.arange(SIDE)[:, None] // CELL * CELLS + np.arange(SIDE) // CELL)
"""Shape (64, 64): where the histogram of each pixel's cell begins."""

VERSION = 1
"""Raised when a vector changes: cached vectors of an older version are then not used."""

Floats = npt.NDArray[np.float32]


class LayoutEncoder:
    """Gradients of outlines and layout of colours as one unit vector; see the module."""

    name, device, dtype = "gradient-layout", "cpu", "float32"
    dim = CELLS * CELLS * (BINS + 4)

    def __init__(self) -> None:
        self.key = key_of(model=self.name, version=VERSION, pillow=PIL.__version__, numpy=np.__version__)

    def encode(self, contents: Sequence[bytes], tick: Callable[[int], None] | None = None) -> Vectors:
        """See Encoder; ``contents`` are the bytes of image files. Raises UnreadableImageError."""
        return every(self.encode_each(contents), len(contents), self.dim, tick)

    def encode_each(self, contents: Sequence[bytes]) -> Iterator[Vectors | UnreadableImageError]:
        """The vector of each image, shape (dim,), or why there is none."""
        with ThreadPoolExecutor(engine.cores()) as pool:  # Pillow decodes outside the interpreter's lock
            yield from pool.map(_vector_or_error, contents)


def load_image_encoder(params: ImageEncoderParams, device: str = "auto", dtype: str = "auto") -> ImageEncoder:
    """The encoder that ``params`` names; one that shares its space with texts also has ``encode_texts``.

    Raises:
        GendataError: The model or the device is absent, or the model is none of images and texts.
    """
    return load_joint_encoder(params, device, dtype) if params.joint else LayoutEncoder()


def load_joint_encoder(params: ImageEncoderParams, device: str = "auto", dtype: str = "auto") -> JointEncoder:
    """The model of images and texts that ``params`` names; see ``load_image_encoder``."""
    from gendata.embed.joint import ClipEncoder  # imports torch and transformers: only when it is needed

    return ClipEncoder(params.model, resolve(device), "float32" if dtype == "auto" else dtype)


def _vector_or_error(data: bytes) -> Vectors | UnreadableImageError:
    try:
        return describe(thumbnail(data))
    except UnreadableImageError as error:
        return error


def thumbnail(data: bytes) -> npt.NDArray[np.float32]:
    """The upright image on white, squeezed to 64 x 64: shape (64, 64, 3), RGB from 0 to 1.

    Raises:
        UnreadableImageError: Pillow cannot decode it, or it has more pixels than Pillow allows.
    """
    picture = upright(data, (2 * SIDE, 2 * SIDE)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32) / np.float32(255)


def describe(rgb: npt.NDArray[np.float32]) -> Vectors:
    """The unit vector, shape (dim,), of a thumbnail of shape (64, 64, 3)."""
    vector = np.concatenate([gradients(rgb @ GREY), colours(rgb)]).astype(np.float32)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def gradients(grey: Floats) -> Floats:
    """Histograms of oriented gradients of an image of shape (64, 64): shape (576,), length at most 16.

    As in the paper: centred differences, unsigned orientations shared between the two nearest bins,
    blocks of 2 x 2 cells, each normalised by its length, clipped, and normalised again. The four
    normalisations of a cell are then added up (Felzenszwalb et al. 2010, "Object detection with
    discriminatively trained part-based models"): a third of the numbers, and no worse.
    """
    edged = np.pad(grey, 1, mode="edge")
    dx, dy = edged[1:-1, 2:] - edged[1:-1, :-2], edged[2:, 1:-1] - edged[:-2, 1:-1]
    angle = np.arctan2(dy, dx) % np.pi * (BINS / np.pi)  # 0 to 9, and 9 is 0 again
    lower = np.floor(angle)
    bins = lower.astype(np.int64) % BINS
    strength, upper = np.hypot(dx, dy), angle - lower
    at = np.stack([CELL_OF + bins, CELL_OF + (bins + 1) % BINS])
    shares = np.stack([strength * (1 - upper), strength * upper])
    votes = np.bincount(at.ravel(), shares.ravel(), CELLS * CELLS * BINS).astype(np.float32)
    votes = votes.reshape(CELLS, CELLS, BINS)
    blocks = np.stack([votes[i : i + CELLS - 1, j : j + CELLS - 1] for i, j in CORNERS], axis=2)  # (7, 7, 4, 9)
    clipped = np.minimum(blocks / _length(blocks), CLIP)
    blocks = clipped / _length(clipped)
    cells = np.zeros_like(votes)
    for corner, (i, j) in enumerate(CORNERS):
        cells[i : i + CELLS - 1, j : j + CELLS - 1] += blocks[:, :, corner]
    return cells.ravel()


def _length(blocks: Floats) -> Floats:
    return np.asarray(np.sqrt((blocks**2).sum((2, 3), keepdims=True) + EPS**2))


def colours(rgb: Floats) -> Floats:
    """Mean colours of an 8 x 8 grid of an image of shape (64, 64, 3): shape (256,), length at least 8.

    Lightness is a point on a half circle (black to white is a turn by 180 degrees), so that a flat
    image has a direction too; beside it stand the opponent colours red - green and blue - yellow.
    """
    means = rgb.reshape(CELLS, CELL, CELLS, CELL, 3).mean((1, 3)).reshape(-1, 3)
    light = np.pi * (means @ GREY)
    red, green, blue = means.T
    return np.stack([np.cos(light), np.sin(light), red - green, blue - (red + green) / 2], axis=1).ravel()
