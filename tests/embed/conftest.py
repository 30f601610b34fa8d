"""A small ingested and deduplicated corpus on disk, and the text encoder, loaded once."""

import pytest

from gendata import files
from gendata.embed import TextEncoderParams
from gendata.embed.text import load_text_encoder
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA


def decision(row, kept=True):
    return {
        "id": row["id"],
        "source": row["source"],
        "uri": row["uri"],
        "kept": kept,
        "reason": None if kept else "exact",
        "kept_id": row["id"],
        "score": None,
        "group": row["id"],
        "copies": 1,
        "conflict_id": None,
        "contained_in": None,
        "reference": None,
        "merged": None,
    }


class Corpus:
    """Sources as lists of shards, each a list of items or (item, kept)."""

    def __init__(self, root):
        self.ingested, self.decisions, self.out = (root / n for n in ("ingest", "dedup", "embed"))

    def write(self, source, *shards):
        for i, shard in enumerate(shards):
            pairs = [item if isinstance(item, tuple) else (item, True) for item in shard]
            rows = [(item.row(source, "real", None), kept) for item, kept in pairs]
            items, decided = self.ingested / source / "items", self.decisions / source
            files.write_table(files.shard_path(items, i), [r for r, _ in rows], ITEM_SCHEMA)
            files.write_table(files.shard_path(decided, i), [decision(r, k) for r, k in rows], DECISION_SCHEMA)

    def bytes(self):
        return {p.relative_to(self.out).as_posix(): p.read_bytes() for p in sorted(self.out.rglob("*.parquet"))}


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Corpus(tmp_path / "artifacts")


@pytest.fixture(scope="session")
def minilm():
    return load_text_encoder(TextEncoderParams(), "cpu")


@pytest.fixture(scope="session")
def minilm32():
    return load_text_encoder(TextEncoderParams(), "cpu", "float32")


@pytest.fixture(scope="session")
def paragraphs():
    from pydoc_data.topics import topics

    found = [p for topic in topics.values() for p in topic.split("\n\n") if len(p) > 80]
    return found[:: len(found) // 60][:60]
