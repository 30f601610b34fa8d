"""Which rankings of which stores a query uses, and what the caller should know about it."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gendata.errors import GendataError, QueryError
from gendata.search import Query, keyword, vector
from gendata.search.directory import Keys, directory
from gendata.search.ranking import Filter, Ranking, Rows, Top, both, quote, scores_of, top
from gendata.search.terms import Terms
from gendata.store.head import Store

Vector: TypeAlias = NDArray[np.float32]

CAPTIONS_ONLY = (
    "images are found by their captions alone: the image encoder knows outline and colour layout, no words, or is not "
    "run (embed.image.compute: false); search with an image to find images that look alike"
)

NO_MEANING = "no text encoder is run (embed.text.compute: false)"

NO_LOOKS = "images are found by their captions alone: "
"""And why the model of images and texts is of no help."""


@dataclass(frozen=True)
class Channel:
    """One ranking of one table, and which rows take part."""

    ranking: Ranking
    where: Filter


@dataclass
class Channels:
    """The rankings of a query, by store."""

    keyword: dict[str, Channel] = field(default_factory=dict)
    whole: dict[str, Channel] = field(default_factory=dict)
    """By words over whole texts; ``keyword`` is over their passages."""
    semantic: dict[str, Channel] = field(default_factory=dict)
    visual: dict[str, Channel] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def by_words(self) -> bool:
        """Whether any ranking is by words; without vectors of texts there are no passages, and it is of whole texts."""
        return bool(self.keyword or self.whole)


@dataclass
class Collected:
    """Rows of one ranking. Arrays are store by store, in the order of ``rows``."""

    channels: Mapping[str, Channel]
    tops: Mapping[str, Top]
    rows: dict[str, Rows]
    """By store."""
    exhausted: bool
    """Whether there are no more than were asked for."""

    def keys(self, store: str) -> Keys:
        """The item of each row of a store."""
        return self.channels[store].ranking.directory.keys[self.rows[store].places]

    @property
    def parts(self) -> NDArray[np.int64]:
        """Which passage of its item each row is."""
        found = [self.channels[store].ranking.directory.parts[rows.places] for store, rows in self.rows.items()]
        return np.concatenate([np.empty(0, np.int64), *found])

    @property
    def scores(self) -> NDArray[np.float64]:
        """Of each row."""
        return np.concatenate([np.empty(0), *(rows.scores for rows in self.rows.values())])


def collect(channels: Mapping[str, Channel], depth: int) -> Collected:
    """The best ``depth`` rows of all stores together; of equal ones by key and part, then by store."""
    tops = {store: top(channel.ranking, channel.where, depth) for store, channel in sorted(channels.items())}
    rows = {store: found.best for store, found in tops.items()}
    found = Collected(channels, tops, rows, sum(len(some.scores) for some in rows.values()) < depth)
    if len(rows) > 1:
        keys = np.concatenate([found.keys(store) for store in rows])
        kept = np.zeros(len(keys), bool)
        kept[np.lexsort((found.parts, keys, -found.scores))[:depth]] = True
        ends = np.cumsum([len(some.scores) for some in rows.values()])
        found.rows = {
            store: some.only(taken)
            for (store, some), taken in zip(rows.items(), np.split(kept, ends[:-1]), strict=True)
        }
    return found


def fill(found: Collected, items: Mapping[str, Keys]) -> None:
    """Add the rows of those items, by store, that have none among the rows found, as other rankings found them."""
    for store, channel in found.channels.items():
        missing = np.setdiff1d(items.get(store, np.empty(0, np.uint64)), found.keys(store))
        if len(missing):
            more = scores_of(channel.ranking, missing, found.tops[store])
            found.rows[store] = Rows.joined([found.rows[store], more])


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
        limits = _restrict(channels, terms, stores, limits)
        wheres = _filters(query, tables, limits)
        if query.mode != "semantic":
            for store in tables:
                if not keyword.has_index(tables[store]):
                    channels.messages.append(
                        f"store {store} has no full-text index: its texts are not searched by words"
                    )
            channels.keyword = _by_words(stores, "passages", terms.text, wheres)
            if tables or _hold_texts(stores):
                wholes = _filters(query, _tables(stores, "items"), limits)
                channels.whole = _by_words(stores, "items", terms.text, wholes)
        if query.mode != "keyword":
            channels.semantic = _by_vector(channels, stores, "passages", wheres, vectors.get("text"))
        _check_text(channels, query, bool(tables), frozenset(vectors))
    if query.image is not None:
        tables = _tables(stores, "images")
        wheres = _filters(query, tables, limits)
        channels.visual = _by_vector(channels, stores, "images", wheres, vectors["image"])
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


def _hold_texts(stores: Mapping[str, Store]) -> bool:
    """Whether any item has a text: where there are no passages texts may lack vectors alone."""
    asked = "SELECT 1 FROM items WHERE text IS NOT NULL LIMIT 1"
    return any(store.connection.cursor().execute(asked).fetchone() for store in stores.values())


def _restrict(
    channels: Channels,
    terms: Terms,
    stores: Mapping[str, Store],
    limits: Mapping[str, Filter],
) -> dict[str, Filter]:
    """The limits on ids by store, and those that phrases and excluded words make."""
    if not (terms.phrases or terms.without or terms.without_phrases):
        return dict(limits)
    tables, found = _tables(stores, "items"), {}
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
        channels.messages.append(f"no item that passes the filters holds {listed}; without quotes words are ranked")
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


def _by_words(stores: Mapping[str, Store], name: str, text: str, wheres: Mapping[str, Filter]) -> dict[str, Channel]:
    """Of the tables of this name that have a full-text index."""
    tables = {store: table for store, table in _tables(stores, name).items() if keyword.has_index(table)}
    queries = keyword.queries(tables, text)
    return {
        store: Channel(keyword.Words(table, directory(stores[store], name), queries[store]), wheres[store])
        for store, table in tables.items()
    }


def _by_vector(
    channels: Channels,
    stores: Mapping[str, Store],
    name: str,
    wheres: Mapping[str, Filter],
    made: "Future[Vector] | None",
) -> dict[str, Channel]:
    """Of the tables of this name whose vectors are of the query's encoder."""
    tables = _tables(stores, name)
    if made is None or not tables:
        return {}
    encoded, opened = made.result(), dict[str, Channel]()
    for store, table in tables.items():
        if vector.width(table) != len(encoded):
            channels.messages.append(
                f"store {store} holds vectors of another encoder ({vector.width(table)} dimensions, the query has "
                f"{len(encoded)}): run `gendata run`"
            )
            continue
        where = wheres[store]
        indexed = any(i.field_names == ["vector"] for i in table.describe_indices())
        exact = not indexed or where.ids is not None or where.without is not None
        opened[store] = Channel(vector.Nearness(table, directory(stores[store], name), encoded, exact), where)
    return opened


