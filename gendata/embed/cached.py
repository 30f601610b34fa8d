"""Encoders with their caches: parts of contents, from the cache as far as it has them."""

from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from gendata.embed.cache import Parts, VectorCache
from gendata.embed.decode import UnreadableImageError
from gendata.embed.encoder import ImageEncoder, TextEncoder, Vectors, key_of
from gendata.embed.passages import Span, split
from gendata.errors import GendataError

SPLIT_VERSION = 1
"""Raised when ``passages.split`` cuts differently."""

CHUNK = 4096
"""Passages encoded between two writes to the cache: what a kill can cost, and enough to fill batches."""

IMAGE_CHUNK = 256
"""Images likewise: a large model takes a second for each."""

Tick = Callable[[int], None]


class CachedTexts:
    """Passages of texts, cut to ``limit`` tokens, by the digest of the whole text."""

    def __init__(self, encoder: TextEncoder, passage_tokens: int, cache: Path) -> None:
        self.encoder = encoder
        self._limit = min(passage_tokens, encoder.max_tokens)
        key = key_of(encoder=encoder.key, passage_tokens=self._limit, split=SPLIT_VERSION)
        self._cache = VectorCache("text", key, encoder.dim, cache)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._cache.__exit__(error)

    def parts(self, texts: Mapping[str, str], tick: Tick) -> tuple[dict[str, Parts], set[str]]:
        """Passages of each text that is more than white space, and the digests of those not cached.

        ``tick`` is called with numbers of texts, which add up to at most ``len(texts)``.
        """
        cached = self._cache.get(list(texts))
        whole = {key: parts for key, parts in cached.items() if len(parts.spans) == parts.total}
        todo = [key for key in texts if key not in whole]
        tick(len(whole))
        spans = dict(zip(todo, split([texts[key] for key in todo], self._limit, self.encoder.count), strict=True))
        done = {key: _prefix(cached.get(key), spans[key], self.encoder.dim) for key in todo}
        jobs = [(key, part) for key in todo for part in range(len(done[key]), len(spans[key]))]
        advance = proportional(tick, len(todo), len(jobs))
        found = {key: [done[key]] for key in todo}
        for start in range(0, len(jobs), CHUNK):
            some = jobs[start : start + CHUNK]
            passages = [texts[key][slice(*spans[key][part])] for key, part in some]
            vectors = checked(self.encoder.encode(passages, advance), self.encoder.name)
            for key, run in _runs(some, vectors):
                found[key].append(run)
            self._keep(some, spans, vectors)
        for key in todo:
            if spans[key]:
                whole[key] = Parts(_spans(spans[key]), np.concatenate(found[key]), len(spans[key]))
        return whole, set(todo)

    def _keep(self, jobs: list[tuple[str, int]], spans: Mapping[str, list[Span]], vectors: Vectors) -> None:
        first: dict[str, int] = {}
        for key, part in jobs:
            first.setdefault(key, part)
        self._cache.put(
            [
                (key, at, Parts(_spans(spans[key][at : at + len(run)]), run, len(spans[key])))
                for (key, run), at in zip(_runs(jobs, vectors), first.values(), strict=True)
            ]
        )


class CachedImages:
    """Vectors of images, by the digest of their bytes."""

    def __init__(self, encoder: ImageEncoder, cache: Path) -> None:
        self.encoder = encoder
        self._cache = VectorCache("image", encoder.key, encoder.dim, cache)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._cache.__exit__(error)

    def vectors(
        self, images: Mapping[str, bytes], tick: Tick
    ) -> tuple[dict[str, Vectors | UnreadableImageError], set[str]]:
        """The vector of each image, or why there is none, and the digests of those not cached.

        ``tick`` is called with numbers of images, which add up to ``len(images)``.
        """
        cached = self._cache.get(list(images))
        found: dict[str, Any] = {key: parts.vectors[0] for key, parts in cached.items()}
        todo = [key for key in images if key not in found]
        tick(len(cached))
        for start in range(0, len(todo), IMAGE_CHUNK):
            some = todo[start : start + IMAGE_CHUNK]
            results = dict(zip(some, self.encoder.encode_each([images[key] for key in some]), strict=True))
            found.update(results)
            self._cache.put(
                [
                    (key, 0, Parts(_spans([(-1, -1)]), checked(vector[None], self.encoder.name), 1))
                    for key, vector in results.items()
                    if not isinstance(vector, UnreadableImageError)
                ]
            )
            tick(len(some))
        return found, set(todo)


def checked(vectors: Vectors, name: str) -> Vectors:
    """The vectors, if every one is finite and of length 1. Raises GendataError."""
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):  # false for NaN as well
        raise GendataError(f"embed: the model {name} gave a vector that is not finite or has no length")
    return vectors


def _prefix(cached: Parts | None, spans: list[Span], dim: int) -> Vectors:
    """The cached vectors that still fit the text's first passages: what a killed run left."""
    n = len(cached.spans) if cached else 0
    if cached and n <= len(spans) == cached.total and np.array_equal(cached.spans, _spans(spans[:n])):
        return cached.vectors
    return np.empty((0, dim), np.float32)


def _spans(spans: list[Span]) -> npt.NDArray[np.int64]:
    return np.asarray(spans, np.int64).reshape(-1, 2)


def _runs(jobs: list[tuple[str, int]], vectors: Vectors) -> list[tuple[str, Vectors]]:
    """The vectors of each key in turn; a key's jobs stand together."""
    runs, start = [], 0
    for key, group in groupby(jobs, key=lambda job: job[0]):
        end = start + sum(1 for _ in group)
        runs.append((key, vectors[start:end]))
        start = end
    return runs


def proportional(tick: Tick, items: int, jobs: int) -> Tick:
    """Spreads ``items`` evenly over ``jobs`` steps."""
    done = shown = 0

    def advance(n: int) -> None:
        nonlocal done, shown
        done += n
        now = items * done // jobs
        tick(now - shown)
        shown = now

    return advance
