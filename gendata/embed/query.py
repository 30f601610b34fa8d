"""Vectors of single queries for a cold command line: the stage's own encoders, nothing else imported."""

import functools
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gendata.errors import QueryError

if TYPE_CHECKING:
    from gendata.embed import EmbedParams
    from gendata.embed.encoder import ImageEncoder, JointEncoder, TextEncoder


@functools.lru_cache(maxsize=2)
def _text_encoder(params: "EmbedParams") -> "TextEncoder":
    from gendata.embed.text import load_text_encoder

    return load_text_encoder(params.text, params.device, params.dtype)


@functools.lru_cache(maxsize=2)
def _image_encoder(params: "EmbedParams") -> "ImageEncoder":
    if params.image.joint:
        return _joint_encoder(params)
    from gendata.embed.image import load_image_encoder

    return load_image_encoder(params.image)


@functools.lru_cache(maxsize=2)
def _joint_encoder(params: "EmbedParams") -> "JointEncoder":
    from gendata.embed.image import load_joint_encoder

    return load_joint_encoder(params.image, params.device, params.dtype)


def encode_query(text: str, params: "EmbedParams") -> npt.NDArray[np.float32]:
    """Unit vector, shape (dim,), of a query in words; what exceeds the model's limit is ignored.

    Raises:
        QueryError: There is nothing in the text, or it is not valid Unicode.
        GendataError: The model cannot be loaded.
    """
    _check(text)
    vector: npt.NDArray[np.float32] = _text_encoder(params).encode_queries([text])[0]
    return vector


def encode_joint_query(text: str, params: "EmbedParams") -> npt.NDArray[np.float32]:
    """Unit vector, shape (dim,), of a query in words in the space of images; see ``encode_query``."""
    _check(text)
    vector: npt.NDArray[np.float32] = _joint_encoder(params).encode_texts([text])[0]
    return vector


def encode_image_query(data: bytes, params: "EmbedParams") -> npt.NDArray[np.float32]:
    """Unit vector, shape (dim,), of an image given as the bytes of its file.

    Raises:
        QueryError: The image cannot be decoded.
        GendataError: The model cannot be loaded.
    """
    from gendata.embed.decode import UnreadableImageError

    try:
        vector: npt.NDArray[np.float32] = _image_encoder(params).encode([data])[0]
    except UnreadableImageError as error:
        raise QueryError(f"the query image cannot be decoded: {error}") from None
    return vector


def _check(text: str) -> None:
    if not text.strip():
        raise QueryError("the query is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueryError("the query is not valid Unicode") from None
