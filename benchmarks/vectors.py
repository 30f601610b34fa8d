"""Kinds of vector index at one size: build time, recall@10 against exact search, latency.

``python -m benchmarks.vectors [--rows 100000] [--queries 200] [--kinds IVF_SQ,...]``. Vectors are those of
``benchmarks.latency``. Each kind is asked as our search asks: cosine, refined on the original vectors. The exact scan
stands beside: an index pays from where it is slower. The kind of the stores (store/lance.py) is the first.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

os.environ.setdefault("LANCE_LOG", "error")  # before the import: Rust reads it once
import lancedb
import pyarrow as pa
from lancedb.index import IvfFlat, IvfHnswFlat, IvfHnswPq, IvfHnswSq, IvfPq, IvfSq

from benchmarks.latency import Mixtures, N, nearest, recall, times
from gendata.search.directory import Directory
from gendata.store.lance import VECTOR_INDEX
from gendata.store.rows import vector_schema

KINDS: dict[str, Any] = {
    VECTOR_INDEX: IvfSq(distance_type="cosine"),
    "IVF_HNSW_SQ": IvfHnswSq(distance_type="cosine"),
    "IVF_HNSW_PQ": IvfHnswPq(distance_type="cosine"),
    "IVF_HNSW_FLAT": IvfHnswFlat(distance_type="cosine"),
    "IVF_PQ": IvfPq(distance_type="cosine"),
    "IVF_FLAT": IvfFlat(distance_type="cosine"),
}
_BATCH = 10_000


def rows(count: int, mix: Mixtures) -> Iterator[pa.RecordBatch]:
    """Passages with vectors and nothing to read."""
    schema = vector_schema("passages", mix([0]).shape[1])
    for start in range(0, count, _BATCH):
        numbers = range(start, min(start + _BATCH, count))
        fixed = {"modality": "text", "origin": "real", "source": "books", "part": 0, "start": 0, "end": 0, "text": ""}
        columns: dict[str, list[Any]] = {name: [value] * len(numbers) for name, value in fixed.items()}
        columns["id"] = [f"{number:064d}" for number in numbers]
        columns["vector"] = list(mix(numbers))
        yield pa.record_batch([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def main() -> None:
    """Print a line per kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--kinds", default=",".join(KINDS), help="which, with commas")
    asked = parser.parse_args()
    kinds = {name: KINDS[name] for name in asked.kinds.split(",")}
    mix = Mixtures()
    queries = mix(range(10**9, 10**9 + asked.queries))
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as folder:
        made = rows(asked.rows, mix)
        first = next(made)
        reader = pa.RecordBatchReader.from_batches(first.schema, chain([first], made))
        table = lancedb.connect(folder).create_table("t", reader)
        report("exact", 0.0, table, queries)
        for name, config in kinds.items():
            start = time.perf_counter()
            table.create_index("vector", config=config, replace=True)
            report(name, time.perf_counter() - start, table, queries)


def report(name: str, seconds: float, table: Any, queries: Any) -> None:
    """Recall, and milliseconds of a query."""
    opened = table.to_lance()
    directory = Directory.read(opened)
    calls = [partial(nearest, opened, directory, query, exact=name == "exact") for query in queries]
    calls[0]()
    median, high = times(calls)
    found = 1.0 if name == "exact" else recall(opened, queries)
    took = f"p50 {median:6.2f} ms  p95 {high:6.2f} ms"
    print(f"{name:14} built in {seconds:6.1f} s  recall@{N} {found:.3f}  {took}", flush=True)


if __name__ == "__main__":
    main()
