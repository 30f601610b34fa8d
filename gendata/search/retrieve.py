"""From a query to hits: rank passages in every store, blend, group to items, look up what they are."""

import heapq
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import get_args

from gendata.errors import ProjectError, QueryError
from gendata.items import MODALITIES, ORIGINS
from gendata.search import RANKINGS, Encoders, Mode, Query, SearchParams, SearchResult
from gendata.search.channels import (
    CAPTIONS_ONLY,
    Channels,
    Collected,
    ItemKey,
    PassageKey,
    clean,
    collect,
    fill,
    open_channels,
)
from gendata.search.fusion import best_by, blend, fuse
from gendata.search.hits import Found, look_up
from gendata.search.pushdown import pushed
from gendata.search.ranking import Filter
from gendata.search.sql import Limits, select_ids
from gendata.search.terms import parse
from gendata.store.head import Store

LIKENESS = 0.5
"""Share of the likeness to the query's image where the query has a text too."""

LOOKS = 1 / 3
"""Share of how well an image goes with the query's text: as much as words and meaning have by default."""


PASSAGE = 0.5
"""Weight of the best passage's BM25 beside that of the whole text."""

_POOL = ThreadPoolExecutor(8, "gendata-search")
"""For the rankings of a query beside each other: Lance works outside the interpreter's lock."""


def retrieve(stores: Mapping[str, Store], query: Query, encoders: Encoders, params: SearchParams) -> SearchResult:
    """See ``gendata.search.search``."""
    check(query)
    if not stores:
        raise ProjectError("no store is built: run `gendata run`")
    limits = Limits(params.sql_timeout, params.sql_memory_mb << 20)
    terms = parse(clean(query.text or ""))
    # the encoders import torch while this thread evaluates the condition and imports Lance; one after the other,
    # since two threads that import each other's modules can meet one that is half there
    with ThreadPoolExecutor(1) as pool:
        vectors = {}
        if terms.text and query.mode != "keyword" and encoders.text:
            vectors["text"] = pool.submit(encoders.text, terms.text)
        if query.image is not None:
            if encoders.image is None:
                raise QueryError("search by image needs the image encoder")
            vectors["image"] = pool.submit(encoders.image, query.image)
        elif encoders.joint and query.mode != "keyword" and query.modality in {None, "image"} and terms.text:
            vectors["joint"] = pool.submit(encoders.joint, terms.text)
        channels = open_channels(stores, query, terms, vectors, _taking_part(query.where, stores, limits))
    if query.modality == "image" and query.image is None and encoders.joint is None:
        channels.messages.append(CAPTIONS_ONLY)
    best = _best(channels, query, params)
    return SearchResult(look_up(stores, best), tuple(channels.messages))


def _taking_part(where: str | None, stores: Mapping[str, Store], limits: Limits) -> dict[str, Filter]:
    """What takes part, by store, under the condition of a query."""
    if where is None:
        return {}
    if (columns := pushed(where)) is not None:
        return dict.fromkeys(stores, Filter(columns=columns))
    return {store: Filter(ids=ids) for store, ids in select_ids(where, stores, limits=limits).items()}


def check(query: Query) -> None:
    """Raise QueryError where the query cannot be answered, naming what is allowed."""
    if not (query.text or "").strip() and query.image is None:
        raise QueryError("the query is empty: give a text or an image")
    if query.n < 1:
        raise QueryError(f"n must be at least 1, not {query.n}")
    allowed = {
        "mode": (query.mode, get_args(Mode)),
        "modality": (query.modality, (None, *MODALITIES)),
        "origin": (query.origin, ("any", *ORIGINS)),
    }
    for name, (value, values) in allowed.items():
        if value not in values:
            raise QueryError(f"{name} {value!r} is not one of {', '.join(v for v in values if v)}")
    if query.image is not None and query.modality not in {None, "image"}:
        raise QueryError(f"an image finds images, not items of modality {query.modality}")


