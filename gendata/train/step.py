"""A step of a training: a batch, its gradient over parts and processes, and one update of every objective in turn.

All randomness of a step follows from the seed and the step's number, and so does the batch. Batches are
prepared in a thread while the steps before compute.
"""

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gendata.engine import imap_threads
from gendata.models import muon
from gendata.models.family import Batch, Objective, Recipe
from gendata.train.data import ImageData, TextData
from gendata.train.machine import CPU, Loss, Machine, explained


class Training(NamedTuple):
    """What stays the same from step to step."""

    model: Any
    loss: Loss
    optimizers: Mapping[str, AdamW]
    config: Recipe
    data: ImageData | TextData
    machine: Machine


def batches(training: Training, start: int) -> Generator[list[Batch], None, None]:
    """From step ``start`` on, this process's share of each batch, in as many parts as the recipe accumulates."""
    config, data, machine = training.config, training.data, training.machine
    size = config.batch // (machine.ranks * config.accumulate)
    first = machine.rank * config.accumulate

    def read(step: int) -> list[Batch]:
        parts = [slice(i * size, (i + 1) * size) for i in range(first, first + config.accumulate)]
        return [machine.ready(data.batch(config.seed, step, config.batch, part)) for part in parts]

    yield from imap_threads(read, range(start, config.steps), workers=1)


def optimizer(objective: Objective, config: Recipe) -> AdamW:
    """AdamW over the objective's parameters, with Muon for its matrices."""
    groups = muon.groups(objective.parameters, objective.matrices, config.weight_decay)
    kind = muon.Muon if objective.matrices else AdamW
    return kind(groups, lr=config.lr, betas=objective.betas, fused=True)


def rate(config: Recipe, step: int) -> float:
    """The learning rate of a step: a linear rise, then a cosine (Loshchilov and Hutter 2017)."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    share = (step - config.warmup) / max(config.steps - config.warmup, 1)
    return config.lr * (config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


def take_step(training: Training, parts: Sequence[Batch], step: int) -> tuple[dict[str, float], dict[str, float]]:
    """One step of every objective: their losses, and figures. Raises FloatingPointError before a bad step is taken."""
    model, config, machine = training.model, training.config, training.machine
    torch.manual_seed(machine.seed(config.seed, step))
    moved = [machine.move(part) for part in parts]
    model.train()
    losses: dict[str, float] = {}
    logged: dict[str, float] = {}
    for key, objective in model.objectives().items():
        updater = training.optimizers[key]
        updater.zero_grad(set_to_none=True)
        found = _backward(training, key, moved, step / config.steps)
        parameters = list(objective.parameters)
        machine.average(p.grad for p in parameters if p.grad is not None)
        norm = nn.utils.clip_grad_norm_(parameters, config.clip)
        loss, *figures, norm_value = torch.stack([*found.values(), norm]).tolist()  # one wait for the device
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of {key} is {loss}")
        if not math.isfinite(norm_value):
            raise FloatingPointError(f"the gradient of {key} is {norm_value}, its loss {loss:.4g},")
        for group in updater.param_groups:
            group["lr"] = rate(config, step)
        updater.step()
        losses[key] = loss
        logged |= dict(zip(list(found)[1:], figures, strict=True)) | {f"gradient/{key}": norm_value}
    model.after_step()
    return losses, logged


def _backward(training: Training, objective: str, parts: Sequence[Batch], progress: float) -> dict[str, Tensor]:
    """Add up the gradient of the mean loss over all parts; that loss under the key "", then figures, all 0-d."""
    machine = training.machine
    sums: dict[str, Tensor] = {}
    for batch in parts:
        with explained(objective):
            with machine.autocast():
                loss, figures = training.loss(objective, batch, progress)
            torch.autograd.backward(loss / len(parts))
        for key, value in {"": loss.detach(), **figures}.items():
            share = value.float() / len(parts)
            sums[key] = sums[key] + share if key in sums else share
    machine.average(sums.values())
    return sums


@torch.no_grad()
def validate(model: Any, config: Recipe, data: ImageData | TextData, machine: Machine = CPU) -> dict[str, float]:
    """Means over the held-out split, as ``valid/<name>``; processes take batches in turn."""
    model.eval()
    torch.manual_seed(config.seed)  # noise in a validation is the same every time
    sums: dict[str, float] = {}
    total = 0
    for i, (batch, weight) in enumerate(data.validation(config.batch // config.accumulate)):
        if i % machine.ranks == machine.rank:
            with machine.autocast():
                figures = model.validate(machine.move(batch))
            for key, value in figures.items():
                sums[key] = sums.get(key, 0.0) + float(value) * weight
            total += weight
    everyone = machine.gather((sums, total))
    count = sum(n for _, n in everyone)
    names = dict.fromkeys(key for values, _ in everyone for key in values)
    return {f"valid/{key}": sum(values.get(key, 0.0) for values, _ in everyone) / count for key in names}
