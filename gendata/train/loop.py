"""The training loop. It knows no family: objectives in turn, clipped, checked, resumable.

All randomness of a step follows from the seed and the step's number, and so does the batch: a training
that was killed and goes on gives the weights of an unbroken one, bit for bit on one CPU type.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from gendata.engine import Progress
from gendata.errors import GendataError
from gendata.models import muon
from gendata.models.family import Batch, Figures, Model, Objective, Recipe, item_seed
from gendata.train.data import ImageData, TextData
from gendata.train.resume import State, last_good, load_state, save_state

_REPORTED = 10
"""Steps between points of a curve."""


class Watch(Protocol):
    """Who follows a training; nothing that it does may change the training."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves: of every tenth step and of every validation."""

    def validated(self, step: int) -> None:
        """A validation is done: the moment to sample."""

    def say(self, line: str) -> None:
        """A line worth reading."""


class DivergedError(GendataError):
    """A loss or a gradient is not finite any more."""


def fit(name: str, model: Any, config: Recipe, data: ImageData | TextData, work: Path, watch: Watch) -> State:
    """Train ``model`` in place to ``config.steps``.

    Args:
        name: of the family, in messages.
        model: an ``nn.Module`` with the protocol ``Model``, on its device.
        config: how.
        data: from which batches come.
        work: where half-way states lie; one that is there is gone on from.
        watch: follows what happens.

    Returns:
        The state at the end; ``history`` has a row of means for every validation.

    Raises:
        DivergedError: a loss or gradient is not finite; names the last good checkpoint.
        StoreError: a checkpoint cannot be written.
    """
    optimizers = {key: _optimizer(o, config) for key, o in model.objectives().items()}
    state = load_state(work, model, optimizers, watch.say)
    for row in state.history:  # a resumed run has the whole curve
        watch.figures(row["step"], {key: value for key, value in row.items() if key != "step"})
    sums: dict[str, float] = {}
    since = 0
    with Progress(f"train {name}", config.steps, "steps") as progress:
        progress.add(state.step)
        while state.step < config.steps:
            try:
                figures = _step(model, optimizers, config, data, state.step)
            except FloatingPointError as error:
                raise _diverged(name, str(error), state.step, work) from None
            state.step += 1
            since += 1
            for key, value in figures.items():
                sums[key] = sums.get(key, 0.0) + value
            if state.step % _REPORTED == 0:
                watch.figures(state.step, {f"train/{key}": value for key, value in figures.items()})
            if state.step % config.every == 0 or state.step == config.steps:
                _check_finite(name, model, work, state.step)
                row = {f"train/{key}": value / since for key, value in sums.items()} | validate(model, config, data)
                state.history.append({"step": state.step, **row})
                sums, since = {}, 0
                watch.figures(state.step, {key: value for key, value in row.items() if key.startswith("valid/")})
                watch.validated(state.step)
                save_state(work, state, model, optimizers)
            progress.add()
    return state


def _diverged(name: str, what: str, step: int, work: Path) -> DivergedError:
    kept = last_good(work)
    good = f"the last good checkpoint is {kept}" if kept else "there is no checkpoint before it"
    return DivergedError(f"train {name}: {what} at step {step}; {good}; lower train.{name}.lr or clip")


def _check_finite(name: str, model: Any, work: Path, step: int) -> None:
    """Raise DivergedError where a weight is not finite: a state with such weights is not worth keeping."""
    for key, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise _diverged(name, f"the weights {key} are not finite", step, work)


def _optimizer(objective: Objective, config: Recipe) -> AdamW:
    groups = muon.groups(objective.parameters, objective.matrices, config.weight_decay)
    return (muon.Muon if objective.matrices else AdamW)(groups, lr=config.lr, betas=objective.betas)


def rate(config: Recipe, step: int) -> float:
    """The learning rate of a step: a linear rise, then a cosine (Loshchilov and Hutter 2017)."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    share = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.lr * (config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def _step(
    model: Any, optimizers: Mapping[str, Optimizer], config: Recipe, data: ImageData | TextData, step: int
) -> dict[str, float]:
    """One step of every objective; its figures. Raises FloatingPointError before a bad step is taken."""
    torch.manual_seed(item_seed(config.seed, step))
    batch = _to(data.batch(config.seed, step, config.batch), model)
    model.train()
    logged: dict[str, float] = {}
    for key, objective in model.objectives().items():
        optimizer = optimizers[key]
        optimizer.zero_grad(set_to_none=True)
        loss, figures = model.loss(key, batch, step / config.steps)
        if not math.isfinite(value := loss.item()):
            raise FloatingPointError(f"the loss of {key} is {value}")
        loss.backward()
        norm = nn.utils.clip_grad_norm_(list(objective.parameters), config.clip)
        if not math.isfinite(norm.item()):
            raise FloatingPointError(f"the gradient of {key} is {norm.item()}")
        for group in optimizer.param_groups:
            group["lr"] = rate(config, step)
        optimizer.step()
        logged |= {name: float(v) for name, v in figures.items()} | {f"gradient/{key}": norm.item()}
    model.after_step()
    return logged


@torch.no_grad()
def validate(model: Any, config: Recipe, data: ImageData | TextData) -> dict[str, float]:
    """Means over the held-out split, as ``valid/<name>``."""
    model.eval()
    torch.manual_seed(config.seed)  # noise in a validation is the same every time
    sums: dict[str, float] = {}
    total = 0
    for batch, weight in data.validation(config.batch):
        figures: Figures = model.validate(_to(batch, model))
        for key, value in figures.items():
            sums[key] = sums.get(key, 0.0) + float(value) * weight
        total += weight
    return {f"valid/{key}": value / total for key, value in sums.items()}


def _to(batch: Batch, model: Model) -> Batch:
    device = next(iter(next(iter(model.objectives().values())).parameters)).device
    return {key: value.to(device) for key, value in batch.items()}