@dataclass
class _Ranked:
    """Passages, whole texts and images, ranked."""

    keyword: Collected
    whole: Collected
    semantic: Collected
    visual: Collected

    @property
    def exhausted(self) -> bool:
        """Whether the stores hold no more."""
        return all(found.exhausted for found in (self.keyword, self.whole, self.semantic, self.visual))

    @cached_property
    def by_item(self) -> dict[str, dict[ItemKey, float]]:
        """The score of each item in each ranking: its best passage's, by words beside that of the whole text."""
        found: dict[str, dict[ItemKey, float]] = {}
        for name in RANKINGS:
            best = found[name] = {}
            for (store, item, _), score in getattr(self, name).scores.items():
                best[store, item] = max(score, best.get((store, item), score))
        words, whole = found["keyword"], {key[:2]: score for key, score in self.whole.scores.items()}
        found["keyword"] = {item: whole.get(item, 0.0) + PASSAGE * words.get(item, 0.0) for item in {**words, **whole}}
        return found

    @cached_property
    def places(self) -> dict[str, dict[ItemKey, int]]:
        """The place of each item, from 1, in each ranking."""
        found = {}
        for name, scores in self.by_item.items():
            order = sorted((-score, item) for item, score in scores.items())
            found[name] = {item: place for place, (_, item) in enumerate(order, 1)}
        return found


def _best(channels: Channels, query: Query, params: SearchParams) -> list[Found]:
    """The ``n`` best items; deeper rankings are taken until ``n`` different items are found."""
    depth = max(params.depth, query.n)
    while True:
        ranked = _rank(channels, depth)
        scores, passage_of = _scores(ranked, channels, query, params)
        if len(scores) >= query.n or ranked.exhausted:
            if channels.keyword and not ranked.keyword.scores and query.mode != "semantic":
                channels.messages.append("no passage that passes the filters has a word of the query")
            best = heapq.nsmallest(query.n, scores, key=lambda item: (-scores[item], item[1], item[0]))
            by_words = bool(channels.keyword)
            return [_found(ranked, item, scores[item], passage_of.get(item), by_words) for item in best]
        depth *= 4


def _rank(channels: Channels, depth: int) -> _Ranked:
    rankings = (channels.keyword, channels.whole, channels.semantic, channels.visual)
    found = list(_POOL.map(collect, rankings, repeat(depth)))
    items = {key[:2] for one in found[:3] for key in one.scores}
    list(_POOL.map(fill, rankings[:3], found[:3], repeat(items)))
    return _Ranked(*found)


def _scores(
    ranked: _Ranked, channels: Channels, query: Query, params: SearchParams
) -> tuple[dict[ItemKey, float], dict[ItemKey, PassageKey]]:
    """The score of every item that was ranked, and its best passage if it has one."""
    by_item = ranked.by_item
    if channels.keyword and channels.semantic:
        scores = fuse(by_item["keyword"], by_item["semantic"], params.keyword_weight)
        passages = blend(ranked.keyword.scores, ranked.semantic.scores, params.keyword_weight)
    else:
        scores = dict(by_item["keyword"] or by_item["semantic"])
        passages = ranked.keyword.scores or ranked.semantic.scores
    passage_of: dict[ItemKey, PassageKey] = best_by(passages, ((key, key[:2]) for key in sorted(passages)))
    if channels.visual:
        if scores:
            fill(channels.visual, ranked.visual, scores)
        likeness = {key[:2]: score for key, score in ranked.visual.scores.items()}
        if not scores:
            scores = likeness
        elif query.image is not None:
            scores = blend(likeness, scores, LIKENESS)
        else:
            scores = blend(_above_lowest(likeness), scores, LOOKS)
    return scores, passage_of


def _above_lowest(scores: Mapping[ItemKey, float]) -> dict[ItemKey, float]:
    """Scores less the lowest of them, so that 0, which items without an image have, is the low end of the ranking.

    The cosines of a text to images crowd far from 0 (in CLIP from 0.15 to 0.35): any image would beat any text.
    """
    lowest = min(scores.values(), default=0.0)
    return {item: score - lowest for item, score in scores.items()}


def _found(ranked: _Ranked, item: ItemKey, score: float, passage: PassageKey | None, by_words: bool) -> Found:
    scores, places = ranked.by_item, ranked.places
    no_word = 0.0 if by_words and passage else None
    return Found(
        store=item[0],
        key=item[1],
        score=score,
        part=passage[2] if passage else None,
        keyword_score=scores["keyword"].get(item, no_word),
        semantic_score=scores["semantic"].get(item),
        visual_score=scores["visual"].get(item),
        keyword_rank=places["keyword"].get(item),
        semantic_rank=places["semantic"].get(item),
        visual_rank=places["visual"].get(item),
    )
