"""Half-way states of a training: written whole or not at all, checked before they are believed.

``.gendata/train/<key>/step-000250/`` holds ``state.safetensors`` (weights and Adam's moments) and
``state.json`` (step, history, digest of the tensors). The key covers data, params and code: a state
never goes on under others. Deletable at any time.
"""

import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from gendata import files
from gendata.errors import StoreError
from gendata.models.checkpoint import load_tensors, save_tensors

KEEP = 2
"""States that stay: the newest, and the one before in case it is broken."""

_TENSORS, _FACTS = "state.safetensors", "state.json"


@dataclass
class State:
    """Where a training stands: ``step`` steps are done; the data position follows from it."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(folder: Path, state: State, model: nn.Module, optimizers: Mapping[str, Optimizer]) -> Path:
    """Write the state; the folder it lies in. Raises StoreError, which names the last good one, if the disk is full."""
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for name, optimizer in optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            tensors.update({f"optimizer/{name}/{index}/{key}": value for key, value in values.items()})
    final = folder / f"step-{state.step:08d}"
    part = folder / f".{final.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        save_tensors(part / _TENSORS, tensors)
        digest = files.sha256(part / _TENSORS)
        files.write_json(part / _FACTS, {"step": state.step, "history": state.history, "sha256": digest})
        shutil.rmtree(final, ignore_errors=True)
        part.rename(final)
    except (OSError, StoreError) as error:
        what = error if isinstance(error, StoreError) else f"{final}: checkpoint not written: {error.strerror}"
        raise StoreError(f"{what}; {last_good(folder)}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files.fsync(folder)
    for old in _states(folder)[:-KEEP]:
        shutil.rmtree(old)
    return final


def load_state(
    folder: Path, model: nn.Module, optimizers: Mapping[str, Optimizer], say: Callable[[str], None]
) -> State:
    """Go on from the newest state that is whole; a fresh state if there is none. ``say`` is told of broken ones."""
    for path in reversed(_states(folder)):
        try:
            written = _checked(path)
            tensors = load_tensors(path / _TENSORS)
        except StoreError as error:
            say(f"{path}: not a whole checkpoint ({error}): left aside")
            continue
        _restore(tensors, model, optimizers)
        say(f"going on from step {written['step']}")
        return State(written["step"], written["history"])
    return State()


def _restore(tensors: Mapping[str, Tensor], model: nn.Module, optimizers: Mapping[str, Optimizer]) -> None:
    model.load_state_dict({n.removeprefix("model/"): t for n, t in tensors.items() if n.startswith("model/")})
    for name, optimizer in optimizers.items():
        whole = optimizer.state_dict()
        prefix = f"optimizer/{name}/"
        whole["state"] = {}
        for key, tensor in tensors.items():
            if key.startswith(prefix):
                index, _, value = key.removeprefix(prefix).partition("/")
                whole["state"].setdefault(int(index), {})[value] = tensor
        optimizer.load_state_dict(whole)


def last_good(folder: Path) -> str:
    """Which state is the newest that is whole, as a clause of a message."""
    for path in reversed(_states(folder)):
        with suppress(StoreError):
            _checked(path)
            return f"the last good checkpoint is {path}"
    return "there is no checkpoint before it"


def _checked(path: Path) -> dict[str, Any]:
    """What is written of a state beside its tensors. Raises StoreError if either is missing, cut short or changed."""
    written = files.read_json(path / _FACTS)
    if not (path / _TENSORS).is_file():
        raise StoreError(f"{_TENSORS} is missing")
    if not isinstance(written, dict) or not {"step", "history", "sha256"} <= written.keys():
        raise StoreError(f"{_FACTS} is not one of a training")
    if files.sha256(path / _TENSORS) != written["sha256"]:
        raise StoreError("its tensors were cut short or changed")
    return written


def _states(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.is_dir())
