"""A project taken through the pipeline in this process, with toy families: from items to the store of outputs.

Images of two labels from two sources, and texts; both families are trained and have outputs.
Call ``trained(root)``, and ``collected(root)`` for the store of outputs.
"""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import toy_family
import toy_text
from PIL import Image
from sandbox import TOPICS

from gendata import files
from gendata.items import ITEM_SCHEMA, REJECT_SCHEMA, Item
from pipelines import collect, dedup, embed, generate, select, similar, store, tag, train

FAMILIES = (toy_family.NAME, toy_text.NAME)

PARAMS = {
    "gendata": {"version": 1},
    "sources": {
        "scans": {"kind": "folder", "origin": "real", "path": "scans", "license": "CC0-1.0", "dedup": False},
        "drawn": {"kind": "folder", "origin": "real", "path": "drawn", "dedup": False},
        "notes": {"kind": "folder", "origin": "real", "path": "notes", "license": "MIT", "dedup": False},
    },
    "dedup": {"workers": 1},
    "tag": {"workers": 1, "taggers": []},
    "tracking": {"to": "none"},
    "select": {},
    "train": {name: {} for name in FAMILIES},
    "generate": {toy_family.NAME: {"n": 4, "seed": 3}, toy_text.NAME: {"n": 3, "max_tokens": 60}},
}


@contextlib.contextmanager
def families():
    """Both toy families are known."""
    with toy_family.registered(), toy_text.registered():
        yield


def stroke(label, number):
    """A PNG of 8 x 8: a bar that stands (1) or a ring (0), with some noise."""
    rng = np.random.default_rng([int(label), number])
    pixels = rng.integers(0, 60, (8, 8), np.uint8)
    if label == "1":
        pixels[1:7, 3:5] = 230
    else:
        pixels[1:7, 1:7] = 230
        pixels[3:5, 3:5] = 10
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def items(source):
    """What ingest found in a source."""
    if source == "notes":
        for i in range(20):
            a, b, c = (TOPICS[(i * k + k) % len(TOPICS)] for k in (1, 3, 7))
            text = f"Note {i} is about {a}, {b} and {c}: {i * 17} coins for the {b}, and {i * 31} for the {c}."
            yield Item(modality="text", uri=f"{i:02}.txt", media_type="text/plain", text=text)
    else:
        for i in range(16) if source == "scans" else range(16, 26):
            label = str(i % 2)
            yield Item(modality="image", uri=f"{i:02}.png", media_type="image/png", data=stroke(label, i), label=label)


def ingest(root, source, rows):
    """Write what a source holds, as ingest does."""
    folder = root / "artifacts" / "ingest" / source
    writer = files.ShardWriter(folder / "items", ITEM_SCHEMA)
    for row in rows:
        writer.write(row)
    writer.close()
    files.write_table(folder / "rejected.parquet", [], REJECT_SCHEMA)


def stored(root):
    """From items to the stores of what was ingested."""
    at = Path("artifacts")
    with contextlib.chdir(root):
        reports = [at / "reports" / f"dedup.{kind}" for kind in ("json", "html")]
        dedup.run(at / "ingest", at / "scan" / "against", at / "dedup", *reports, at / "metrics/dedup.json")
        tag.run(at / "ingest", at / "dedup", at / "tag", at / "metrics/tag.json")
        embed.run(at / "ingest", at / "dedup", at / "embed", at / "metrics/embed.json")
        before = [at / part for part in ("ingest", "dedup", "tag", "embed")]
        similar.run(*before, at / "metrics/embed.json", at / "similar", at / "metrics/similar.json")
        store.run(*before, at / "similar", at / "store", at / "metrics/store.json")


def modelled(root, *names):
    """From the stores to outputs."""
    at = Path("artifacts")
    with contextlib.chdir(root):
        for name in names:
            metrics = at / "metrics" / f"{name}.json"
            select.run(name, at / "store", at / "select" / name, metrics)
            train.run(name, at / "select" / name, at / "store", at / "train" / name, metrics)
            generate.run(name, at / "train" / name, at / "generate" / name, metrics)


def collected(root):
    """From outputs to their store."""
    at = Path("artifacts")
    with contextlib.chdir(root):
        Path("records/outputs").mkdir(parents=True, exist_ok=True)
        collect.run(at / "generate", Path("records/outputs"), at / "collect", at / "store", at / "metrics/collect.json")


def trained(root):
    """The project up to the outputs of its families."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(json.dumps(PARAMS))
    for source, stated in PARAMS["sources"].items():
        ingest(root, source, (item.row(source, stated["origin"], stated.get("license")) for item in items(source)))
    with families():
        stored(root)
        modelled(root, *FAMILIES)
    return root
