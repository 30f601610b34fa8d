"""What is exported, as the tools read it that people use: every item, byte for byte, with its origin."""

import contextlib
import gc
import hashlib
import io
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from PIL import Image

from gendata.export.names import label_folder

FACTS = ("modality", "origin", "source", "uri", "label", "license", "split", "media_type", "text_origin")


def check(rows, expected, *, nothing=None, texts=True):
    """Rows by id are the expected items; ``nothing`` is what the format has for a missing value."""
    assert {row["id"] for row in rows} == expected.keys()
    for row in rows:
        item = expected[row["id"]]
        for name in (*FACTS, *(["text"] if texts else [])):
            assert row[name] == (nothing if item[name] is None else item[name]), name
        assert json.loads(row["meta"]) == json.loads(item["meta"])


def pixels(data):
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


@contextlib.contextmanager
def readers_own_warnings():
    """Of datasets, how it will call other libraries in future; of webdataset, files that it leaves to be collected."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
        yield
        gc.collect()


# ImageFolder needs none of the compiled operators, which load only beside the torch that they were built for;
# declared, they let the package be imported
IMAGE_FOLDER = """
import hashlib, json, sys, torch
library = torch.library.Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    try:
        getattr(torch.ops.torchvision, name)
    except AttributeError:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from torchvision.datasets import ImageFolder
folder = ImageFolder(sys.argv[1])
for (path, _), (image, target) in zip(folder.samples, folder, strict=True):
    digest = hashlib.sha256(image.convert("L").tobytes()).hexdigest()
    print(json.dumps({"path": path, "class": folder.classes[target], "digest": digest}))
"""


def torchvision_images(path):
    """What torchvision's ``ImageFolder`` reads: in a process of its own, with the folder that make installed it in.

    Not in the venv: a torchvision that does not fit the torch beside it breaks transformers, which imports it if found.
    """
    home = Path(sys.prefix) / "readers"
    if not home.is_dir():
        pytest.skip("torchvision is not installed: `make test` installs it apart from the venv")
    command = [sys.executable, "-c", IMAGE_FOLDER, str(path)]
    run = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(home)}, check=True, capture_output=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def hf(folder, tmp_path, *args, **options):
    """``datasets.load_dataset`` on a folder; rows of all splits, each with the split that it came in."""
    import datasets

    with readers_own_warnings():
        loaded = datasets.load_dataset(*(args or (str(folder),)), cache_dir=str(tmp_path), **options)
        return [row | {"_split": name} for name, split in loaded.items() for row in split]


def test_parquet_in_pandas_and_datasets(shop, exports, tmp_path):
    import pandas

    frame = pandas.read_parquet(exports / "parquet" / "data")
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    check(rows, shop.real())
    assert {r["id"]: r["data"] for r in rows} == {i: r["data"] for i, r in shop.real().items()}
    rows = hf(exports / "parquet", tmp_path)
    check(rows, shop.real())
    assert all(row["_split"] == row["split"] for row in rows)


def test_jsonl_in_pandas_and_datasets(shop, exports, tmp_path):
    import pandas

    frames = [pandas.read_json(path, lines=True, dtype=False) for path in sorted((exports / "jsonl").glob("*.jsonl"))]
    rows = [row for frame in frames for row in frame.astype(object).where(frame.notna(), None).to_dict("records")]
    check(rows, shop.real())
    for row in rows:
        data = shop.items[row["id"]]["data"]
        assert (row["file"] is None) == (data is None)
        assert data is None or (exports / "jsonl" / row["file"]).read_bytes() == data
    assert {row["id"] for row in hf(exports / "jsonl", tmp_path)} == shop.real().keys()


def test_csv_in_pandas_arrow_and_datasets(shop, exports, tmp_path):
    import pandas
    import pyarrow as pa
    from pyarrow import csv

    paths = sorted((exports / "csv").glob("*.csv"))
    rows = [r for p in paths for r in pandas.read_csv(p, dtype=str, keep_default_na=False).to_dict("records")]
    check(rows, shop.real(), nothing="")
    strings = csv.ConvertOptions(
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
        column_types=dict.fromkeys(rows[0], pa.string()),
    )
    lines = csv.ParseOptions(newlines_in_values=True)
    exact = [r for p in paths for r in csv.read_csv(p, parse_options=lines, convert_options=strings).to_pylist()]
    check(exact, shop.real())
    assert {row["id"] for row in hf(exports / "csv", tmp_path)} == shop.real().keys()


def test_imagefolder_in_torchvision_and_datasets(shop, exports, tmp_path):
    photos, seen = shop.real("image"), set()
    for split in ("train", "test"):
        for row in torchvision_images(exports / "imagefolder" / split):
            item = photos[Path(row["path"]).stem]
            assert row["class"] == label_folder(item["label"])
            assert item["split"] == split
            assert row["digest"] == hashlib.sha256(pixels(item["data"])).hexdigest()
            seen.add(item["id"])
    assert seen == photos.keys()
    for rows in (
        hf(exports / "imagefolder", tmp_path / "a"),
        hf(None, tmp_path / "b", "imagefolder", data_dir=str(exports / "imagefolder")),
    ):
        check(rows, photos, nothing="")
        assert all(row["image"].tobytes() == pixels(photos[row["id"]]["data"]) for row in rows)
        assert all(row["_split"] == row["split"] for row in rows)


def test_webdataset_in_webdataset_and_datasets(shop, exports, tmp_path):
    import webdataset

    shards = sorted(map(str, (exports / "webdataset").glob("*/*.tar")))
    with readers_own_warnings():
        samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
    rows = [json.loads(sample["json"]) for sample in samples]
    check(rows, shop.real(), texts=False)
    for sample in samples:
        item = shop.items[sample["__key__"]]
        assert (sample["txt"].decode() if "txt" in sample else None) == item["text"]
        assert (sample.get("png") or sample.get("wav")) == item["data"]
    rows = hf(exports / "webdataset", tmp_path, streaming=True)
    assert {row["json"]["id"]: row["json"]["origin"] for row in rows} == dict.fromkeys(shop.real(), "real")


def test_hf_on_disk_in_datasets(shop, exports):
    import datasets

    loaded = datasets.load_from_disk(str(exports / "hf"))
    rows = [row for split in loaded.values() for row in split]
    check(rows, shop.real())
    assert {name: set(split["split"]) for name, split in loaded.items()} == {"train": {"train"}, "test": {"test"}}
    for row in rows:
        item = shop.items[row["id"]]
        if item["modality"] == "image":
            assert row["image"].tobytes() == pixels(item["data"])
            assert row["data"] is None
        else:
            assert (row["image"], row["data"]) == (None, item["data"])


def test_hf_has_no_column_for_what_is_not_there(shop, everything, tmp_path):
    import datasets

    shop.export_manifest(tmp_path / "texts", "hf", everything, origin="real", licenses=("MIT",))
    assert not {"image", "data"} & set(datasets.load_from_disk(str(tmp_path / "texts"))["train"].column_names)


@pytest.mark.parametrize("name", ["parquet", "jsonl", "csv", "imagefolder", "webdataset", "hf"])
def test_the_card_loads_what_it_says(exports, name, tmp_path, monkeypatch):
    """The first of the ways to load that the card gives."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)  # not what another run read at this place
    card = (exports / name / "README.md").read_text(encoding="utf-8")
    code = card.partition("```python\n")[2].partition("\n\n")[0].partition("```")[0]
    code, space = code.replace("DEST", str(exports / name)), {}
    with readers_own_warnings():
        exec(code, space)
        (read,) = (space[key] for key in ("items", "images") if key in space)
        assert next(iter(read)) is not None
