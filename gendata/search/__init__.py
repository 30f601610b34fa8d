"""Search over the stores: words (BM25), meaning (vectors), both blended; images by likeness; SQL.

Importing this package imports nothing heavy; ``search`` brings in LanceDB and DuckDB.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gendata.search.frames import Frame
    from gendata.store.head import Store

Mode = Literal["hybrid", "semantic", "keyword"]

RANKINGS = ("keyword", "semantic", "visual")
"""By words, by meaning, by likeness: a hit has score and rank of each."""

TextEncoder = Callable[[str], NDArray[np.float32]]
"""A text to a unit vector (d,), in the space of the table ``passages``."""

ImageEncoder = Callable[[bytes], NDArray[np.float32]]
"""The bytes of an image file to a unit vector (d,), in the space of the table ``images``."""


@dataclass(frozen=True)
class SearchParams:
    """Section ``search`` of params.yaml."""

    keyword_weight: float = 0.45
    """Share of BM25 in a hybrid score, the rest is the cosine; both as standard scores.

    Chosen on the training queries of SciFact alone, the same for all collections; see benchmarks/search.py."""
    depth: int = 200
    """Passages taken from each ranking before they are blended."""
    sql_timeout: float = 60.0
    """Seconds that a statement may take."""
    sql_memory_mb: int = 1536
    """Memory of the process that runs a statement."""

    def __post_init__(self) -> None:
        if not 0 <= self.keyword_weight <= 1:
            raise ValueError("keyword_weight: must be between 0 and 1")
        if self.depth < 10:
            raise ValueError("depth: must be at least 10")
        if self.sql_timeout <= 0 or self.sql_memory_mb < 256:
            raise ValueError("sql_timeout must be positive, sql_memory_mb at least 256")


@dataclass(frozen=True, kw_only=True)
class Query:
    """What is searched for. Any text is valid: ``"a phrase"`` must occur, ``-word`` must not, the rest is words.

    With a text and an image, images are ranked half by likeness, half by their captions. With a text alone and
    an encoder of images and texts, a third of a score is how well the image goes with the text.
    """

    text: str | None = None
    image: bytes | None = None
    n: int = 10
    mode: Mode = "hybrid"
    modality: str | None = None
    origin: str = "any"
    source: str | None = None
    where: str | None = None
    """A condition in SQL over the columns of ``items``."""


class Options(TypedDict, total=False):
    """The keyword options of ``search``: see ``Query``."""

    n: int
    mode: Mode
    modality: str | None
    origin: str
    source: str | None
    where: str | None


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """How queries become vectors; None where the models are not there."""

    text: TextEncoder | None = None
    image: ImageEncoder | None = None
    joint: TextEncoder | None = None
    """A text to a unit vector in the space of the table ``images``."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One item found. ``text`` is its best passage (or caption); start and end are code points in its text.

    Of a text without vectors, which has no passages, it is the beginning, and start and end are None.
    """

    id: str
    modality: str
    origin: str
    source: str
    uri: str
    score: float
    text: str | None
    start: int | None
    end: int | None
    label: str | None
    store: str
    keyword_score: float | None
    """BM25 of the whole text and half that of its best passage, comparable over the stores; None if not asked for."""
    semantic_score: float | None
    """Cosine of the best passage to the query; None if it was not asked for."""
    visual_score: float | None
    """Cosine of the image to the query's image, or to its text in the space of images."""
    keyword_rank: int | None = None
    """Place of the item by keyword score, from 1, over all stores; None if it has no word of the query."""
    semantic_rank: int | None = None
    """Place of the item by semantic score among those that were ranked."""
    visual_rank: int | None = None
    """Place of the image by visual score among those that were ranked."""

    def row(self) -> dict[str, Any]:
        """As a JSON row of the command line: id, modality, origin, source, uri, score, text, start, end."""
        names = ("id", "modality", "origin", "source", "uri", "score", "text", "start", "end")
        return {name: getattr(self, name) for name in names}

    def explained(self) -> dict[str, Any]:
        """``row``, with the score and the rank by words, by meaning and by likeness."""
        names = [f"{kind}_{what}" for kind in RANKINGS for what in ("score", "rank")]
        return self.row() | {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class SearchResult:
    """Hits, best first (equal scores by id), and what the caller should know about how they were found."""

    hits: tuple[Hit, ...]
    messages: tuple[str, ...]

    def table(self, as_: "Frame" = "arrow") -> Any:
        """The hits as a pyarrow Table, a pandas or a polars DataFrame: a row each, the fields of ``Hit``."""
        import pyarrow as pa

        from gendata.search.frames import frame

        numbers = {"score": pa.float64(), "rank": pa.int64(), "start": pa.int64(), "end": pa.int64()}
        names = [field.name for field in fields(Hit)]
        schema = pa.schema([(name, numbers.get(name.rpartition("_")[2], pa.string())) for name in names])
        return frame(pa.Table.from_pylist([vars(hit) for hit in self.hits], schema), as_)


def search(
    stores: "Mapping[str, Store]",
    query: str | None = None,
    *,
    image: bytes | None = None,
    encode_text: TextEncoder | None = None,
    encode_image: ImageEncoder | None = None,
    encode_joint: TextEncoder | None = None,
    params: SearchParams | None = None,
    **options: Unpack[Options],
) -> SearchResult:
    """The ``n`` best items of all stores; filters hold before the ranking, so they never cost hits.

    Args:
        stores: by name: real, other, outputs; each may be absent.
        query: any text. With an image too, images are ranked half by likeness, half by their captions.
        image: the bytes of an image file: finds images that look alike.
        encode_text: makes the query's vector; without it a hybrid search ranks by words and says so.
        encode_image: makes the image's vector.
        encode_joint: makes the query's vector in the space of images; without it words find images by captions.
        params: how rankings are blended.
        **options: number of hits, mode and filters, as the fields of ``Query``.

    Raises:
        QueryError: the query is empty, a filter is not valid, or the mode needs what is not there.
        ProjectError: no store is there.
    """
    from gendata.search.retrieve import retrieve

    asked = Query(text=query, image=image, **options)
    encoders = Encoders(text=encode_text, image=encode_image, joint=encode_joint)
    return retrieve(stores, asked, encoders, params or SearchParams())
