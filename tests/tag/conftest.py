import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gendata import files
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, canonical_json, content_id

Build = Callable[[dict[str, list[list[dict]]]], tuple[Path, Path]]


@pytest.fixture
def png() -> Callable[..., bytes]:
    """A photo-like PNG of a size and mode; equal arguments give equal bytes."""

    def make(width: int = 24, height: int = 16, mode: str = "RGB", seed: int = 0) -> bytes:
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(out, "PNG")
        return out.getvalue()

    return make


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Write ingest and dedup shards under tmp_path, the project root, from short rows.

    A row holds columns of ITEM_SCHEMA and, if not the default, ``kept``, ``group`` and ``merged``.
    """
    monkeypatch.chdir(tmp_path)

    def build(sources: dict[str, list[list[dict]]]) -> tuple[Path, Path]:
        for source, shards in sources.items():
            (Path("ingest") / source / "items").mkdir(parents=True)
            (Path("dedup") / source).mkdir(parents=True)
            for index, rows in enumerate(shards):
                whole = [_item(source, index, i, row) for i, row in enumerate(rows)]
                decided = [_decision(item, row) for item, row in zip(whole, rows, strict=True)]
                files.write_table(files.shard_path(Path("ingest") / source / "items", index), whole, ITEM_SCHEMA)
                files.write_table(files.shard_path(Path("dedup") / source, index), decided, DECISION_SCHEMA)
        return Path("ingest"), Path("dedup")

    return build


def _item(source: str, shard: int, index: int, row: dict) -> dict:
    item = {name: row.get(name) for name in ITEM_SCHEMA.names}
    content = item["data"] if item["data"] is not None else item["text"] or ""
    stated = {
        "id": item["id"] or content_id(content),
        "modality": item["modality"] or ("text" if item["data"] is None else "image"),
        "origin": "real",
        "source": source,
        "uri": f"{shard}-{index}",
        "meta": canonical_json(row.get("meta", {})),
    }
    return item | stated


def _decision(item: dict, row: dict) -> dict:
    return {
        "id": item["id"],
        "source": item["source"],
        "uri": item["uri"],
        "kept": row.get("kept", True),
        "reason": None,
        "kept_id": item["id"],
        "score": None,
        "group": row.get("group", item["id"]),
        "copies": 0,
        "conflict_id": None,
        "contained_in": None,
        "reference": None,
        "merged": row.get("merged"),
    }
