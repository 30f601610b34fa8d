"""Latency of hybrid search, cost of an update, recall of the vector index: beside LanceDB, bm25s with faiss, txtai.

``python -m benchmarks.latency [--passages 100000] [--queries 100]``. Texts are passages of three books, numbered;
vectors are those of 2,000 of them, mixed in pairs with noise, since encoding all would take hours: their nearest
neighbours are as close as those of real texts, which random vectors' are not. Queries are such mixtures and words of
the books; the encoder is left out on all sides. Everything runs in one process, warm, in turns. ``Lance's part`` are
the very calls of Lance that our search made, made again one after the other: what remains is ours.
"""

import argparse
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

os.environ |= {"LANCE_LOG": "error", "LANCEDB_LOG": "error"}  # before the imports: Rust reads them once
import lance
import lancedb
import numpy as np
from lancedb.rerankers import RRFReranker
from numpy.typing import NDArray

from benchmarks.corpus import artifacts_of, texts, write_source
from gendata.embed import TextEncoderParams
from gendata.embed.text import load_text_encoder
from gendata.search import search
from gendata.search.directory import Directory
from gendata.search.vector import Nearness
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.head import Store

BASE, NOISE, N = 2000, 0.35, 10
SOURCES = {f"books-{i}": {"kind": "folder", "origin": "real"} for i in range(10)}

Vectors = NDArray[np.float32]


class Mixtures:
    """Unit vectors near those of real texts, by number."""

    def __init__(self) -> None:
        encoder = load_text_encoder(TextEncoderParams())
        self._base = encoder.encode([item.text or "" for item in texts(BASE)])

    def __call__(self, numbers: Sequence[int]) -> Vectors:
        """One vector per number: always the same."""
        out = np.empty((len(numbers), self._base.shape[1]), np.float32)
        for row, number in enumerate(numbers):
            rng = np.random.default_rng(number)
            one, two = rng.integers(0, BASE, 2)
            share = rng.uniform(0.5, 1.0)
            noise = rng.standard_normal(out.shape[1]) / np.sqrt(out.shape[1])
            out[row] = share * self._base[one] + (1 - share) * self._base[two] + NOISE * noise
        lengths: Vectors = np.linalg.norm(out, axis=1, keepdims=True)
        return out / lengths


def times(calls: Sequence[Callable[[], Any]]) -> tuple[float, float]:
    """Median and 95th percentile in milliseconds."""
    found = []
    for call in calls:
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found), float(np.percentile(found, 95))


def nearest(table: Any, directory: Directory, query: Vectors, *, exact: bool) -> set[int]:
    """The places of the ten nearest rows."""
    rows = Nearness(table, directory, query, exact).best(None, N)
    return set(rows.places[np.argsort(-rows.scores)[:N]].tolist())


def recall(table: Any, vectors: Vectors) -> float:
    """Share of the exact ten nearest among the ten that the index finds."""
    directory = Directory.read(table)
    found = [[nearest(table, directory, query, exact=exact) for exact in (True, False)] for query in vectors]
    return float(np.mean([len(exact & quick) / N for exact, quick in found]))


def ours(stores: Mapping[str, Store], query: str, encoded: Vectors, where: str | None = None) -> Any:
    """Our hybrid search."""
    return search(stores, query, encode_text=lambda _: encoded, n=N, where=where)