def _open_looks(
    channels: Channels, query: Query, stores: Mapping[str, Store], limits: Mapping[str, Filter], made: "Future[Vector]"
) -> None:
    """Images by the query's text; captions remain where the model is gone."""
    wheres = _filters(query, _tables(stores, "images"), limits)
    try:
        channels.visual = _by_vector(channels, stores, "images", wheres, made)
    except GendataError as error:
        channels.messages.append(f"{NO_LOOKS}{error}")


def _check_text(channels: Channels, query: Query, has_passages: bool, encoded: frozenset[str]) -> None:
    """``encoded``: under what names vectors of the query are being made."""
    if query.mode == "semantic" and "text" not in encoded:
        if "joint" not in encoded:
            raise QueryError(f"semantic search needs the text encoder and its vectors: {NO_MEANING}")
        channels.messages.append(f"{NO_MEANING}: images alone are found")
        return
    if not has_passages and not channels.whole:
        channels.messages.append("no store holds text that can be searched")
        return
    if query.mode == "semantic" and not channels.semantic:
        raise QueryError("semantic search needs the text encoder and its vectors: " + _why(channels))
    if query.mode == "keyword" and not channels.by_words:
        raise QueryError("keyword search needs a full-text index: " + _why(channels))
    if query.mode == "hybrid" and not channels.semantic:
        reason = "no vectors of the text encoder's kind" if "text" in encoded else NO_MEANING
        channels.messages.append(f"{reason}: ranked by words alone")
    if query.mode == "hybrid" and not channels.by_words:
        channels.messages.append("no full-text index: ranked by meaning alone")


def _why(channels: Channels) -> str:
    return "; ".join(channels.messages) or "run `gendata run`"
