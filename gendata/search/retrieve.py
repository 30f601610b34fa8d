"""From a query to hits: rank passages in every store, blend, group to items, look up what they are."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from gendata.errors import ProjectError, QueryError
from gendata.items import MODALITIES, ORIGINS
from gendata.search import RANKINGS, Encoders, Mode, Query, SearchParams, SearchResult
from gendata.search.candidates import NONE, Candidates, place, ranked
from gendata.search.channels import CAPTIONS_ONLY, Channels, clean, collect, fill, open_channels
from gendata.search.fusion import Scores, blend, fuse
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


NO_WORD = "no passage that passes the filters has a word of the query; the most common words are not looked for"

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
    if query.text and not terms.text.strip():
        raise QueryError("the query only excludes: say what to look for as well")
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
    if not best and query.source is not None and query.source not in (known := _sources(stores)):
        channels.messages.append(f"no source is called {query.source!r}: there are {', '.join(sorted(known))}")
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


def _sources(stores: Mapping[str, Store]) -> set[str]:
    rows = (store.connection.cursor().execute("SELECT source FROM sources").fetchall() for store in stores.values())
    return {name for found in rows for (name,) in found}


@dataclass(frozen=True)
class _Ranked:
    """Items, their scores by each ranking and in all, and their best passage (-1: none)."""

    candidates: Candidates
    keyword: Scores
    semantic: Scores
    visual: Scores
    scores: Scores
    parts: NDArray[np.int64]
    exhausted: bool
    """Whether the stores hold no more."""


def _best(channels: Channels, query: Query, params: SearchParams) -> list[Found]:
    """The ``n`` best items; deeper rankings are taken until ``n`` different items are found."""
    depth = max(params.depth, query.n)
    while True:
        found = _rank(channels, depth, query, params)
        if found.exhausted or ranked(found.scores) >= query.n:
            break
        depth *= 4
    if channels.by_words and query.mode != "semantic" and not ranked(found.keyword):
        channels.messages.append(NO_WORD)
    best = found.candidates.first(found.scores, query.n)
    return [_found(found, number, by_words=bool(channels.keyword)) for number in best]


def _rank(channels: Channels, depth: int, query: Query, params: SearchParams) -> _Ranked:
    rankings = (channels.keyword, channels.whole, channels.semantic, channels.visual)
    collected = list(_POOL.map(collect, rankings, repeat(depth)))
    keyword, _, semantic, _ = collected
    of_texts = Candidates.of(collected[:3])
    list(_POOL.map(fill, collected, repeat(of_texts.keys)))
    candidates = Candidates.of(collected)
    passages, texts, meaning, visual = map(candidates.scores, collected)
    words = np.where(np.isnan(passages), texts, np.nan_to_num(texts) + PASSAGE * passages)
    weight = params.keyword_weight
    if channels.by_words and channels.semantic:
        scores = _fused(words, meaning, weight)
        parts = candidates.parts((keyword, weight), (semantic, 1 - weight))
    else:
        scores = words if ranked(words) else meaning
        parts = candidates.parts((keyword if ranked(passages) else semantic, 1.0))
    if channels.visual:
        scores = _with_looks(scores, visual, query)
    exhausted = all(found.exhausted for found in collected)
    return _Ranked(candidates, words, meaning, visual, scores, parts, exhausted)


def _fused(words: Scores, meaning: Scores, weight: float) -> Scores:
    """Of the items that one of the two ranks; the other's score is 0 where it does not: no word in common."""
    either = ~(np.isnan(words) & np.isnan(meaning))
    scores = np.full(len(words), NONE)
    scores[either] = fuse(np.nan_to_num(words[either]), np.nan_to_num(meaning[either]), weight)
    return scores


def _with_looks(scores: Scores, looks: Scores, query: Query) -> Scores:
    if not ranked(scores):
        return looks
    if query.image is not None:
        return blend(np.nan_to_num(looks), np.nan_to_num(scores), LIKENESS)
    # less the lowest, so that 0, which items without an image have, is the low end: the cosines of a text to images
    # crowd far from 0 (in CLIP from 0.15 to 0.35), and any image would beat any text
    lowest = np.min(looks, where=~np.isnan(looks), initial=np.inf)
    return blend(np.nan_to_num(looks - lowest), np.nan_to_num(scores), LOOKS)


def _found(found: _Ranked, number: int, *, by_words: bool) -> Found:
    store, key = found.candidates.item(number)
    part = None if found.parts[number] < 0 else int(found.parts[number])
    said: dict[str, Any] = {}
    for name in RANKINGS:
        scores = getattr(found, name)
        said[f"{name}_rank"] = place(scores, number)
        said[f"{name}_score"] = None if np.isnan(scores[number]) else float(scores[number])
    if by_words and part is not None and said["keyword_score"] is None:
        said["keyword_score"] = 0.0  # no word of the query
    return Found(store=store, key=key, score=float(found.scores[number]), part=part, **said)
