"""Ten questions in SQL: through the catalog and Lance of a store, beside DuckDB on a Parquet file of the same columns.

``python -m benchmarks.sql [--items 1000000] [--rounds 5]``. Metadata is made up with the distributions of real data;
vectors are random unit vectors; a passage per item. ``alone`` is the statement in a connection as the sandbox has it
(its views, memory limit and threads) and in one with views over Parquet; ``whole`` is ``Project.sql`` with the start
of its child, beside a Python process that imports DuckDB and asks Parquet. Medians of rounds in turns, after one that
is not counted; the targets are for ``alone``. That all give the same rows is checked.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gendata import duck, template
from gendata.engine import cores
from gendata.items import canonical_json, content_id
from gendata.project import Project
from gendata.search import sandbox, views
from gendata.search.sql import Limits, lance_tables
from gendata.store import catalog, lance
from gendata.store.head import Head, write_head
from gendata.store.rows import vector_schema

DIM, BATCH = 384, 50_000
WORDS = ["open", "read", "write", "file", "line", "path", "date", "socket", "client", "lock", "river", "stone", "bread"]
SOURCES = ("web", "books", "code", "papers", "chats", "notes")
THREADS = min(cores(), 4)

CATALOG, LANCE = 1.5, 3.0
"""Times as long as Parquet takes, at most."""

QUESTIONS = (
    ("count by source, split", CATALOG, "SELECT source, split, count(*) AS n FROM items GROUP BY ALL ORDER BY ALL"),
    ("commonest labels", CATALOG, "SELECT label, count(*) AS n FROM items GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"),
    ("good ones by language", CATALOG, "SELECT lang, count(*) FROM items WHERE quality > 0.8 GROUP BY 1 ORDER BY 1"),
    (
        "length by source",
        CATALOG,
        "SELECT source, median(n_chars), quantile_disc(n_words, 0.9) FROM items GROUP BY 1 ORDER BY 1",
    ),
    ("one item", CATALOG, "SELECT uri, label, meta::VARCHAR AS meta FROM items WHERE id = '{id}'"),
    ("modules in meta", CATALOG, "SELECT meta->>'$.module' AS m, count(*) FROM items GROUP BY 1 ORDER BY 2 DESC, 1"),
    ("words in a text", CATALOG, "SELECT count(*) FROM items WHERE text LIKE '%river stone bread%'"),
    ("length of passages", LANCE, "SELECT source, sum(length(text)) FROM passages GROUP BY 1 ORDER BY 1"),
    (
        "passages of a label",
        LANCE,
        "SELECT count(*), sum(\"end\") FROM passages JOIN items USING (id) WHERE label = 'c7' AND split = 'test'",
    ),
    (
        "nearest vectors",
        LANCE,
        "SELECT id FROM passage_vectors "
        "ORDER BY array_cosine_similarity(vector::FLOAT[384], {vector}::FLOAT[384]) DESC LIMIT 5",
    ),
)
"""What is asked, the target, and the statement."""


@dataclass(frozen=True)
class Places:
    """Where the data lies, and what questions about single items need."""

    project: Project
    parquet: Path
    id: str
    vector: str

    def views(self) -> str:
        """The statements that make the same tables of Parquet."""
        files = {"items": "items", "passages": "passages", "passage_vectors": "passages"}
        return ";".join(f"CREATE VIEW {n} AS FROM '{self.parquet}/{f}.parquet'" for n, f in files.items())


def metadata(count: int) -> Iterator[pa.Table]:
    """Rows of the catalog's table ``items``: sources and labels by Zipf, lengths log-normal, 3 % copies."""
    rng, schema = np.random.default_rng(0), catalog.items_schema("real")
    book = " ".join(rng.choice(WORDS, 200_000))
    for start in range(0, count, BATCH):
        n = min(BATCH, count - start)
        lengths = np.clip(rng.lognormal(5.5, 0.8, n), 20, 8000).astype(int)
        starts = rng.integers(0, len(book) - 8000, n)
        texts = [
            f"{start + i}: {book[s : s + length]}" for i, (s, length) in enumerate(zip(starts, lengths, strict=True))
        ]
        ids = [content_id(text) for text in texts]
        source = np.array(SOURCES)[np.minimum(rng.zipf(1.6, n) - 1, len(SOURCES) - 1)]
        label = np.char.add("c", np.minimum(rng.zipf(1.3, n), 1000).astype(str))
        modules = np.minimum(rng.zipf(1.5, n), 200)
        columns = {
            "id": ids,
            "modality": ["text"] * n,
            "origin": ["real"] * n,
            "source": source,
            "uri": [f"{start + i:08d}.txt" for i in range(n)],
            "file_sha256": ids,
            "parents": [[]] * n,
            "media_type": ["text/plain"] * n,
            "text": texts,
            "label": pa.array(label, mask=rng.random(n) < 0.4),
            "license": ["CC-BY-4.0"] * n,
            "meta": [canonical_json({"module": f"m{m}", "line": i}) for i, m in enumerate(modules.tolist())],
            "group": [ids[i - 1] if i and copy else ids[i] for i, copy in enumerate(rng.random(n) < 0.03)],
            "copies": np.ones(n, np.int64),
            "lang": rng.choice(["en", "de", "fr", "zh"], n, p=[0.8, 0.1, 0.06, 0.04]),
            "lang_score": rng.random(n, np.float32),
            "quality": rng.beta(5, 2, n).astype(np.float32),
            "n_chars": [len(text) for text in texts],
            "n_words": [text.count(" ") + 1 for text in texts],
            "split": rng.choice(["train", "valid", "test"], n, p=[0.9, 0.05, 0.05]),
        }
        nulls = {f.name: pa.nulls(n, f.type) for f in schema if f.name not in columns}
        yield pa.table(
            {f.name: pa.array(columns[f.name], f.type) if f.name in columns else nulls[f.name] for f in schema}
        )


