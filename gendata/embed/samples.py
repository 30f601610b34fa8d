"""Vectors that tables bring beside those of the model that is named: both must be of one model."""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from gendata.embed.decode import UnreadableImageError
from gendata.embed.encoder import ImageEncoder, TextEncoder, Vectors
from gendata.errors import GendataError

SAMPLES, SAME = 4, 0.9
"""How many contents with a vector out of a table are encoded too; and the least cosine of both. Other resizing or
precision turns a vector a little, that of another model points anywhere. Chosen, not measured."""

C = TypeVar("C", bound=str | bytes)


class Samples(Generic[C]):
    """Length and number of the vectors out of the tables of ``embed.<kind>``, and some with their content.

    Those of the smallest contents: a text that a model does not read whole tells nothing.
    """

    def __init__(self, kind: str) -> None:
        self.dim: int | None = None
        self._kind = kind
        self._few: list[tuple[int, str, C, Vectors]] = []

    def add(self, item_id: str, size: int, read: Callable[[], C | None], vector: Vectors) -> None:
        """Take in a vector, and ``read`` its content where that is small enough; of ``size`` 0 there is none."""
        self.dim = len(vector)
        if not size or (len(self._few) == SAMPLES and size >= self._few[-1][0]):
            return
        content = read()
        if content and not content.isspace():
            few = [*self._few, (size, item_id, content, vector)]
            self._few = sorted(few, key=lambda sample: sample[0])[:SAMPLES]

    @property
    def contents(self) -> list[C]:
        """Of the samples."""
        return [content for _, _, content, _ in self._few]

    def compare(self, model: str, dim: int, own: Sequence[Vectors | None]) -> None:
        """Raises GendataError where ``own``, the model's vectors of the samples (None: it has none), are others."""
        if dim != self.dim:
            raise GendataError(
                f"embed.{self._kind}.tables: their vectors have {self.dim} numbers, those of {model} {dim}: "
                "they are of another model"
            )
        for (_, item_id, _, vector), mine in zip(self._few, own, strict=True):
            if mine is not None and (cosine := float(mine @ vector)) < SAME:
                raise GendataError(
                    f"embed.{self._kind}.tables: a vector of {self._kind} {item_id[:12]} is not that of "
                    f"{model}, as all must be: their cosine is {cosine:.2f}; name the model that made the "
                    "tables, or say compute: false"
                )


def of_images(encoder: ImageEncoder, images: Sequence[bytes]) -> Iterator[Vectors | None]:
    """The encoder's own vectors; None of an image that cannot be decoded."""
    for found in encoder.encode_each(images):
        yield None if isinstance(found, UnreadableImageError) else found


def of_texts(encoder: TextEncoder, texts: Sequence[str]) -> Iterator[Vectors | None]:
    """The encoder's own vectors; None of a text that it does not read whole."""
    for count, found in zip(encoder.count(texts), encoder.encode(texts), strict=True):
        yield found if count <= encoder.max_tokens else None
