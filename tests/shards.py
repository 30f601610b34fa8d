"""Shards of every stage for small sources, and the stores that are built from them."""

import numpy as np

from gendata import files
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
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


def write_source(root, name, origin, texts, images=0, label=None):
    """Shards of every stage for one source; every second text is dropped as a copy of the one before."""
    items = [
        Item(modality="text", uri=f"t{i}.txt", media_type="text/plain", text=t, label=label)
        for i, t in enumerate(texts)
    ]
    items += [
        Item(modality="image", uri=f"i{i}.png", media_type="image/png", data=f"{name}{i}".encode(), text=f"picture {i}")
        for i in range(images)
    ]
    rows = [i.row(name, origin, "CC0-1.0") for i in items]
    files.write_table(root / "ingest" / name / "items" / "00000.parquet", rows, ITEM_SCHEMA)
    reject = {"source": name, "uri": "bad.txt", "stage": "ingest", "reason": "empty", "detail": "0 bytes"}
    files.write_table(root / "ingest" / name / "rejected.parquet", [reject], REJECT_SCHEMA)
    decisions, tags, vectors = [], [], []
    for n, row in enumerate(rows):
        kept = row["modality"] == "image" or n % 2 == 0
        keeper = row["id"] if kept else rows[n - 1]["id"]
        decisions.append(
            {"id": row["id"], "source": name, "uri": row["uri"], "kept": kept, "reason": None if kept else "near-text"}
            | {"kept_id": keeper, "score": 0.9, "group": keeper, "copies": 1, "conflict_id": None}
        )
        if not kept:
            continue
        tags.append({f.name: None for f in TAG_SCHEMA} | {"id": row["id"], "split": "train", "lang": "en"})
        if row["modality"] == "image":
            vectors.append({"id": row["id"], "part": 0, "start": None, "end": None, "vector": unit(n, 4)})
        text = row["text"]
        vectors.append({"id": row["id"], "part": 1, "start": 0, "end": len(text), "vector": unit(n)})
    files.write_table(root / "embed" / name / "rejected.parquet", [], REJECT_SCHEMA)
    files.write_table(root / "dedup" / name / "00000.parquet", decisions, DECISION_SCHEMA)
    files.write_table(root / "tag" / name / "00000.parquet", tags, TAG_SCHEMA)
    files.write_table(root / "embed" / name / "00000.parquet", vectors, VECTOR_SCHEMA)
    return rows


def artifacts(root, *names):
    return Artifacts(root / "ingest", root / "dedup", root / "tag", root / "embed", names or ("a", "b"))


def make(root, *names, store="store", **params):
    chosen = {n: SOURCES[n] for n in names or ("a", "b")}
    return build(artifacts(root, *chosen), chosen, root / store, StoreParams(uri=URI and f"{URI}/{store}", **params))
