"""A folder to run dedup in, corpora with near-copies, and pictures made from noise."""

import io
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gendata import files
from gendata.dedup import DedupParams, dedup
from gendata.dedup.barred import Reference
from gendata.dedup.cache import SketchCache
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, Item


@dataclass(frozen=True)
class Outcome:
    summary: dict[str, Any]
    rows: list[dict[str, Any]]

    def row(self, uri, source=None):
        found = [r for r in self.rows if r["uri"] == uri and source in {None, r["source"]}]
        assert len(found) == 1
        return found[0]

    @property
    def kept(self):
        return [r for r in self.rows if r["kept"]]


class Box:
    """Writes items as ingest would, deduplicates, reads the decisions back."""

    def __call__(
        self,
        sources: Mapping[str, Sequence[Item]],
        params: DedupParams | None = None,
        exact_only: Sequence[str] = (),
        shard_rows: int = 1000,
        cache: SketchCache | None = None,
        references: Mapping[str, Callable[[Path], Reference]] | None = None,
    ) -> Outcome:
        for folder in ("in", "out"):
            shutil.rmtree(folder, ignore_errors=True)
        for source, items in sources.items():
            Path("in", source, "items").mkdir(parents=True)
            for shard, start in enumerate(range(0, len(items), shard_rows)):
                rows = [item.row(source, "real", None) for item in items[start : start + shard_rows]]
                files.write_table(files.shard_path(Path("in", source, "items"), shard), rows, ITEM_SCHEMA)
        near = {source: source not in exact_only for source in sources}
        summary = dedup(Path("in"), near, Path("out"), params or DedupParams(workers=1), references, cache)
        return Outcome(summary, [row for source in sources for row in self._decisions(source)])

    @staticmethod
    def _decisions(source):
        ingested, decided = files.shards(Path("in", source, "items")), files.shards(Path("out", source))
        assert [p.name for p in ingested] == [p.name for p in decided]
        for before, after in zip(ingested, decided, strict=True):
            table = files.read_table(after)
            assert table.schema.equals(DECISION_SCHEMA)
            keys = files.read_table(before, ["id", "source", "uri"])
            assert table.select(["id", "source", "uri"]).to_pylist() == keys.to_pylist()
            yield from table.to_pylist()


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


def _text(uri, text, **known):
    return Item(modality="text", uri=str(uri), media_type="text/plain", text=text, **known)


def _image(uri, picture, form="PNG", known=None, **options):
    """A picture, or bytes as they are, as an item."""
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, form, **options)
        picture = buffer.getvalue()
    return Item(modality="image", uri=str(uri), media_type="image/x", data=picture, **(known or {}))


def _scene(seed, size=(160, 120)):
    """A random landscape of soft shapes: about as smooth and rich in grey values as a photograph."""
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 256, (n, n, 3), dtype=np.uint8) for n in (4, 9, 23)]
    grown = [np.asarray(Image.fromarray(a).resize(size, Image.Resampling.BICUBIC), float) for a in layers]
    return Image.fromarray(np.clip(0.5 * grown[0] + 0.3 * grown[1] + 0.2 * grown[2], 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def text():
    return _text


@pytest.fixture(scope="session")
def image():
    return _image


@pytest.fixture(scope="session")
def scene():
    return _scene