def passages(items: Path) -> Iterator[pa.RecordBatch]:
    """A passage per item, with a random unit vector, in the schema of the store."""
    rng, schema = np.random.default_rng(1), vector_schema("passages", DIM)
    with pq.ParquetFile(items) as file:
        for batch in file.iter_batches(BATCH, columns=["id", "modality", "origin", "source", "text", "n_chars"]):
            vectors = rng.standard_normal((batch.num_rows, DIM), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            made = {
                "part": np.zeros(batch.num_rows, np.int32),
                "start": np.zeros(batch.num_rows, np.int64),
                "end": batch["n_chars"],
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), DIM),
            }
            columns = [made[f.name] if f.name in made else batch[f.name].cast(f.type) for f in schema]
            yield pa.record_batch(columns, schema=schema)


def build(folder: Path, count: int) -> Places:
    """A project with a store, and the same rows as Parquet."""
    template.create(folder)
    store, parquet = folder / "artifacts" / "store" / "real", folder / "parquet"
    for made in (store, parquet):
        made.mkdir(parents=True)
    write_parquet(parquet / "items.parquet", (batch for table in metadata(count) for batch in table.to_batches()))
    write_parquet(parquet / "passages.parquet", passages(parquet / "items.parquet"))
    nothing: dict[str, tuple[pa.Schema, Iterator[pa.Table]]] = {
        "rejected": (catalog.REJECTED, iter(())),
        "sources": (catalog.SOURCES, iter(())),
    }
    rows = catalog.items_schema("real"), (pa.Table.from_batches([b]) for b in read(parquet / "items.parquet"))
    catalog.write_catalog(store / "catalog-1.duckdb", {"items": rows, **nothing})
    batches = pa.RecordBatchReader.from_batches(vector_schema("passages", DIM), read(parquet / "passages.parquet"))
    table = lancedb.connect(store / "lance").create_table("passages", batches)
    lance.create_scalar_indexes(table)  # those for words and for vectors answer no SQL
    write_head(store, Head("catalog-1.duckdb", {"passages": int(table.version)}))
    one = next(read(parquet / "passages.parquet")).slice(count // 3 % BATCH, 1).to_pylist()[0]
    return Places(Project.find(folder), parquet, one["id"], json.dumps(one["vector"]))


def write_parquet(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    """One file."""
    first = next(batches)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def read(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a file, many at a time."""
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(BATCH)


def contenders(places: Places) -> dict[str, Callable[[str], pa.Table]]:
    """Ways to ask, by name."""
    mine, stores = sandbox.connect(Limits().memory, THREADS), places.project.stores
    views.add_catalogs(mine, {name: str(store.catalog) for name, store in stores.items()})
    views.add_lance(mine, lance_tables(stores), views.LANCE_VIEWS)
    theirs = duck.database(threads=THREADS)
    theirs.execute(places.views())
    return {
        "parquet alone": lambda sql: theirs.sql(sql).to_arrow_table(),
        "gendata alone": lambda sql: mine.sql(sql).to_arrow_table(),
        "parquet whole": lambda sql: in_a_process(places, sql),
        "gendata whole": lambda sql: places.project.sql(sql),
    }


def in_a_process(places: Places, sql: str) -> pa.Table:
    """What DuckDB answers in a Python process of its own."""
    code = (
        "import sys, duckdb, pyarrow as pa\n"
        f"c = duckdb.connect(config={{'threads': {THREADS}}})\n"
        "c.execute('SET enable_progress_bar_print = false')\nc.execute(sys.argv[1])\n"
        "table = c.sql(sys.argv[2]).to_arrow_table()\n"
        "with pa.ipc.new_stream(sys.stdout.buffer, table.schema) as out: out.write_table(table)\n"
    )
    command = [sys.executable, "-c", code, places.views(), sql]
    return pa.ipc.open_stream(subprocess.run(command, capture_output=True, check=True).stdout).read_all()


def measure(ask: dict[str, Callable[[str], pa.Table]], sql: str, rounds: int) -> dict[str, float]:
    """Median seconds of each. Exits if the answers differ."""
    answers = {name: asked(sql).to_pylist() for name, asked in ask.items()}
    if any([*map(str, rows)] != [*map(str, answers["parquet alone"])] for rows in answers.values()):
        raise SystemExit(f"answers differ: {sql[:200]}")
    seconds: dict[str, list[float]] = {name: [] for name in ask}
    for _ in range(rounds):
        for name, asked in ask.items():
            start = time.perf_counter()
            asked(sql)
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Prints a line per question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as folder:
        start = time.perf_counter()
        places = build(Path(folder) / "project", args.items)
        print(f"{args.items} items built in {time.perf_counter() - start:.0f} s", file=sys.stderr)
        ask = contenders(places)
        print(f"{'milliseconds, medians of ' + str(args.rounds):<28}{''.join(f'{name:>15}' for name in ask)}")
        for question, target, sql in QUESTIONS:
            took = measure(ask, sql.replace("{id}", places.id).replace("{vector}", places.vector), args.rounds)
            alone = took["gendata alone"] / took["parquet alone"]
            whole = took["gendata whole"] / took["parquet whole"]
            times = "".join(f"{value * 1000:15.1f}" for value in took.values())
            missed = "" if alone <= target else "  above"
            print(f"{question:<28}{times}   alone {alone:6.2f} x (target {target:g}){missed}, whole {whole:5.2f} x")


if __name__ == "__main__":
    main()
