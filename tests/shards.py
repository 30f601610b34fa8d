"""Shards of every stage for small sources, and the stores that are built from them."""

import itertools
import shutil

import numpy as np

from gendata import files
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, SIMILAR_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.rows import Artifacts

URI = ""
"""Where the stores are; empty: in the folder that is given."""

SOURCES = {
    "a": {"kind": "folder", "origin": "real", "path": "a"},
    "b": {"kind": "folder", "origin": "generated", "path": "b"},
}


def unit(seed, dim=8):
    vector = np.random.default_rng(seed).normal(size=dim).astype(np.float32)
    return (vector / np.linalg.norm(vector)).tolist()


def write_source(root, name, origin, texts, images=0, label=None, ends=()):
    """Shards of every stage for one source, cut after these rows; every second text is dropped as a copy."""
    items = [
        Item(modality="text", uri=f"t{i}.txt", media_type="text/plain", text=t, label=label)
        for i, t in enumerate(texts)
    ]
    items += [
        Item(modality="image", uri=f"i{i}.png", media_type="image/png", data=f"{name}{i}".encode(), text=f"picture {i}")
        for i in range(images)
    ]
    rows = [i.row(name, origin, "CC0-1.0") for i in items]
    for stage in ("ingest", "dedup", "tag", "embed", "similar"):
        shutil.rmtree(root / stage / name, ignore_errors=True)
    reject = {"source": name, "uri": "bad.txt", "stage": "ingest", "reason": "empty", "detail": "0 bytes"}
    files.write_table(root / "ingest" / name / "rejected.parquet", [reject], REJECT_SCHEMA)
    files.write_table(root / "embed" / name / "rejected.parquet", [], REJECT_SCHEMA)
    for index, (start, stop) in enumerate(itertools.pairwise([0, *ends, len(rows)])):
        write_shard(root, name, index, rows, range(start, stop))
    return rows


def write_shard(root, name, index, rows, span):
    """The shard of every stage with the rows of a source in this span."""
    decisions, tags, vectors, likes = [], [], [], []
    for n in span:
        row = rows[n]
        kept = row["modality"] == "image" or n % 2 == 0
        keeper = row["id"] if kept else rows[n - 1]["id"]
        decisions.append(
            {"id": row["id"], "source": name, "uri": row["uri"], "kept": kept, "reason": None if kept else "near-text"}
            | {
                "kept_id": keeper,
                "score": 0.9,
                "group": keeper,
                "copies": 1,
                "conflict_id": None,
                "contained_in": None,
                "reference": None,
                "merged": None,
            }
        )
        if not kept:
            continue
        tags.append({f.name: None for f in TAG_SCHEMA} | {"id": row["id"], "split": "train", "lang": "en"})
        stays = {"kept": True, "kept_id": row["id"]}
        likes.append({f.name: None for f in SIMILAR_SCHEMA} | {"id": row["id"]} | stays)
        if row["modality"] == "image":
            vectors.append({"id": row["id"], "part": 0, "start": None, "end": None, "vector": unit(n, 4)})
        text = row["text"]
        vectors.append({"id": row["id"], "part": 1, "start": 0, "end": len(text), "vector": unit(n)})
    file = f"{index:05d}.parquet"
    files.write_table(root / "ingest" / name / "items" / file, [rows[n] for n in span], ITEM_SCHEMA)
    files.write_table(root / "dedup" / name / file, decisions, DECISION_SCHEMA)
    files.write_table(root / "tag" / name / file, tags, TAG_SCHEMA)
    files.write_table(root / "embed" / name / file, vectors, VECTOR_SCHEMA)
    files.write_table(root / "similar" / name / file, likes, SIMILAR_SCHEMA)


def artifacts(root, *names):
    ingested, decisions, tags, vectors = (root / stage for stage in ("ingest", "dedup", "tag", "embed"))
    return Artifacts(ingested, decisions, tags, vectors, names or ("a", "b"), root / "similar")


def make(root, *names, store="store", **params):
    chosen = {n: SOURCES[n] for n in names or ("a", "b")}
    return build(artifacts(root, *chosen), chosen, root / store, StoreParams(uri=URI and f"{URI}/{store}", **params))
