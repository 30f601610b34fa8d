"""Quality of search: nDCG@10 and recall@100 on judged collections, each ranking and each way to fuse, one index.

``python -m benchmarks.search [--collections ir_adi ir_cranfield ir_scifact] [--queries N] [--keep FOLDER]``. Each
collection of the folder GENDATA_EVAL_DATA becomes a project of its own, read, embedded and stored by ``gendata run``;
projects kept in a folder are found there again. Rankings are asked of ``Project.search``; reciprocal rank fusion
(Cormack et al., 2009, k = 60) and the min-max blend are made of the same two rankings. The peer by words is bm25s, with
an English stemmer and stop words; hybrid peers are those that ``benchmarks.latency`` times, over the passages and
vectors of the project: LanceDB's own fusion, bm25s with faiss, txtai. Beside each mean stands the share of paired
bootstrap samples (10,000) in which ours is not below it.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ |= {"LANCE_LOG": "error", "LANCEDB_LOG": "error"}  # before the imports: Rust reads them once
import lancedb
import numpy as np

from benchmarks.corpus import data_folder, project_of
from benchmarks.latency import Bm25sFaiss, Txtai, raw
from gendata import params
from gendata.embed import EmbedParams
from gendata.embed.query import encode_query
from gendata.project import Project
from gendata.store.head import Store

COLLECTIONS = ("ir_adi", "ir_cranfield", "ir_scifact")
DEPTH = 100

Ranking = list[str]
"""Documents of a collection by its own ids, best first."""

Judged = dict[str, int]
"""Relevance by document."""


def build(name: str, folder: Path) -> Project:
    """A project whose one source is the collection."""
    source = "docs: {kind: table, path: corpus.jsonl, origin: real, dedup: false, map: {text: text}}"
    project = project_of(folder, source)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as out:
        for doc in _lines(data_folder() / name / "corpus.jsonl"):
            text = "\n".join(filter(None, (doc.get("title"), doc["text"])))
            out.write(json.dumps({"doc": doc["_id"], "text": text}) + "\n")
    start_time = time.perf_counter()
    subprocess.run([sys.executable, "-m", "gendata", "run"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    print(f"{name} built in {time.perf_counter() - start_time:.0f} s", file=sys.stderr)
    return project


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def judgements(name: str) -> dict[str, Judged]:
    """Relevant documents by query."""
    found: dict[str, Judged] = {}
    for path in sorted((data_folder() / name / "qrels").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            query, doc, relevance = line.split("\t")[:3]
            if int(relevance) > 0:
                found.setdefault(query, {})[doc] = int(relevance)
    return found


def documents(project: Project) -> dict[str, str]:
    """The collection's id of each item; equal texts of a collection are one item, under the id that was kept."""
    rows = project.sql("SELECT id, meta->>'$.doc' AS doc FROM items").to_pylist()
    return {row["id"]: row["doc"] for row in rows}


def ndcg(ranking: Ranking, judged: Judged, depth: int = 10) -> float:
    """Normalised discounted cumulative gain (Jarvelin and Kekalainen, 2002), gains as judged."""
    gains = [judged.get(doc, 0) for doc in ranking[:depth]]
    ideal = sorted(judged.values(), reverse=True)[:depth]
    return _dcg(gains) / _dcg(ideal)


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


def recall(ranking: Ranking, judged: Judged) -> float:
    """Share of the relevant documents among the first 100."""
    return len(set(ranking[:DEPTH]) & judged.keys()) / len(judged)


