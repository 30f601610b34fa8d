"""T2, T4: what a step of training, and a token of generation, takes on this machine, over the length of a sequence.

Transformer and LSTM of about equally many parameters, one thread of the CPU, as many tokens per step at every length.
Times differ from run to run, and the comparison from machine to machine: a GPU favours the transformer.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from gendata.compare import SpeedParams, stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models import load_family, rnn, transformer
from gendata.models.family import DataSpec, TextRequest

READS: tuple[str, ...] = ()
_TOKENS = 512
_GENERATED = 4
"""Texts generated at once."""


def run(params: SpeedParams, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """Findings of T2 and T4."""
    lengths = sorted(params.lengths)
    models = {name: _model(name, lengths[-1]) for name in ("transformer", "rnn")}
    step = {name: {n: _timed(_step(model, n), params.repeats) for n in lengths} for name, model in models.items()}
    draw = {name: _timed(_draw(model, lengths[-1]), params.repeats) for name, model in models.items()}
    sizes = {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}
    far = {name: found[lengths[-1]] for name, found in step.items()}
    trained = _ratio(f"milliseconds of a training step of {_TOKENS} tokens in sequences of {lengths[-1]}", far, params)
    grown = {
        name: [math.log(a / b) for a, b in zip(f[lengths[-1]], f[lengths[0]], strict=True)] for name, f in step.items()
    }
    growth = Effect(
        f"growth of that time from sequences of {lengths[0]} to {lengths[-1]}; effect: of the RNN's over the other's",
        {name: math.exp(float(np.mean(values))) for name, values in grown.items()},
        *stats.difference(grown["rnn"], grown["transformer"]),
        f"Welch's t of logarithms over {params.repeats} timings each",
    )
    drawn = _ratio(f"milliseconds to generate {_GENERATED} texts of {lengths[-1]} tokens", draw, params)
    lines = {name: [(float(n), 1000 * float(np.median(t))) for n, t in found.items()] for name, found in step.items()}
    plot = Plot("time of a training step", "tokens of a sequence", "milliseconds", lines)
    parameters = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    note = f"one thread of the CPU; parameters: {parameters}"
    return {"T2": Finding((trained,), note, plot), "T4": Finding((trained, growth, drawn), note, plot)}


def _ratio(what: str, seconds: dict[str, list[float]], params: SpeedParams) -> Effect:
    logs = {name: [math.log(t) for t in values] for name, values in seconds.items()}
    sides = {name: 1000 * float(np.median(values)) for name, values in seconds.items()}
    over = f"Welch's t of logarithms over {params.repeats} timings each"
    return Effect(
        f"{what}; effect: of the RNN's over the other's",
        sides,
        *stats.difference(logs["rnn"], logs["transformer"]),
        over,
    )


def _model(name: str, longest: int) -> Any:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if name == "rnn":
        return load_family(name).Model(rnn.Config(cell="lstm", width=128), DataSpec())
    return load_family(name).Model(transformer.Config(context=longest + 1, span=1, width=64), DataSpec())


def _step(model: Any, length: int) -> Callable[[], None]:
    tokens = torch.randint(0, 256, (max(1, _TOKENS // length), length + 1), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(model.loss("loss", {"tokens": tokens}, 0.0)[0])

    return step


def _draw(model: Any, length: int) -> Callable[[], None]:
    request = TextRequest(max_tokens=length)
    return lambda: model.sample(range(_GENERATED), (), request)


def _timed(work: Callable[[], None], repeats: int) -> list[float]:
    """Seconds of each repeat, after one that is not counted."""
    work()
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return found
