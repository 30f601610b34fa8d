"""The store as a torch Dataset: what its items are, that it is guarded, deterministic, and works in workers."""

import io
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from warehouse import image, picture, stock, text

from gendata.errors import QueryError, StoreError
from gendata.items import Item
from gendata.select.guard import OriginError
from gendata.train.dataset import StoreDataset, open_dataset

SPLITS = ("train", "valid", "test")
TEXTS = ["red\nblue", "NUL \0 and ☃", "x" * 5000]
BROKEN = 4
"""Position of the image that does not decode."""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    photos = [image(i, "ab"[i % 2], SPLITS[max(0, i - 13)]) for i in range(16)]
    upside = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(np.zeros((4, 8), np.uint8)).save(upside, "PNG", exif=exif)
    odd = [
        ("train", Item(modality="image", uri="t.png", media_type="image/png", data=upside.getvalue(), text="turned")),
        ("train", Item(modality="image", uri="b.png", media_type="image/png", data=picture(99)[:60])),
        ("train", Item(modality="audio", uri="s.wav", media_type="audio/wav", data=b"RIFF\0")),
    ]
    return stock(
        tmp_path_factory.mktemp("stock") / "artifacts",
        photos=("real", photos),
        notes=("real", [text(words, label="poem") for words in TEXTS]),
        odd=("real", odd),
        made=("generated", [image(50, "a")]),
    )


def pixels(picture):
    """A transform, at the top level so that spawned workers find it."""
    return torch.from_numpy(np.asarray(picture, np.float32) / 255)


@pytest.fixture(scope="module")
def everything(stores, tmp_path_factory):
    """All real items: selections run in a process of their own, so tests share them."""
    return open_dataset(stores, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def photos(stores, tmp_path_factory):
    return open_dataset(stores, tmp_path_factory.mktemp("cache"), where="source = 'photos'", transform=pixels)


def test_items_of_images_texts_and_sounds(everything):
    items = {row["uri"]: everything[i] for i, row in enumerate(everything.manifest.rows.to_pylist()) if i != BROKEN}
    assert {item["id"] for item in items.values()} | {everything.manifest.rows["id"][BROKEN].as_py()} == set(
        everything.manifest.rows["id"].to_pylist()
    )
    for seed in range(16):
        item = items[f"{'ab'[seed % 2]}-{seed}.png"]
        assert item.keys() == {"id", "label", "text", "image"}
        assert (item["label"], item["text"]) == ("ab"[seed % 2], "")
        with Image.open(io.BytesIO(picture(seed))) as expected:
            assert item["image"].tobytes() == expected.tobytes()
    notes = [item for item in items.values() if item["label"] == "poem"]
    assert [note["text"] for note in notes] == TEXTS
    assert notes[0].keys() == {"id", "label", "text"}
    assert (items["s.wav"]["data"], items["s.wav"]["text"], items["s.wav"]["label"]) == (b"RIFF\0", "", "")
    assert (items["t.png"]["image"].size, items["t.png"]["text"]) == ((4, 8), "turned")
    assert everything.classes == ("a", "b", "poem")
    with pytest.raises(StoreError, match="its image does not decode"):
        everything[BROKEN]


def test_batches_are_the_items_in_the_order_asked_for(photos):
    order = [5, 0, 15, 5, -1]
    for one, item in zip(order, photos.__getitems__([i % 16 for i in order]), strict=True):
        assert item["id"] == photos[one]["id"] == photos.manifest.rows["id"][one % 16].as_py()
    for outside in (16, -17):
        with pytest.raises(IndexError):
            photos[outside]
    assert len(list(photos)) == len(photos) == 16


def test_a_loader_shuffles_by_the_seed_of_torch(photos):
    def ids(seed):
        torch.manual_seed(seed)
        batches = list(DataLoader(photos, batch_size=4, shuffle=True))
        assert all(batch["image"].shape == (4, 8, 8) for batch in batches)
        return [i for batch in batches for i in batch["id"]]

    assert ids(1) == ids(1) != ids(2)
    assert sorted(ids(1)) == sorted(photos.manifest.rows["id"].to_pylist())


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_loader_with_workers_gives_the_same(stores, tmp_path, start):
    photos = open_dataset(stores, tmp_path, where="source = 'photos'", transform=pixels)
    alone, helped = (
        list(DataLoader(photos, batch_size=8, num_workers=n, multiprocessing_context=start if n else None))
        for n in (0, 1)
    )
    assert len(alone) == len(helped) == 2
    for one, two in zip(alone, helped, strict=True):
        assert one["id"] == two["id"]
        assert torch.equal(one["image"], two["image"])


def test_a_pickle_is_small_and_knows_its_manifest(stores, tmp_path):
    data = open_dataset(stores, tmp_path, where="source = 'photos'", splits=("valid", "test"))
    assert data.manifest.counts()["split"] == {"test": 1, "valid": 1}
    pickled = pickle.dumps(data)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert again.manifest.id == data.manifest.id
    assert [a["id"] for a in again] == [d["id"] for d in data]


def test_nothing_but_real_items_unless_allowed(stores, everything, tmp_path):
    assert everything.manifest.counts()["origin"] == {"real": 22}
    with pytest.raises(OriginError, match=r"dataset: refused, since 1 of 9 rows.*1 generated from made"):
        open_dataset(stores, tmp_path, where="label = 'a'")
    mixed = open_dataset(stores, tmp_path, where="label = 'a'", allow_origins=("generated",))
    assert mixed.manifest.counts()["origin"] == {"generated": 1, "real": 8}
    assert mixed.manifest.selection["allowed"]["generated"]["sources"] == {"made": 1}


def test_what_cannot_be_opened_is_said_in_a_line(stores, tmp_path):
    with pytest.raises(QueryError, match="matches no item"):
        open_dataset(stores, tmp_path, where="label = 'z'")
    with pytest.raises(QueryError, match="'fake' is none of"):
        open_dataset(stores, tmp_path, allow_origins=("fake",))


def test_a_copy_that_is_cut_short_is_refused_and_can_be_deleted(stores, tmp_path):
    open_dataset(stores, tmp_path, where="source = 'notes'")
    (folder,) = tmp_path.iterdir()
    for name in ("text.values", "id.offsets", "data.offsets"):
        whole = (folder / name).read_bytes()
        for cut in (whole[:-8], b""):
            (folder / name).write_bytes(cut)
            with pytest.raises(StoreError, match="delete"):
                StoreDataset(folder)
        (folder / name).write_bytes(whole)
    shutil.rmtree(folder)
    again = open_dataset(stores, tmp_path, where="source = 'notes'")
    assert [note["text"] for note in again] == TEXTS
