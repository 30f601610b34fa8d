import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from warehouse import picture, stock

from gendata.export import export
from gendata.export.choice import Choice
from gendata.items import Item
from gendata.records.ledger import Ledger
from gendata.records.manifest import Manifest
from gendata.select.selection import select_rows

LABELS = [
    "3",
    "3",
    "a/b",
    "..",
    ".",
    "std::vector",
    "50% *[x]?",
    "_unlabelled",
    "metadata.jsonl",
    "été ☃",
    " x ",
    "",
    None,
]
TEXTS = [
    "plain words",
    'with "quotes", commas\nand\r\nlines',
    "NUL \0 and tail\\",
    "\r",
    "été ☃ \u2028\x85",
    "=1+1",
    "2021-05-03",
    "NA",
]
SPLITS = ("train", "test", "train")


@dataclass
class Shop:
    """Stores, and every item of them by id."""

    stores: dict
    items: dict

    def export(self, dest, format_, **choice):
        return export(Path(dest), format_, Choice(**choice), self.stores, Ledger(Path(dest).parent))

    def export_manifest(self, dest, format_, manifest, **choice):
        """Cheaper than a condition, which is run in a process of its own."""
        Ledger(Path(dest).parent).keep_manifest(manifest)
        return self.export(dest, format_, manifest=manifest.id, **choice)

    def real(self, modality=None):
        return {i: r for i, r in self.items.items() if r["origin"] == "real" and modality in (None, r["modality"])}


def photo(number, label):
    meta = {"number": number}
    return Item(
        modality="image",
        uri=f"{number}.png",
        media_type="image/png",
        data=picture(number),
        text=None if number == 1 else f"photo {number}",
        text_origin=None if number == 1 else "generated",
        label=label,
        meta=meta,
    )


def note(number, text):
    return Item(modality="text", uri=f"{number}.txt", media_type="text/plain", text=text, license="MIT")


def split(items):
    return [(SPLITS[n % 3], item) for n, item in enumerate(items)]


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    sources = {
        "photos": ("real", split(photo(n, label) for n, label in enumerate(LABELS))),
        "notes": ("real", split(note(n, text) for n, text in enumerate(TEXTS))),
        "sounds": ("real", [("train", Item(modality="audio", uri="a.wav", media_type="audio/wav", data=b"RIFF\0"))]),
        "made": ("generated", split([photo(100, "3"), note(100, "made of words")])),
        "found": ("unknown", split([note(200, "found words")])),
    }
    stores = stock(tmp_path_factory.mktemp("shop") / "artifacts", **sources)
    items = {
        item.id: item.row(name, origin, "CC0-1.0") | {"split": where}
        for name, (origin, rows) in sources.items()
        for where, item in rows
    }
    return Shop(stores, items)


@pytest.fixture(scope="session")
def everything(shop):
    """A manifest of every item."""
    rows = select_rows("true", shop.stores)
    return Manifest.of({"where": "true", "allow_origins": ["generated", "unknown"], "allowed": {}}, rows)


@pytest.fixture(scope="session")
def exports(shop, everything, tmp_path_factory):
    """All real items, in every format: folder by name."""
    base = tmp_path_factory.mktemp("exports")
    for format_ in ("parquet", "jsonl", "csv", "imagefolder", "webdataset", "hf"):
        (base / f"{format_}.json").write_text(
            json.dumps(shop.export_manifest(base / format_, format_, everything, origin="real"))
        )
    return base