def reciprocal_rank_fusion(rankings: list[Ranking]) -> Ranking:
    """Reciprocal rank fusion with k = 60."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for place, doc in enumerate(ranking, 1):
            scores[doc] = scores.get(doc, 0.0) + 1 / (60 + place)
    return sorted(scores, key=lambda doc: (-scores[doc], doc))


def min_max(scored: list[Mapping[str, float]]) -> Ranking:
    """The plain blend: the mean of min-max normalised scores; what a ranking lacks has 0 there."""
    total: dict[str, float] = {}
    for scores in filter(None, scored):
        low, high = min(scores.values()), max(scores.values())
        for doc, score in scores.items():
            total[doc] = total.get(doc, 0.0) + (score - low) / ((high - low) or 1.0)
    return sorted(total, key=lambda doc: (-total[doc], doc))


class Bm25s:
    """bm25s (Lu, 2024) over the texts that the project holds."""

    def __init__(self, project: Project, names: Mapping[str, str]) -> None:
        import bm25s
        import Stemmer

        rows = project.sql("SELECT id, text FROM items").to_pylist()
        self._bm25s, self._stem = bm25s, Stemmer.Stemmer("english")
        self._names = [names[row["id"]] for row in rows]
        self._index = bm25s.BM25()
        self._index.index(self._tokens([row["text"] for row in rows]), show_progress=False)

    def _tokens(self, texts: list[str]) -> Any:
        return self._bm25s.tokenize(texts, stopwords="en", stemmer=self._stem, show_progress=False)

    def __call__(self, query: str) -> Ranking:
        """The best 100."""
        found, _ = self._index.retrieve(self._tokens([query]), k=min(DEPTH, len(self._names)), show_progress=False)
        return [self._names[number] for number in found[0].tolist()]


class Hybrids:
    """The hybrid searches of others over the passages that the project holds, with its vectors."""

    def __init__(self, project: Project, names: Mapping[str, str], queries: list[str]) -> None:
        store = Store.open(project.root / "artifacts" / "store" / "real")
        table = store.table("passages")
        assert table is not None
        rows = table.to_table(columns=["id", "text", "vector"])
        texts, vectors = rows["text"].to_pylist(), np.array(rows["vector"].to_pylist(), np.float32)
        embed = params.load(project.root / "params.yaml", "embed", EmbedParams)
        self._docs = [names[id_] for id_ in rows["id"].to_pylist()]
        self._names, self._encoded = names, {query: encode_query(query, embed) for query in queries}
        self._table = lancedb.connect(store.path / "lance").open_table("passages")
        self._faiss, self._txtai = Bm25sFaiss(texts, vectors), Txtai(texts, vectors, self._encoded)

    def __call__(self, query: str) -> dict[str, Ranking]:
        """The documents of the best 100 passages of each."""
        encoded, depth = self._encoded[query], min(DEPTH, len(self._docs))
        lance = [self._names[row["id"]] for row in raw(self._table, query, encoded, n=depth)]
        faiss = [self._docs[number] for number in self._faiss(query, encoded, depth, depth)]
        txtai = [self._docs[number] for number in self._txtai(query, depth)]
        found = {"lancedb rrf": lance, "bm25s+faiss": faiss, "txtai": txtai}
        return {who: list(dict.fromkeys(docs)) for who, docs in found.items()}


def rank_all(project: Project, query: str, names: Mapping[str, str]) -> dict[str, Ranking]:
    """The ranking of each method."""
    hits = {mode: project.search(query, n=1000, mode=mode).hits for mode in ("keyword", "semantic")}
    scored = {mode: {names[hit.id]: hit.score for hit in found} for mode, found in hits.items()}
    single = {mode: list(scores) for mode, scores in scored.items()}
    ours = [names[hit.id] for hit in project.search(query, n=DEPTH).hits]
    lists = list(single.values())
    return {**single, "rrf": reciprocal_rank_fusion(lists), "min-max": min_max([*scored.values()]), "ours": ours}


def not_below(ours: np.ndarray, other: np.ndarray) -> float:
    """Share of bootstrap samples of the queries in which the mean of ours is not below the other's."""
    picks = np.random.default_rng(0).integers(0, len(ours), (10_000, len(ours)))
    return float(np.mean((ours - other)[picks].mean(axis=1) >= 0))


def main() -> None:
    """Print a table per collection, and the mean over collections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--collections", nargs="*", default=COLLECTIONS)
    parser.add_argument("--queries", type=int, default=0, help="only the first N of each; 0: all")
    parser.add_argument("--keep", type=Path, help="where the projects are kept, and found again")
    asked = parser.parse_args()
    means: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in asked.collections:
            folder = (asked.keep or Path(temporary)) / name
            project = Project.find(folder) if folder.is_dir() else build(name, folder)
            names, judged = documents(project), judgements(name)
            peer = Bm25s(project, names)
            queries = [q for q in _lines(data_folder() / name / "queries.jsonl") if q["_id"] in judged]
            queries = queries[: asked.queries or None]
            hybrids = Hybrids(project, names, [query["text"] for query in queries])
            gains: dict[str, list[float]] = {}
            found: dict[str, list[float]] = {}
            for query in queries:
                for method, ranking in {
                    **rank_all(project, query["text"], names),
                    "bm25s": peer(query["text"]),
                    **hybrids(query["text"]),
                }.items():
                    gains.setdefault(method, []).append(ndcg(ranking, judged[query["_id"]]))
                    found.setdefault(method, []).append(recall(ranking, judged[query["_id"]]))
            print(f"\n{name}: {len(names)} documents, {len(gains['ours'])} queries")
            print(f"{'':11} {'nDCG@10':>8} {'recall@100':>11}  ours not below")
            for method, values in gains.items():
                share = not_below(np.array(gains["ours"]), np.array(values))
                print(f"{method:11} {np.mean(values):8.4f} {np.mean(found[method]):11.4f}  {share:.3f}")
                means.setdefault(method, []).append(float(np.mean(values)))
    print("\nmean nDCG@10: " + ", ".join(f"{method} {np.mean(values):.4f}" for method, values in means.items()))


if __name__ == "__main__":
    main()
