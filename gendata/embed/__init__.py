"""Stage embed: the passages of texts and the images as unit vectors, for search by meaning and by likeness."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from gendata import files
from gendata.brought import TableParams, check_vectors
from gendata.embed.encoder import Encoder, TextEncoder

__all__ = ["EmbedParams", "Encoder", "ImageEncoderParams", "TextEncoder", "TextEncoderParams", "embed"]

LAYOUT = "gradient-layout"
"""The image encoder that needs no weights and knows no words."""

MIN_PASSAGE_TOKENS = 16

CACHE = files.WORK / "cache" / "embed"
"""Of the vectors of data; those of outputs have a cache of their own."""


@dataclass(frozen=True)
class TextEncoderParams:
    """How texts become vectors.

    Attributes:
        model: ``all-MiniLM-L6-v2``, which needs no network, or a folder or Hugging Face name of a
            sentence-transformers model with safetensors weights.
        passage_tokens: A text is cut into passages of at most this many tokens (the model's own
            limit if that is lower: 254 for the default).
        tables: Vectors of texts and records that this very model made elsewhere: in one column, of whole texts; with
            columns of start and end after it, in code points, of passages. Texts that are in a table are not computed.
            There is one model, so vectors of two never meet.
        compute: False: texts that are in no table have no vector, captions and transcripts neither, and the model is
            never loaded, for queries neither: words alone find texts.
    """

    model: str = "all-MiniLM-L6-v2"
    passage_tokens: int = 254
    tables: dict[str, TableParams] = field(default_factory=dict, hash=False)
    compute: bool = True

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model must name a model")
        check_vectors(self.tables, passages=True)
        if self.passage_tokens < MIN_PASSAGE_TOKENS:
            raise ValueError(f"passage_tokens must be at least {MIN_PASSAGE_TOKENS}, not {self.passage_tokens}")


@dataclass(frozen=True)
class ImageEncoderParams:
    """How images become vectors.

    Attributes:
        model: ``gradient-layout``, which sees outlines and colour layout and knows no words, or a folder
            or Hugging Face name of a joint model of images and texts (CLIP, SigLIP) with safetensors
            weights, of transformers or sentence-transformers: words then find images without captions.
        tables: Vectors of images that this very model made elsewhere, in one column each; images that are in a table
            are not computed. There is one model, so vectors of two never meet.
        compute: False: images that are in no table have no vector, and the model is never loaded (it need not be
            installed, nor known): then no words find images, and no new image is compared, only items by their id.
    """

    model: str = LAYOUT
    tables: dict[str, TableParams] = field(default_factory=dict, hash=False)
    compute: bool = True

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model must name a model")
        check_vectors(self.tables, passages=False)
        if self.tables and self.model == LAYOUT:
            raise ValueError(f"tables: their vectors are of another model than {LAYOUT}; model must name it")

    @property
    def joint(self) -> bool:
        """Whether texts can be put into the space of images."""
        return self.model != LAYOUT and self.compute


@dataclass(frozen=True)
class EmbedParams:
    """All of stage embed.

    Attributes:
        text: The text encoder.
        image: The image encoder.
        device: ``auto`` (an accelerator if there is one), ``cpu``, ``mps``, ``cuda`` or ``cuda:1``.
        dtype: Precision of the models' matrix products. ``auto`` is bfloat16 for the default
            model where the hardware multiplies it natively, float32 otherwise.
    """

    text: TextEncoderParams = field(default_factory=TextEncoderParams)
    image: ImageEncoderParams = field(default_factory=ImageEncoderParams)
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", self.device):
            raise ValueError(f"device must be auto, cpu, mps, cuda or cuda:N, not {self.device!r}")

    def below(self, root: Path) -> "EmbedParams":
        """With models that are folders below ``root`` as such, for callers that are elsewhere."""

        def found(model: str) -> str:
            return str(root / model) if (root / model).is_dir() else model

        text, image = (
            replace(self.text, model=found(self.text.model)),
            replace(self.image, model=found(self.image.model)),
        )
        return replace(self, text=text, image=image)


def embed(
    ingested: Path,
    decisions: Path,
    sources: list[str],
    out: Path,
    params: EmbedParams,
    cache: Path = CACHE,
    brought: tuple[Path | None, ...] = (),
) -> dict[str, Any]:
    """Vectors of every kept item: ``out/<source>/<shard>.parquet`` (VECTOR_SCHEMA), rejected.parquet beside.

    A text gives its passages as parts 0 and on. An image is part 0, with ``start`` and ``end`` null,
    and the passages of its caption follow from part 1. An image that cannot be decoded is a reject
    of stage ``embed``; its caption is embedded all the same. What was embedded before comes from
    the cache, with the same bytes.

    Args:
        ingested: ``<source>/items/<shard>.parquet``, ITEM_SCHEMA.
        decisions: ``<source>/<shard>.parquet``, DECISION_SCHEMA, row for row with ``ingested``.
        sources: The sources to read; others are left alone.
        out: Is replaced as a whole when all is done.
        params: Encoders, device, precision.
        cache: A folder for these contents alone, since what a run does not use it may drop.
        brought: Folders of vectors out of tables (see ``gendata.brought``), of images and of texts, and of rejects,
            which ``out`` gets too.

    Returns:
        Counts of items, passages, images and unreadable images, by kind of those whose vectors were brought and of
        those that have none, and what each encoder in use is.
        How many items came from the cache is said on stderr only, since the summary has to be
        the same for the same data.

    Raises:
        StoreError: Items and decisions do not match.
        GendataError: A model cannot be loaded, or vectors that were brought are not its own.
    """
    from gendata.embed.stage import run

    return run(ingested, decisions, sources, out, params, cache, brought)
