"""T3: seconds of training until both text families have the same held-out loss, the lowest that both reach.

The models are those of params.yaml's families, with their own learning rates over a shorter schedule. Times differ from
run to run, and the comparison from machine to machine.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from gendata.compare import StepsParams, sample, stats, trial
from gendata.compare.evidence import Evidence, same_tokens
from gendata.compare.finding import Effect, Finding, Plot

READS = ("transformer", "rnn")
_CHECKS = 5
_HELD_OUT = 2048
"""Tokens of the held-out split that the loss is measured on."""

Race = list[tuple[float, float]]
"""Seconds of training, and the held-out loss then."""


def run(params: StepsParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of T3."""
    same_tokens(evidence, *READS)
    turns = [{name: _race(name, seed, params, evidence) for name in READS} for seed in seeds]
    races = {name: [turn[name] for turn in turns] for name in READS}  # in turns: what slows the machine slows both
    limit = trial.hasty(params.steps, *(evidence.checkpoint(name).config() for name in READS))
    goal = max(min(loss for _, loss in race) for found in races.values() for race in found)
    taken = {name: [seconds_to(race, goal) for race in found] for name, found in races.items()}
    logs = {name: [math.log(seconds) for seconds in values] for name, values in taken.items()}
    effect = Effect(
        f"seconds of training to {goal:.3f} nats per token; effect: of the RNN's over the transformer's",
        {name: float(np.median(values)) for name, values in taken.items()},
        stats.mean_interval([a - b for a, b in zip(logs["rnn"], logs["transformer"], strict=True)]).limited(limit),
        f"Student's t of logarithms over {len(seeds)} paired seeds, trained in turns",
    )
    lines = {name: found[0] for name, found in races.items()}
    plot = Plot("held-out loss of the first seed", "seconds of training", "nats per token", lines)
    return {"T3": Finding((effect,), f"{params.steps} steps each, one thread of the CPU", plot)}


def _race(name: str, seed: int, params: StepsParams, evidence: Evidence) -> Race:
    made: Any = evidence.checkpoint(name).config()
    steps, config = params.steps, trial.short(made, seed, params.steps, params.batch)
    data = evidence.texts(name)
    held_out = data.only(data.held_out)
    held_out.streams["valid"] = sample.excerpt(held_out.streams["valid"], _HELD_OUT)
    model = trial.make(name, config, data)
    found: Race = []
    clock = [time.perf_counter(), 0.0]  # when the steps began that are not counted yet, and seconds before

    def watch(done: int, _: Any) -> None:
        if done % max(1, steps // _CHECKS) and done != steps:
            return
        clock[1] += time.perf_counter() - clock[0]
        found.append((clock[1], trial.held_out_loss(model, config, held_out)))
        clock[0] = time.perf_counter()

    trial.train(model, config, data, watch=watch)
    return found


def seconds_to(race: Race, goal: float) -> float:
    """When the loss was first at the goal, on straight lines between checks; the last second if it never was."""
    before = race[0]
    for now in race:
        if now[1] <= goal:
            if now == before or before[1] <= goal:
                return now[0]
            return before[0] + (now[0] - before[0]) * (before[1] - goal) / (before[1] - now[1])
        before = now
    return race[-1][0]
