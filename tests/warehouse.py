"""Stores built from a few items with the splits one wants: the shards of every stage, then the real build."""

import io

import numpy as np
from PIL import Image

from gendata import files
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
from gendata.store import INPUTS, StoreParams
from gendata.store.build import build
from gendata.store.head import open_stores
from gendata.store.rows import Artifacts


def picture(seed, size=(8, 8), mode="L", low=0, high=256):
    """The bytes of a small PNG."""
    shape = (size[1], size[0], *([3] if mode == "RGB" else []))
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(low, high, shape, np.uint8), mode).save(out, "PNG")
    return out.getvalue()


def image(seed, label, split="train", **how):
    return split, Item(
        modality="image", uri=f"{label}-{seed}.png", media_type="image/png", data=picture(seed, **how), label=label
    )


def text(words, split="train", label=None):
    return split, Item(modality="text", uri=f"{abs(hash(words))}.txt", media_type="text/plain", text=words, label=label)


def stock(artifacts, **sources):
    """Build ``artifacts/store`` from ``name=(origin, [(split, item), ...])``; the opened stores."""
    for name, (origin, rows) in sources.items():
        _write(artifacts, name, origin, rows)
    parts = Artifacts(*(artifacts / part for part in ("ingest", "dedup", "tag", "embed")), tuple(sources))
    stated = {name: {"kind": "folder", "origin": origin} for name, (origin, _) in sources.items()}
    build(parts, stated, artifacts / "store", StoreParams())
    return open_stores(artifacts / "store", INPUTS)


def _write(artifacts, name, origin, rows):
    items = [item.row(name, origin, "CC0-1.0") for _, item in rows]
    files.write_table(artifacts / "ingest" / name / "items" / "00000.parquet", items, ITEM_SCHEMA)
    for stage in ("ingest", "embed"):
        files.write_table(artifacts / stage / name / "rejected.parquet", [], REJECT_SCHEMA)
    stays = dict.fromkeys(DECISION_SCHEMA.names) | {"kept": True, "copies": 1}
    decided = [
        {**stays, **{n: r[n] for n in ("id", "source", "uri")}, "kept_id": r["id"], "group": r["id"]} for r in items
    ]
    files.write_table(artifacts / "dedup" / name / "00000.parquet", decided, DECISION_SCHEMA)
    nothing = {f.name: None for f in TAG_SCHEMA}
    tags = [{**nothing, "id": r["id"], "split": split} for r, (split, _) in zip(items, rows, strict=True)]
    files.write_table(artifacts / "tag" / name / "00000.parquet", tags, TAG_SCHEMA)
    files.write_table(artifacts / "embed" / name / "00000.parquet", [], VECTOR_SCHEMA)
