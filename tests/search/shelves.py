"""Small stores in the layout of gendata.store, and encoders that need no model."""

import hashlib
import os
from dataclasses import dataclass
from functools import cache

import numpy as np

from gendata.items import content_id
from gendata.store.head import Head, Store, write_head

os.environ.setdefault("LANCE_LOG", "error")
DIM, IMAGE_DIM = 24, 6

WORDS = (
    "open read write file line path parse date time zone socket client server thread lock queue list sort key map "
    "filter reduce tree graph node edge weight image pixel colour digit seven three garden river stone bread"
).split()


@cache
def _of_word(word):
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
    return np.random.default_rng(seed).normal(size=DIM)


def encode(text):
    """A deterministic stand-in for the text encoder: the normalised sum of one random vector per word."""
    total = np.full(DIM, 1e-3)
    for word in text.lower().split():
        total = total + _of_word(word)
    return (total / np.linalg.norm(total)).astype(np.float32)


def encode_image(data):
    vector = np.random.default_rng(list(data)).normal(size=IMAGE_DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class Row:
    """An item of a test store with its passages (texts) and, for an image, its bytes."""

    passages: list
    modality: str = "text"
    origin: str = "real"
    source: str = "docs"
    label: str | None = None
    data: bytes | None = None
    quality: float = 0.5

    @property
    def id(self):
        return content_id(self.data if self.data is not None else "\n".join(self.passages))

    @property
    def first_part(self):
        return 1 if self.modality == "image" else 0


def build_store(folder, rows, *, fts=True, fts_rows=True):
    """A store in the layout of gendata.store, made of rows alone."""
    import duckdb
    import lancedb
    import pyarrow as pa
    from lancedb.index import FTS, BTree

    folder.mkdir(parents=True)
    database, versions = lancedb.connect(folder / "lance"), {}
    passages = [(row, part, text) for row in rows for part, text in enumerate(row.passages, row.first_part)]
    keys = [("id", pa.string()), ("modality", pa.string()), ("origin", pa.string()), ("source", pa.string())]
    if passages and fts_rows:
        schema = pa.schema(
            [
                pa.field("id", pa.string(), False),
                *keys[1:],
                ("part", pa.int32()),
                ("start", pa.int64()),
                ("end", pa.int64()),
                ("text", pa.large_string()),
                ("vector", pa.list_(pa.float32(), DIM)),
            ]
        )
        records = [
            {"id": r.id, "part": p, "start": 0, "end": len(t), "modality": r.modality, "origin": r.origin}
            | {"source": r.source, "text": t, "vector": encode(t)}
            for r, p, t in passages
        ]
        table = database.create_table("passages", pa.Table.from_pylist(records, schema))
        table.create_index("id", config=BTree())
        if fts:
            table.create_index("text", config=FTS(with_position=False))
        versions["passages"] = table.version
        whole = [{k: v for k, v in record.items() if k in dict(keys)} for record in records]
        texts = {r.id: "\n".join(r.passages) for r in rows}
        once = list({row["id"]: {**row, "text": texts[row["id"]]} for row in whole}.values())
        items = pa.schema([*keys, ("text", pa.large_string())])
        table = database.create_table("items", pa.Table.from_pylist(once, items))
        if fts:
            table.create_index("text", config=FTS(with_position=False))
        versions["items"] = table.version
    elif fts_rows:
        items = pa.schema([*keys, ("text", pa.large_string())])
        records = [{"id": r.id, "modality": r.modality, "origin": r.origin, "source": r.source} for r in rows]
        table = database.create_table("items", pa.Table.from_pylist(records, items))
        table.create_index("text", config=FTS(with_position=False))
        versions["items"] = table.version
    images = [row for row in rows if row.modality == "image"]
    if images:
        schema = pa.schema([keys[0], keys[3], keys[2], ("vector", pa.list_(pa.float32(), IMAGE_DIM))])
        records = [{"id": r.id, "source": r.source, "origin": r.origin, "vector": encode_image(r.data)} for r in images]
        versions["images"] = database.create_table("images", pa.Table.from_pylist(records, schema)).version
    with duckdb.connect(str(folder / "catalog-1.duckdb")) as connection:
        catalog = pa.table(
            {
                "id": [r.id for r in rows],
                "modality": [r.modality for r in rows],
                "origin": [r.origin for r in rows],
                "source": [r.source for r in rows],
                "uri": [f"{i}.txt" for i in range(len(rows))],
                "text": pa.array(["\n".join(r.passages) if r.passages else None for r in rows], pa.string()),
                "label": pa.array([r.label for r in rows], pa.string()),
                "quality": pa.array([r.quality for r in rows], pa.float32()),
                "group": [r.id for r in rows],
            }
        )
        connection.register("incoming", catalog)
        connection.execute("CREATE TABLE items AS SELECT *, '{\"a\": 1}'::JSON AS meta FROM incoming")
        names = ("source", "uri", "stage", "reason", "detail", "id", "kept_id")
        connection.execute(f"CREATE TABLE rejected ({', '.join(f'{n} VARCHAR' for n in names)})")
        connection.execute("CREATE TABLE sources AS SELECT DISTINCT source, 'folder' AS kind, origin FROM items")
    write_head(folder, Head("catalog-1.duckdb", versions))
    return Store.open(folder)


def corpus(seed, count, **fields):
    """Rows of random words, one to three passages each, distinct."""
    rng = np.random.default_rng(seed)
    rows = [
        Row([" ".join(rng.choice(WORDS, rng.integers(4, 12))) for _ in range(rng.integers(1, 4))], **fields)
        for _ in range(count)
    ]
    return list({row.id: row for row in rows}.values())
