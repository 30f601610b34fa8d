"""A checkpoint: weights as safetensors beside a readable card, both checked when opened; no pickle.

The card says what the weights are and what they were trained on; ``checkpoint_id`` is the sha256 of the weights'
file, whose header holds the digest of the card. The same weights and card give the same bytes.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gendata import files, params
from gendata.errors import StoreError
from gendata.items import canonical_json, content_id
from gendata.models import load_family
from gendata.models.family import DataSpec, Recipe
from gendata.models.tokens import BYTES, Tokenizer, load

SCHEMA = 1
WEIGHTS, CARD, TOKENIZER = "weights.safetensors", "card.json", "tokenizer.json"

_CARD_KEY = "gendata.card"
"""In the header of the weights: the digest of their card, so that equal weights of two trainings have two ids."""


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint: its folder and its card; the weights are read by ``model``."""

    folder: Path
    card: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Sha256 of the weights."""
        return str(self.card["checkpoint_id"])

    @property
    def data(self) -> DataSpec:
        """What the model knows of its training data."""
        return DataSpec(tuple(self.card["classes"]), self.tokenizer())

    def tokenizer(self) -> Tokenizer:
        """Of the texts: bytes, unless there is one. Raises StoreError if it is not the one of the card."""
        digest, path = self.card.get("tokenizer"), self.folder / TOKENIZER
        if digest is None:
            return BYTES
        if not path.is_file():
            raise StoreError(f"{path}: not found")
        if files.sha256(path) != digest:
            raise StoreError(f"{path}: not the tokenizer of checkpoint {self.id[:12]}: cut short or changed")
        return load(path.read_text(encoding="utf-8"), str(path))

    def config(self) -> Recipe:
        """The family's Config that the model was made with. Raises ParamsError for a card of other code."""
        chosen = load_family(self.card["family"]).Config
        return params.build(chosen, self.card["config"], f"{self.folder / CARD}: config")

    def model(self) -> nn.Module:
        """The module with its weights, in evaluation mode. Raises StoreError where they do not fit the card.

        Torch's threads are set to those of the training: more would change the last bits, and spin at barriers
        that small models are full of.
        """
        config = self.config()
        torch.set_num_threads(config.threads)
        made = load_family(self.card["family"]).Model(config, self.data)
        assert isinstance(made, nn.Module)
        load_weights(made, self.folder / WEIGHTS)
        return made.eval()


def save_checkpoint(
    folder: Path, model: nn.Module, card: Mapping[str, Any], tokenizer: Tokenizer = BYTES
) -> Checkpoint:
    """Write weights, card and tokenizer into an existing folder; the card gets ``checkpoint_id`` and ``schema``.

    A tokenizer's digest joins the card, and so the id: equal weights over other tokens are another model.
    """
    if tokenizer.text:
        (folder / TOKENIZER).write_text(tokenizer.text, encoding="utf-8")
        card = {**card, "tokenizer": files.sha256(folder / TOKENIZER)}
    save_tensors(folder / WEIGHTS, model.state_dict(), {_CARD_KEY: content_id(canonical_json(card))})
    full = {**card, "schema": SCHEMA, "checkpoint_id": files.sha256(folder / WEIGHTS)}
    files.write_json(folder / CARD, full)
    return Checkpoint(folder, full)


def card_of(family_name: str, config: Recipe, data: DataSpec, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The card of a model, without the id of its weights."""
    return {"family": family_name, "config": asdict(config), "classes": list(data.classes), **facts}


def open_checkpoint(folder: Path, family: str | None = None) -> Checkpoint:
    """Open a checkpoint, of this family if one is given.

    Raises StoreError if it is of another, or a part of it is missing, cut short or not what its card says.
    """
    card = files.read_json(folder / CARD)
    if not isinstance(card, dict) or card.get("schema") != SCHEMA or not isinstance(card.get("checkpoint_id"), str):
        raise StoreError(f"{folder / CARD}: not a checkpoint card of schema {SCHEMA}")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise StoreError(f"{weights}: not found")
    if files.sha256(weights) != card["checkpoint_id"]:
        raise StoreError(f"{weights}: not the weights of checkpoint {card['checkpoint_id'][:12]}: cut short or changed")
    facts = {key: value for key, value in card.items() if key not in {"schema", "checkpoint_id"}}
    if _card_digest(weights) != content_id(canonical_json(facts)):
        raise StoreError(f"{folder / CARD}: not the card that these weights were saved with: it was changed")
    if family not in {None, card["family"]}:
        raise StoreError(f"{folder}: holds a checkpoint of family {card['family']}, not {family}; train {family} again")
    checkpoint = Checkpoint(folder, card)
    checkpoint.tokenizer()
    return checkpoint


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, durable. Raises StoreError if the disk does not take them.

    More than one key of ``metadata`` would come in any order: the same tensors would not give the same bytes.
    """
    try:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, path, metadata)
        files.fsync(path)
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: cannot be written: {str(error).splitlines()[0]}") from error


def _card_digest(path: Path) -> str | None:
    try:
        with safe_open(path, "pt") as file:
            return dict(file.metadata() or {}).get(_CARD_KEY)
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: not readable safetensors: {str(error).splitlines()[0]}") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read safetensors. Raises StoreError if the file is not whole."""
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise StoreError(f"{path}: not readable safetensors: {str(error).splitlines()[0]}") from None


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights into a module. Raises StoreError where names or shapes differ."""
    tensors = load_tensors(path)
    own = model.state_dict()
    if wrong := sorted(own.keys() ^ tensors.keys()):
        raise StoreError(f"{path}: weights of another model: {wrong[0]} is in one of the two alone")
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            shapes = f"{list(tensor.shape)}, not {list(own[name].shape)}"
            raise StoreError(f"{path}: weights of other params: {name} is {shapes}")
    model.load_state_dict(tensors)
