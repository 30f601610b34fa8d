"""A store of real images and texts for benchmarks, built from shards by gendata's own functions.

Images are the first MNIST training digits as PNG; texts are passages of three books, numbered, so that as many as
wanted have ids of their own. Both come from the folder GENDATA_EVAL_DATA.
"""

import gzip
import io
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gendata import files, template
from gendata.items import DECISION_SCHEMA, ITEM_SCHEMA, REJECT_SCHEMA, TAG_SCHEMA, VECTOR_SCHEMA, Item
from gendata.project import Project
from gendata.store import StoreParams
from gendata.store.build import build
from gendata.store.head import Store
from gendata.store.rows import Artifacts

BOOKS = ("lm_books/alice29.txt", "lm_books/asyoulik.txt", "lm_tinyshakespeare/input.txt")
PASSAGE = 200
"""Characters of a text, about."""


def data_folder() -> Path:
    """Where the evaluation data lies. Exits if there is none."""
    folder = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"no evaluation data at {folder}: set GENDATA_EVAL_DATA")
    return folder


def project_of(folder: Path, sources: str) -> Project:
    """A new project whose section of sources, in YAML, is this."""
    template.create(folder)
    params = folder / "params.yaml"
    text = params.read_text(encoding="utf-8")
    start, end = text.index("sources:"), text.index("\n# Limits of what is read")
    params.write_text(f"{text[:start]}sources:\n  {sources}\n{text[end:]}", encoding="utf-8")
    return Project.find(folder)


def images(count: int) -> Iterator[Item]:
    """The first digits of MNIST's training set: PNG of 28 x 28 grey pixels, labelled."""
    from PIL import Image

    folder = data_folder() / "img_mnist"
    pixels = gzip.decompress((folder / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    if count > len(labels):
        raise SystemExit(f"--images {count}: MNIST has {len(labels)} here")
    for i in range(count):
        png = io.BytesIO()
        Image.fromarray(np.frombuffer(pixels, np.uint8, 784, i * 784).reshape(28, 28)).save(png, "PNG")
        uri, label = f"digit-{i:05d}.png", str(labels[i])
        yield Item(modality="image", uri=uri, media_type="image/png", data=png.getvalue(), label=label)


def passages(length: int) -> list[str]:
    """The books, cut every ``length`` characters."""
    books = ((data_folder() / name).read_text(encoding="utf-8") for name in BOOKS)
    return [book[start : start + length].strip() for book in books for start in range(0, len(book), length)]


def texts(count: int) -> Iterator[Item]:
    """Passages of the books, in turn, each with its number in front."""
    for i, passage in zip(range(count), itertools.cycle(passages(PASSAGE))):
        yield Item(modality="text", uri=f"text-{i:07d}.txt", media_type="text/plain", text=f"{i}: {passage}")


def build_store(root: Path, sources: Mapping[str, Iterator[Item]]) -> dict[str, Store]:
    """A store of these items, every one kept and one in ten held out, with no vectors."""
    start = time.perf_counter()
    for name, items in sources.items():
        write_source(root, name, items)
    stated: dict[str, dict[str, Any]] = {name: {"kind": "folder", "origin": "real"} for name in sources}
    build(artifacts_of(root, list(sources)), stated, root / "store", StoreParams())
    print(f"store of {', '.join(sources)} built in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return {"real": Store.open(root / "store" / "real")}


def artifacts_of(root: Path, names: Sequence[str]) -> Artifacts:
    """Where ``write_source`` has written."""
    return Artifacts(root / "ingest", root / "dedup", root / "tag", root / "embed", tuple(names))


def write_source(
    root: Path, name: str, items: Iterator[Item], vectors: Callable[[Sequence[int]], Any] | None = None
) -> None:
    """Shards of every stage: all items kept, one in ten held out; vectors of whole texts by their number, or none."""
    count = 0
    writer = files.ShardWriter(root / "ingest" / name / "items", ITEM_SCHEMA)
    for item in items:
        writer.write(item.row(name, "real", "CC-BY-SA-3.0"))
    writer.close()
    for stage in ("ingest", "embed"):
        files.write_table(root / stage / name / "rejected.parquet", (), REJECT_SCHEMA)
    for shard in files.shards(root / "ingest" / name / "items"):
        rows = files.read_table(shard, ["id", "source", "uri"]).to_pylist()
        decided = dict.fromkeys(DECISION_SCHEMA.names) | {"kept": True, "copies": 1}
        decisions = (decided | row | {"kept_id": row["id"], "group": row["id"]} for row in rows)
        files.write_table(root / "dedup" / name / shard.name, decisions, DECISION_SCHEMA)
        nothing: dict[str, Any] = dict.fromkeys(TAG_SCHEMA.names)
        tags = (nothing | {"id": r["id"], "split": "test" if int(r["id"][:8], 16) % 10 == 0 else "train"} for r in rows)
        files.write_table(root / "tag" / name / shard.name, tags, TAG_SCHEMA)
        made: Iterator[dict[str, Any]] = iter(())
        if vectors:
            lengths = [len(text) for text in files.read_table(shard, ["text"])["text"].to_pylist()]
            found = vectors(range(count, count + len(rows)))
            made = (
                {"id": row["id"], "part": 0, "start": 0, "end": length, "vector": one.tolist()}
                for row, length, one in zip(rows, lengths, found, strict=True)
            )
        count += len(rows)
        files.write_table(root / "embed" / name / shard.name, made, VECTOR_SCHEMA)
