"""Which rankings of which stores a query uses, and what the caller should know about it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.errors import GendataError, QueryError
from gendata.search import Query, keyword, vector
from gendata.search.ranking import Filter, Ranker, both, quote, scores_of, top
from gendata.search.terms import Terms
from gendata.store.head import Store

Vector: TypeAlias = NDArray[np.float32]

ItemKey: TypeAlias = tuple[str, str]
"""(store, id)."""

PassageKey: TypeAlias = tuple[str, str, int]
"""(store, id, part)."""

CAPTIONS_ONLY = (
    "images are found by their captions alone: the image encoder knows outline and colour layout, no words; "
    "search with an image to find images that look alike"
)

NO_LOOKS = "images are found by their captions alone: "
"""And why the model of images and texts is of no help."""


@dataclass(frozen=True)
class Channel:
    """One ranking of one table: ``rank`` for the best rows, ``exact`` for the scores of given rows."""

    total: int
    where: Filter
    rank: Ranker
    exact: Ranker


@dataclass
class Channels:
    """The rankings of a query, by store."""

    keyword: dict[str, Channel] = field(default_factory=dict)
    whole: dict[str, Channel] = field(default_factory=dict)
    """By words over whole texts; ``keyword`` is over their passages."""
    semantic: dict[str, Channel] = field(default_factory=dict)
    visual: dict[str, Channel] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


def collect(channels: Mapping[str, Channel], depth: int) -> tuple[dict[PassageKey, float], bool]:
    """The best ``depth`` rows of all stores together, and whether there are no more."""
    found = {store: top(channel.rank, channel.where, depth) for store, channel in channels.items()}
    rows = (((store, *key), score) for store, scores in found.items() for key, score in scores.items())
    best = sorted(rows, key=lambda pair: (-pair[1], pair[0][1:], pair[0]))[:depth]
    return dict(best), sum(map(len, found.values())) < depth


def fill(channels: Mapping[str, Channel], scores: dict[PassageKey, float], items: Iterable[ItemKey]) -> None:
    """Add to ``scores`` the rows of those items that have none in it, as other rankings found them."""
    there = {key[:2] for key in scores}
    missing: dict[str, list[str]] = {}
    for store, id_ in set(items) - there:
        if store in channels:
            missing.setdefault(store, []).append(id_)
    for store, ids in missing.items():
        channel = channels[store]
        for key, score in scores_of(channel.exact, ids, channel.total).items():
            scores[(store, *key)] = score


def open_channels(
    stores: Mapping[str, Store],
    query: Query,
    terms: Terms,
    vectors: Mapping[str, "Future[Vector]"],
    limits: Mapping[str, Filter],
) -> Channels:
    """Open the rankings that the query's mode asks for, and degrade with a message where one is missing.

    Args:
        stores: by name.
        query: checked.
        terms: of its text.
        vectors: of the query, while they are still being made: under "text", "image", and "joint" (of its text,
            in the space of images).
        limits: by store, what ``query.where`` leaves; all where there is none.

    Raises:
        QueryError: the mode has no ranking to fall back on.
    """
    channels = Channels()
    if terms.text:
        tables = _tables(stores, "passages")
        limits = _restrict(channels, terms, stores, tables, limits)
        wheres = _filters(query, tables, limits)
        if query.mode != "semantic":
            _open_keyword(channels, terms.text, tables, wheres)
            whole = {store: t for store, t in _tables(stores, "items").items() if keyword.has_index(t)}
            _open_whole(channels, terms.text, whole, _filters(query, whole, limits))
        if query.mode != "keyword":
            _open_vectors(channels, "semantic", tables, wheres, vectors.get("text"))
        _check_text(channels, query, bool(tables))
    if query.image is not None:
        tables = _tables(stores, "images")
        _open_vectors(channels, "visual", tables, _filters(query, tables, limits), vectors["image"])
        if not tables:
            channels.messages.append("no store holds images that can be compared")
    elif "joint" in vectors:
        _open_looks(channels, query, stores, limits, vectors["joint"])
    return channels


def clean(text: str) -> str:
    """Without lone surrogates, which the index and the tokeniser cannot take."""
    return text.encode("utf-8", "replace").decode()


def _tables(stores: Mapping[str, Store], name: str) -> dict[str, Any]:
    found = {store: opened.table(name) for store, opened in stores.items()}
    return {store: table for store, table in found.items() if table is not None}


def _restrict(
    channels: Channels,
    terms: Terms,
    stores: Mapping[str, Store],
    tables: Mapping[str, Any],
    limits: Mapping[str, Filter],
) -> dict[str, Filter]:
    """The limits on ids by store, and those that phrases and excluded words make."""
    if not (terms.phrases or terms.without or terms.without_phrases):
        return dict(limits)
    found = {}
    for store in stores:
        limit = limits.get(store, Filter())
        if store in tables and keyword.has_index(tables[store]):
            held, barred = terms.restrict(tables[store])
        else:  # no words, no phrase
            held, barred = (pa.array([], pa.string()) if terms.phrases else None), None
            if store in tables:
                channels.messages.append(
                    f"store {store} has no full-text index: no phrase or -word is looked for in it"
                )
        if limit.ids is not None and held is not None:
            held = held.filter(pc.is_in(held, value_set=limit.ids))
        found[store] = replace(limit, ids=limit.ids if held is None else held, without=barred)
    if terms.phrases and not any(one.ids is not None and len(one.ids) for one in found.values()):
        listed = " and ".join(f'"{phrase}"' for phrase in terms.phrases)
        channels.messages.append(f"no passage that passes the filters holds {listed}; without quotes words are ranked")
    return found


def _filters(query: Query, tables: Mapping[str, Any], limits: Mapping[str, Filter]) -> dict[str, Filter]:
    modality = "image" if query.image is not None else query.modality
    wanted = {"modality": modality, "source": query.source, "origin": None if query.origin == "any" else query.origin}
    return {
        store: replace(
            limits.get(store, Filter()),
            columns=both(
                limits.get(store, Filter()).columns,
                *(f"{c} = {quote(v)}" for c, v in wanted.items() if v is not None and c in table.schema.names),
            ),
        )
        for store, table in tables.items()
    }


def _open_keyword(channels: Channels, text: str, tables: Mapping[str, Any], wheres: Mapping[str, Filter]) -> None:
    indexed = {store: table for store, table in tables.items() if keyword.has_index(table)}
    for store in tables.keys() - indexed.keys():
        channels.messages.append(f"store {store} has no full-text index: its texts are not searched by words")
    for store, words in keyword.queries(indexed, text).items():
        rank = keyword.ranker(indexed[store], words)
        channels.keyword[store] = Channel(indexed[store].count_rows(), wheres[store], rank, rank)


def _open_whole(channels: Channels, text: str, tables: Mapping[str, Any], wheres: Mapping[str, Filter]) -> None:
    for store, words in keyword.queries(tables, text).items():
        rank = keyword.ranker(tables[store], words)
        channels.whole[store] = Channel(tables[store].count_rows(), wheres[store], rank, rank)


def _open_vectors(
    channels: Channels,
    kind: str,
    tables: Mapping[str, Any],
    wheres: Mapping[str, Filter],
    made: "Future[Vector] | None",
) -> None:
    if made is None or not tables:
        return
    encoded = made.result()
    opened: dict[str, Channel] = getattr(channels, kind)
    for store, table in tables.items():
        if vector.width(table) != len(encoded):
            channels.messages.append(
                f"store {store} holds vectors of another encoder ({vector.width(table)} dimensions, the query has "
                f"{len(encoded)}): run `gendata run`"
            )
            continue
        exact = vector.ranker(table, encoded, exact=True)
        indexed = (
            any(i.field_names == ["vector"] for i in table.describe_indices())
            and wheres[store].ids is None
            and wheres[store].without is None
        )
        rank = vector.ranker(table, encoded, exact=False) if indexed else exact
        opened[store] = Channel(table.count_rows(), wheres[store], rank, exact)


def _open_looks(
    channels: Channels, query: Query, stores: Mapping[str, Store], limits: Mapping[str, Filter], made: "Future[Vector]"
) -> None:
    """Images by the query's text; captions remain where the model is gone."""
    tables = _tables(stores, "images")
    try:
        _open_vectors(channels, "visual", tables, _filters(query, tables, limits), made)
    except GendataError as error:
        channels.messages.append(f"{NO_LOOKS}{error}")


def _check_text(channels: Channels, query: Query, has_passages: bool) -> None:
    if not has_passages:
        channels.messages.append("no store holds text that can be searched")
        return
    if query.mode == "semantic" and not channels.semantic:
        raise QueryError("semantic search needs the text encoder and its vectors: " + _why(channels))
    if query.mode == "keyword" and not channels.keyword:
        raise QueryError("keyword search needs a full-text index: " + _why(channels))
    if query.mode == "hybrid" and not channels.semantic:
        channels.messages.append("no text encoder or no vectors of its kind: ranked by words alone")
    if query.mode == "hybrid" and not channels.keyword:
        channels.messages.append("no full-text index: ranked by meaning alone")


def _why(channels: Channels) -> str:
    return "; ".join(channels.messages) or "run `gendata run`"
