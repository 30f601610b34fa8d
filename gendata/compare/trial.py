"""A training of an experiment: the loop's own steps, in memory, without checkpoints and tracking."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from gendata.compare.evidence import MissingError
from gendata.models import load_family
from gendata.models.family import DataSpec, Recipe
from gendata.train.machine import CPU
from gendata.train.step import Training, optimizer, take_step, validate

Watch = Callable[[int, Any], None]
"""Called after every step with the number of steps done and the model."""


def short(config: Any, seed: int, steps: int, batch: int) -> Any:
    """A family's recipe for a training of an experiment: so many steps and items, in float32 on the CPU."""
    own = {"seed": seed, "steps": steps, "batch": batch, "warmup": min(10, steps // 4), "accumulate": 1}
    return replace(config, **own, device="cpu", precision="float32", compile=False)


def hasty(steps: int, *configs: Recipe) -> str:
    """What limits trainings of so many steps, where they are under a tenth of those of a recipe; else empty."""
    most = max(config.steps for config in configs)
    return f"{steps} steps, under a tenth of the {most} of the recipe" if 10 * steps < most else ""


def make(name: str, config: Recipe, data: Any) -> Any:
    """A model of a family as a training starts from: weights of ``config.seed``, one thread, float32."""
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    return load_family(name).Model(config, DataSpec(data.classes, data.tokenizer))


def train(
    model: Any, config: Recipe, data: Any, steps: int | None = None, watch: Watch | None = None
) -> list[dict[str, float]]:
    """Train a model in place on the CPU; the losses and figures of each step.

    Args:
        model: of ``make``, or one that goes on.
        config: of the model; the learning rate is that of its ``steps``.
        data: ImageData or TextData, or what has their ``batch``.
        steps: how many of them are taken; None: all.
        watch: told of every step.

    Raises MissingError where it diverges.
    """
    optimizers = {key: optimizer(objective, config) for key, objective in model.objectives().items()}
    training = Training(model, model.loss, optimizers, config, data, CPU)
    found = []
    for step in range(config.steps if steps is None else steps):
        try:
            _, figures = take_step(training, [data.batch(config.seed, step, config.batch)], step)
        except FloatingPointError as error:
            raise MissingError(f"a training of seed {config.seed} diverged at step {step + 1}: {error}") from None
        found.append(figures)
        if watch is not None:
            watch(step + 1, model)
    model.eval()
    return found


def held_out_loss(model: Any, config: Recipe, data: Any) -> float:
    """The loss over the held-out split, in the family's unit: nats per token or per image."""
    return validate(model, config, data)["valid/loss"]
