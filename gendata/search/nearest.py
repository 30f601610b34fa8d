"""Vectors of items in the stores, and the training items most like an output: exact, among the rows of a manifest."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.errors import QueryError, StoreError
from gendata.items import content_id
from gendata.search import Hit
from gendata.search.directory import directory
from gendata.search.hits import Found, look_up
from gendata.search.ranking import Filter, Ranking, among, top
from gendata.search.vector import Nearness, width
from gendata.store import INPUTS, OUTPUTS, STORES
from gendata.store.head import Store

NEAREST = 5
"""How many training items are named where nothing else is asked."""


def nearest(item: Mapping[str, Any], train: pa.Table, stores: Mapping[str, Store], n: int = NEAREST) -> tuple[Hit, ...]:
    """The training items most like an output: by its image vector, or by the best pair of passages; exact.

    Args:
        item: a row of the store of outputs.
        train: the rows of its manifest that were trained on.
        stores: of the project.
        n: how many, best first; fewer if there are no more.

    Raises:
        StoreError: the output or the training items have no vectors, or they are of different encoders.
    """
    kind = "images" if item["modality"] == "image" else "passages"
    origins = set(pc.unique(train["origin"]).to_pylist())
    searched = {s: t for s in INPUTS if origins & {*STORES[s]} and (t := _table(stores, s, kind)) is not None}
    vectors = _vectors(_table(stores, OUTPUTS, kind), item["id"])
    if not vectors or not searched:
        raise StoreError(f"no vectors of {'the training items' if vectors else 'this output'} in the store")
    ids, best = train["id"].combine_chunks(), dict[tuple[str, int], tuple[float, int]]()
    for store, table in searched.items():
        if width(table) != len(vectors[0]):
            raise StoreError("the vectors of outputs and training items are of different encoders: run `gendata run`")
        for vector in vectors:
            ranking = Nearness(table, directory(stores[store], kind), vector, exact=True)
            for key, part, score in _best(ranking, ids, n):
                best[store, key] = max(best.get((store, key), (-2.0, 0)), (score, part))
    first = sorted(best.items(), key=lambda pair: (-pair[1][0], pair[0]))[:n]
    return look_up(stores, [_found(*key, score, part if kind == "passages" else None) for key, (score, part) in first])


def image_vector(data: bytes, stores: Mapping[str, Store], model: str) -> NDArray[np.float32]:
    """The vector of an image as a store holds it, where ``model`` is not run. Raises QueryError where none does."""
    item_id = content_id(data)
    for name in stores:
        if found := _vectors(_table(stores, name, "images"), item_id):
            return found[0]
    raise QueryError(
        f"no vector of this image is in the stores, and embed.image.compute is off, so that {model} cannot make one: "
        "search with --image ID of an image that has one, or with words by caption"
    )


def _table(stores: Mapping[str, Store], name: str, kind: str) -> Any | None:
    return stores[name].table(kind) if name in stores else None


def _vectors(table: Any | None, item_id: str) -> list[NDArray[np.float32]]:
    if table is None:
        return []
    rows = table.to_table(columns=["vector"], filter=among([item_id]))
    return [np.array(vector, np.float32) for vector in rows["vector"].to_pylist()]


def _best(ranking: Ranking, ids: pa.Array, n: int) -> Iterator[tuple[int, int, float]]:
    """Key, part and score of the best passages until they are of ``n`` different items, or there are no more."""
    depth, known = n, ranking.directory
    while True:
        found = top(ranking, Filter(ids=ids), depth).best
        keys = known.keys[found.places]
        if len(keys) < depth or len(np.unique(keys)) >= n:
            return zip(keys.tolist(), known.parts[found.places].tolist(), found.scores.tolist(), strict=True)
        depth *= 4


def _found(store: str, key: int, score: float, part: int | None) -> Found:
    visual, semantic = (score, None) if part is None else (None, score)
    return Found(
        store=store, key=key, score=score, part=part, keyword_score=None, semantic_score=semantic, visual_score=visual
    )
