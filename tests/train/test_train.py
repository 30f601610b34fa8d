"""A whole training: what it writes, that tracking changes nothing, and that a checkpoint is what its card says."""

import csv
import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pytest
import torch
from train import toys

from gendata.errors import ParamsError, StoreError
from gendata.models.checkpoint import load_tensors, load_weights, open_checkpoint
from gendata.models.family import DataSpec
from gendata.records.manifest import Manifest
from gendata.select.contents import Contents
from gendata.tracking import NullTracker
from gendata.train import train
from gendata.train.card import model_card

CONFIG = toys.Config()


class Recorder(NullTracker):
    """A tracker that remembers, and that uses the random generators as any library might."""

    def __init__(self):
        self.calls = []

    def start(self, params, manifest):
        torch.rand(3)
        self.calls.append(("start", params["family"], manifest["manifest_id"]))

    def figures(self, step, values):
        torch.rand(3)
        self.calls.append(("figures", step, sorted(values)))

    def image(self, name, step, png):
        self.calls.append(("image", step, png[:4]))

    def checkpoint(self, folder, card):
        self.calls.append(("checkpoint", card["checkpoint_id"], sorted(p.name for p in folder.iterdir())))


@pytest.fixture
def trained(images, tmp_path):
    train("toy", images, CONFIG, tmp_path / "out", NullTracker())
    return tmp_path / "out"


def test_what_is_written(images, trained):
    card = json.loads((trained / "card.json").read_text())
    assert card["manifest_id"] == images.manifest.id
    assert card["data"]["by"]["split"] == {"test": 1, "train": 14, "valid": 1}
    assert (card["family"], card["steps"], card["classes"]) == ("toy", 12, ["a", "b"])
    assert card["parameters"] == 2 * 64 + 1
    assert set(card["figures"]) == {"valid/loss"}
    history = csv.DictReader((trained / "history.csv").read_text().splitlines())
    assert [row["step"] for row in history] == ["4", "8", "12"]
    assert (trained / "samples.png").read_bytes().startswith(b"\x89PNG")
    text = (trained / "README.md").read_text()
    for fact in (images.manifest.id, "| photos | 16 |", "| CC0-1.0 | 16 |", "Classes: a, b", "| real | 16 |"):
        assert fact in text


def test_the_model_card_does_not_tell_in_what_order_figures_came(trained):
    """A resumed training has them in the order of its journal."""
    card = json.loads((trained / "card.json").read_text())
    figures = {"valid/loss": 1.5, "valid/accuracy": 0.5}
    backwards = dict(reversed(figures.items()))
    assert model_card(card | {"figures": figures}) == model_card(card | {"figures": backwards})


def test_a_training_is_the_same_with_tracking_and_without(images, trained, tmp_path):
    recorder = Recorder()
    shutil.rmtree(tmp_path / ".gendata" / "train")
    train("toy", images, CONFIG, tmp_path / "tracked", recorder)
    for file in trained.iterdir():
        assert (tmp_path / "tracked" / file.name).read_bytes() == file.read_bytes(), file.name
    kinds = [c[0] for c in recorder.calls]
    assert kinds[0] == "start"
    assert kinds.count("image") == 3
    again = Recorder()
    train("toy", images, CONFIG, tmp_path / "again", again)  # from the state at its end
    assert [c[1] for c in again.calls if c[0] == "figures"] == [4, 8, 12]
    assert recorder.calls[-1][2] == ["README.md", "card.json", "history.csv", "samples.png", "weights.safetensors"]


def test_other_params_are_another_training(images, trained, tmp_path):
    """A half-way state is never gone on from under other params."""
    card = train("toy", images, replace(CONFIG, lr=0.5), tmp_path / "other", NullTracker())
    assert card["checkpoint_id"] != open_checkpoint(trained).id
    assert card["figures"] != open_checkpoint(trained).card["figures"]
    assert len(list((tmp_path / ".gendata" / "train").iterdir())) == 1  # states of params given up are removed


def test_a_checkpoint_gives_the_model_that_was_saved(trained):
    checkpoint = open_checkpoint(trained)
    model = checkpoint.model()
    assert not model.training
    assert checkpoint.config() == replace(CONFIG, device="auto")
    again = open_checkpoint(trained).model()
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("harm", ["truncated", "changed", "missing", "no card", "half card", "schema"])
def test_a_checkpoint_that_is_not_whole_is_refused(trained, harm):
    weights, card = trained / "weights.safetensors", trained / "card.json"
    content = weights.read_bytes()
    if harm == "truncated":
        weights.write_bytes(content[:-20])
    elif harm == "changed":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "missing":
        weights.unlink()
    elif harm == "no card":
        card.unlink()
    elif harm == "half card":
        card.write_text(card.read_text()[:-20])
    else:
        card.write_text(card.read_text().replace('"schema": 1', '"schema": 99'))
    with pytest.raises(StoreError) as error:
        open_checkpoint(trained)
    assert str(error.value).startswith(str(trained))


def _recarded(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))
    return open_checkpoint(folder)


def test_a_checkpoint_of_other_params_is_refused(trained):
    with pytest.raises(StoreError, match="not the card that these weights were saved with"):
        _recarded(trained, lambda card: card["config"].update(size=12))
    with pytest.raises(StoreError, match=r"weights of other params: means is \[2, 1, 8, 8\], not \[2, 1, 12, 12\]"):
        load_weights(toys.Model(toys.Config(size=12), DataSpec(("a", "b"))), trained / "weights.safetensors")


def test_a_card_of_other_code_is_refused(trained):
    checkpoint = open_checkpoint(trained)
    with pytest.raises(ParamsError, match="unknown key 'depth'"):
        replace(checkpoint, card={**checkpoint.card, "config": {"depth": 3}}).model()
    with pytest.raises(ParamsError, match="unknown family 'old'"):
        replace(checkpoint, card={**checkpoint.card, "family": "old"}).model()


def test_equal_weights_on_another_manifest_are_another_checkpoint(images, stores, trained, tmp_path):
    """A corrected licence changes no weight, but it is another training."""
    rows = images.manifest.rows.to_pylist()
    rows[0]["license"] = "MIT"
    other = Manifest.of(images.manifest.selection, pa.Table.from_pylist(rows, images.manifest.rows.schema))
    card = train("toy", Contents(other, stores), CONFIG, tmp_path / "other", NullTracker())
    assert card["checkpoint_id"] != open_checkpoint(trained).id
    tensors = [load_tensors(folder / "weights.safetensors") for folder in (trained, tmp_path / "other")]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
