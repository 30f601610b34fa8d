"""What an encoder is: contents in, unit vectors out, and a key that names all its vectors depend on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from gendata.items import canonical_json

if TYPE_CHECKING:
    from gendata.embed.decode import UnreadableImageError

Vectors = npt.NDArray[np.float32]
"""Shape (n, dim), every row finite and of length 1."""

C_contra = TypeVar("C_contra", contravariant=True)


class Encoder(Protocol[C_contra]):
    """Turns contents (texts, or the bytes of images) into unit vectors.

    The vector of a content does not depend, to the bit, on what else is encoded with it.
    """

    name: str
    """The model, as ``params.yaml`` names it."""
    dim: int
    """Length of a vector."""
    device: str
    """``cpu``, ``cuda``, ``mps``."""
    dtype: str
    """Precision of the matrix products; the vectors are float32 always."""
    key: str
    """Changes whenever a vector could change: weights, precision, device, library, code version."""

    def encode(self, contents: Sequence[C_contra], tick: Callable[[int], None] | None = None) -> Vectors:
        """One vector per content; ``tick(n)`` is called as each ``n`` more are done."""
        ...


class TextEncoder(Encoder[str], Protocol):
    """An encoder of texts, which also says how long a text is to it."""

    max_tokens: int
    """Tokens of a text that it reads, without the special ones; the rest it ignores."""

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text without the special ones, nothing cut."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of questions; models with one prompt for queries and one for documents tell them apart."""
        ...


class ImageEncoder(Encoder[bytes], Protocol):
    """An encoder of the bytes of image files."""

    def encode_each(self, contents: Sequence[bytes]) -> "Iterator[Vectors | UnreadableImageError]":
        """The vector of each image, shape (dim,), or why there is none."""
        ...


class JointEncoder(ImageEncoder, Protocol):
    """An encoder of images that puts texts into the same space: their cosine says how well they go together."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Vectors of texts among those of images; what exceeds the model's limit is ignored."""
        ...


def key_of(**facts: str | int) -> str:
    """A short digest of everything that the vectors of an encoder depend on."""
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()[:16]


def unit(vectors: npt.NDArray[np.float32]) -> Vectors:
    """Rows scaled to length 1; rows of zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length == 0, 1, length)).astype(np.float32)
