"""The training loop. It knows no family: steps, checked, followed, resumable.

A training that was killed goes on from its last checkpoint and gives the weights of an unbroken one, bit for
bit on one CPU type.
"""

import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import torch

from gendata.engine import Progress
from gendata.errors import GendataError, ParamsError
from gendata.models.family import Recipe
from gendata.train.data import ImageData, TextData
from gendata.train.machine import Machine
from gendata.train.resume import State, last_good, load_state, save_state
from gendata.train.step import Training, batches, optimizer, take_step, validate

_REPORTED = 10
"""Steps between points of a curve."""

_DIVERGED = 10.0
"""A held-out loss of so many times the first one is no overfitting any more."""


class Watch(Protocol):
    """Who follows a training; nothing that it does may change the training."""

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Points of curves: of every tenth step and of every validation."""

    def validated(self, step: int) -> None:
        """A validation is done: the moment to sample."""

    def say(self, line: str) -> None:
        """A line worth reading."""


class DivergedError(GendataError):
    """A loss, a gradient or a weight is not finite any more, or the held-out loss is far above the first."""


def fit(
    name: str, model: Any, config: Recipe, data: ImageData | TextData, work: Path, watch: Watch, machine: Machine
) -> State:
    """Train ``model`` in place to ``config.steps``.

    Args:
        name: of the family, in messages.
        model: an ``nn.Module`` with the protocol ``Model``, on the machine's device.
        config: how.
        data: from which batches come.
        work: where half-way states lie; one that is there is gone on from.
        watch: follows what happens.
        machine: where it computes; the first of several processes writes the states.

    Returns:
        The state at the end; ``history`` has a row of means for every validation.

    Raises:
        DivergedError: the training went astray; names the last good checkpoint.
        StoreError: a checkpoint cannot be written; names the last good one.
        ParamsError: torch cannot do what the recipe asks for.
    """
    optimizers = {key: optimizer(o, config) for key, o in model.objectives().items()}
    training = Training(model, machine.loss(model), optimizers, config, data, machine)
    state = load_state(work, model, optimizers, watch.say)
    for row in state.history:  # a resumed run has the whole curve
        watch.figures(row["step"], {key: value for key, value in row.items() if key != "step"})
    curves = _Curves(watch, data.units(config.batch), data.unit)
    after = math.inf if machine.rank else 2.0
    with (
        Progress(f"train {name}", config.steps, "steps", after, done=state.step) as progress,
        closing(batches(training, state.step)) as ahead,
    ):
        progress.rate = data.units(config.batch), data.unit
        for parts in ahead:
            try:
                losses, figures = take_step(training, parts, state.step)
                state.step += 1
                curves.add(state.step, figures)
                if state.step % config.every == 0 or state.step == config.steps:
                    _keep(training, state, curves, work, watch)
            except FloatingPointError as error:
                raise _diverged(name, str(error), state.step, work) from None
            except ParamsError as error:
                raise ParamsError(f"train.{name}.{error}") from None
            progress.note = ", ".join(f"{key} {value:.4g}" for key, value in losses.items())
            progress.add()
    return state


def _keep(training: Training, state: State, curves: "_Curves", work: Path, watch: Watch) -> None:
    """Validate, and write a checkpoint if all is well. Raises FloatingPointError if it is not, StoreError."""
    for key, tensor in training.model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise FloatingPointError(f"the weights {key} are not finite")
    valid = validate(training.model, training.config, training.data, training.machine)
    row = {"step": state.step, **curves.means(), **valid}
    first = next((abs(r["valid/loss"]) for r in state.history if "valid/loss" in r), math.inf)
    if not valid.get("valid/loss", 0.0) <= _DIVERGED * first:
        raise FloatingPointError(f"the held-out loss is {valid['valid/loss']:.4g}, at first it was {first:.4g},")
    state.history.append(row)
    watch.figures(state.step, valid)
    watch.validated(state.step)
    if training.machine.rank == 0:
        save_state(work, state, training.model, training.optimizers)
    curves.restart()  # none of this is time of the steps


def _diverged(name: str, what: str, step: int, work: Path) -> DivergedError:
    return DivergedError(f"train {name}: {what} at step {step}; {last_good(work)}; lower train.{name}.lr or clip")


class _Curves:
    """Figures of steps: every tenth as a point, and means since the last validation."""

    def __init__(self, watch: Watch, units: int, unit: str) -> None:
        self._watch, self._units, self._unit = watch, units, unit
        self._sums: dict[str, float] = {}
        self._since = 0
        self.restart()

    def restart(self) -> None:
        """What follows is timed from now on."""
        self._timed, self._clock = 0, time.monotonic()

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """The figures of a step that is done."""
        self._since += 1
        self._timed += 1
        for key, value in figures.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        if step % _REPORTED == 0:
            speed = self._timed * self._units / max(time.monotonic() - self._clock, 1e-9)
            points = {f"train/{key}": value for key, value in figures.items()}
            self._watch.figures(step, points | {f"speed/{self._unit}_per_second": speed})
            self.restart()

    def means(self) -> dict[str, float]:
        """Means over the steps since this was asked last."""
        found = {f"train/{key}": value / self._since for key, value in self._sums.items()}
        self._sums, self._since = {}, 0
        return found