def part_of_lance(run: Callable[[], Any]) -> Callable[[], Any]:
    """The calls of Lance that ``run`` makes, to be made again."""
    made: list[Callable[[], Any]] = []

    def noting(real: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            made.append(partial(real, *args, **options))
            return real(*args, **options)

        return noted

    methods = {name: getattr(lance.LanceDataset, name) for name in ("to_table", "take")}
    for name, real in methods.items():
        setattr(lance.LanceDataset, name, noting(real))
    try:
        run()
    finally:
        for name, real in methods.items():
            setattr(lance.LanceDataset, name, real)
    return lambda: [call() for call in made]


def raw(table: Any, query: str, encoded: Vectors, where: str | None = None, n: int = N) -> Any:
    """LanceDB's own hybrid search with reciprocal rank fusion."""
    asked = table.search(query_type="hybrid").vector(encoded).text(query).limit(n).rerank(RRFReranker())
    return (asked.where(where) if where else asked).select(["id", "part", "text"]).to_list()


class Bm25sFaiss:
    """bm25s and a flat faiss index (exact), fused by reciprocal ranks."""

    def __init__(self, corpus: Sequence[str], vectors: Vectors) -> None:
        import bm25s
        import faiss
        import Stemmer

        self._bm25s, self._stem = bm25s, Stemmer.Stemmer("english")
        self._words = bm25s.BM25()
        self._words.index(bm25s.tokenize(list(corpus), stemmer=self._stem, show_progress=False), show_progress=False)
        self._vectors = faiss.IndexFlatIP(vectors.shape[1])
        self._vectors.add(vectors)

    def __call__(self, query: str, encoded: Vectors, n: int = N, depth: int = 100) -> list[int]:
        """The numbers of the best texts."""
        tokens = self._bm25s.tokenize([query], stemmer=self._stem, show_progress=False)
        words, _ = self._words.retrieve(tokens, k=depth, show_progress=False)
        _, near = self._vectors.search(encoded[None], depth)
        scores: dict[int, float] = {}
        for ranking in (words[0], near[0]):
            for place, number in enumerate(ranking.tolist(), 1):
                scores[number] = scores.get(number, 0.0) + 1 / (60 + place)
        return sorted(scores, key=lambda number: -scores[number])[:n]


class Txtai:
    """txtai's hybrid index as it comes: its own BM25, and faiss with the partitions that it chooses."""

    def __init__(self, corpus: Sequence[str], vectors: Vectors, queries: Mapping[str, Vectors]) -> None:
        from txtai import Embeddings

        known = dict(zip(corpus, vectors, strict=True)) | dict(queries)
        self._index = Embeddings(
            method="external",
            transform=lambda asked: np.stack([known[text] for text in asked]),
            hybrid=True,
            content=False,
            backend="faiss",
        )
        self._index.index((number, text, None) for number, text in enumerate(corpus))

    def __call__(self, query: str, n: int = N) -> list[int]:
        """The numbers of the best texts."""
        return [number for number, _ in self._index.search(query, n)]


def mixed(mix: Mixtures, numbers: Sequence[int], rows: Sequence[int]) -> Vectors:
    """The vectors of some of these numbers."""
    return mix([numbers[row] for row in rows])


def built(root: Path, count: int, mix: Mixtures, label: str, index_from: int) -> float:
    """Write shards and the store; the seconds that the store took."""
    for number, name in enumerate(SOURCES):
        some = range(number, count, len(SOURCES))
        items = islice(texts(count), number, None, len(SOURCES))
        write_source(root, name, items, partial(mixed, mix, some))
    start = time.perf_counter()
    build(artifacts_of(root, list(SOURCES)), SOURCES, root / "store", StoreParams(vector_index_rows=index_from))
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{label}: {count} texts, {took:.1f} s, peak memory {peak} MB")
    return took


def beside(root: Path, mix: Mixtures, count: int, store: Store, pairs: Sequence[tuple[str, Vectors]]) -> None:
    """Print what a second store costs, whose words then have to weigh the same: asked once, and again."""
    built(root, count, mix, "second store", 10**9)
    stores = {"real": store, "other": Store.open(root / "store" / "real")}
    search(stores, "river", mode="keyword")  # opens it
    calls = [partial(ours, stores, query, one) for query, one in pairs]
    for label in ("words new", "words known"):
        median, high = times(calls)
        print(f"two stores, {label}: p50 {median:7.1f} ms  p95 {high:7.1f} ms")


def report(name: str, calls: Mapping[str, Sequence[Callable[[], Any]]]) -> None:
    """Print latencies, and how many times as long ours takes."""
    found = {who: times(some) for who, some in calls.items()}
    ours = found["gendata"]
    for who, (median, high) in found.items():
        ratios = f"p50 {median:7.1f} ms ({ours[0] / median:.2f}x)  p95 {high:7.1f} ms ({ours[1] / high:.2f}x)"
        print(f"{name:10} {who:12} {ratios}")


def main() -> None:
    """Print build, update, recall, latencies and throughput."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    asked = parser.parse_args()
    mix = Mixtures()
    root = Path(tempfile.mkdtemp(prefix="gendata-bench-"))
    try:
        first = built(root, asked.passages, mix, "new build", asked.passages // 2)
        second = built(root, asked.passages + asked.passages // 100, mix, "update of 1 %", asked.passages // 2)
        print(f"the update of the store costs {second / first:.2f} of the build")
        store = Store.open(root / "store" / "real")
        alone = {"real": store}
        table = lancedb.connect(root / "store" / "real" / "lance").open_table("passages")
        rng = np.random.default_rng(7)
        words = " ".join(item.text or "" for item in texts(BASE)).split()
        queries = [" ".join(rng.choice(words, 4)) for _ in range(asked.queries)]
        encoded = mix(range(10**9, 10**9 + asked.queries))
        print(f"recall@{N} of the vector index: {recall(store.table('passages'), encoded):.3f}")
        corpus = [item.text or "" for item in texts(asked.passages)]
        vectors = mix(range(asked.passages))
        peer = Bm25sFaiss(corpus, vectors)
        txtai = Txtai(corpus, vectors, dict(zip(queries, encoded, strict=True)))
        pairs = list(zip(queries, encoded, strict=True))
        for query, one in pairs[:5]:
            ours(alone, query, one), raw(table, query, one), peer(query, one), txtai(query)  # warm
        for name, where in (("hybrid", None), ("filtered", "source = 'books-3'")):
            calls: dict[str, list[Callable[[], Any]]] = {
                "gendata": [partial(ours, alone, q, v, where) for q, v in pairs],
                "LanceDB RRF": [partial(raw, table, q, v, where) for q, v in pairs],
            }
            calls["Lance's part"] = [part_of_lance(call) for call in calls["gendata"]]
            if not where:
                calls["bm25s+faiss"] = [partial(peer, query, one) for query, one in pairs]
                calls["txtai"] = [partial(txtai, query) for query in queries]
            report(name, calls)
        beside(root / "second", mix, asked.passages // 100, store, pairs)
        start = time.perf_counter()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda pair: ours(alone, *pair), pairs))
        print(f"8 threads: {len(pairs) / (time.perf_counter() - start):.1f} hybrid searches a second")
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
