"""A folder to run stage similar in, on items with the vectors that one wants."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gendata import files
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, SIMILAR_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, content_id
from gendata.similar import SimilarParams, similar

STAGES = tuple(Path(name) for name in ("ingest", "dedup", "tag", "embed"))


@dataclass(frozen=True)
class Thing:
    """An item: its name makes its content, ``vectors`` (parts, d) are what embed would have written."""

    name: str
    vectors: Any
    modality: str = "text"
    origin: str = "real"
    label: str | None = None
    license: str | None = None
    split: str = "train"
    size: int = 10
    kept: bool = True

    @property
    def id(self):
        return content_id(self.name)

    def rows(self, source):
        """Its row in the shard of every stage."""
        nothing = {f.name: None for f in ITEM_SCHEMA}
        own = {"id": self.id, "source": source, "uri": self.name}
        item = nothing | own | {"modality": self.modality, "origin": self.origin}
        yield item | {"label": self.label, "license": self.license, "text": self.name}
        stays = {"kept": self.kept, "reason": None if self.kept else "exact", "score": None}
        yield dict.fromkeys(DECISION_SCHEMA.names) | own | stays | {"kept_id": self.id, "group": self.id, "copies": 1}
        tags = {f.name: None for f in TAG_SCHEMA} | {"id": self.id, "split": self.split}
        yield tags | {"width": self.size, "height": 1}
        image = self.modality == "image"
        steps = np.linspace(0, self.size, len(self.vectors) + 1).astype(int).tolist()
        yield [
            {"id": self.id, "part": n, "start": None if image else steps[n], "end": None if image else steps[n + 1]}
            | {"vector": np.asarray(vector, np.float32)}
            for n, vector in enumerate(self.vectors)
        ]


@dataclass(frozen=True)
class Outcome:
    summary: dict[str, Any]
    rows: dict[str, dict[str, Any]]

    def pairs(self):
        """Name of what is like another, to what stays for it."""
        names = {row["id"]: name for name, row in self.rows.items()}
        return {name: names[row["kept_id"]] for name, row in self.rows.items() if row["reason"]}


class Box:
    """Writes the shards of the stages before, runs the stage, reads its shards back."""

    def __call__(self, sources, params=None, *, dedup_off=(), shard_rows=1000, **options):
        self.write(sources, shard_rows)
        summary = self.run({source: source not in dedup_off for source in sources}, params, **options)
        rows = {}
        for source, things in sources.items():
            found = [row for path in files.shards(Path("out") / source) for row in self._read(path)]
            kept = [thing for thing in things if thing.kept]
            assert [row["id"] for row in found] == [thing.id for thing in kept]
            rows |= dict(zip((thing.name for thing in kept), found, strict=True))
        return Outcome(summary, rows)

    @staticmethod
    def run(sources, params=None, **options):
        return similar(STAGES, sources, Path("out"), params or SimilarParams(), **options)

    def write(self, sources, shard_rows=1000):
        for folder in (*STAGES, Path("out")):
            shutil.rmtree(folder, ignore_errors=True)
        for source, things in sources.items():
            for stage in STAGES:
                (stage / source).mkdir(parents=True)
            (Path("ingest") / source / "items").mkdir()
            for shard, start in enumerate(range(0, len(things), shard_rows)):
                self._write(source, shard, things[start : start + shard_rows])

    @staticmethod
    def _write(source, shard, things):
        items, decisions, tags, vectors = zip(*(thing.rows(source) for thing in things), strict=True)
        name = files.shard_path(Path(), shard).name
        files.write_table(Path("ingest") / source / "items" / name, items, ITEM_SCHEMA)
        files.write_table(Path("dedup") / source / name, decisions, DECISION_SCHEMA)
        kept = [n for n, thing in enumerate(things) if thing.kept]
        files.write_table(Path("tag") / source / name, [tags[n] for n in kept], TAG_SCHEMA)
        files.write_table(Path("embed") / source / name, [row for n in kept for row in vectors[n]], VECTOR_SCHEMA)

    @staticmethod
    def _read(path):
        table = files.read_table(path)
        assert table.schema.equals(SIMILAR_SCHEMA)
        return table.to_pylist()


@pytest.fixture
def box(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Box()


@pytest.fixture(scope="module")
def box_for_examples(tmp_path_factory):
    """A box that all examples of a property share; it is empty again for each."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("box"))
    yield Box()
    os.chdir(before)


@pytest.fixture(scope="session")
def thing():
    return Thing


def _at(cosine, axis=1, dim=8):
    """A unit vector at this cosine to the first axis, turned towards another."""
    vector = np.zeros(dim)
    vector[0], vector[axis] = cosine, np.sqrt(1 - cosine * cosine)
    return [vector]


@pytest.fixture(scope="session")
def at():
    return _at
