"""T2, T4: what a step of training, and a token of generation, takes on this machine, over the length of a sequence.

Transformer and LSTM of about equally many parameters, one thread of the CPU, as many tokens per step at every length.
Times differ from run to run, and the comparison from machine to machine: a GPU favours the transformer.
"""

import time
from collections.abc import Callable, Mapping, Sequence
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
"""Of a training step, or one sequence of the longest if that is more."""
_GENERATED = 4
"""Texts generated at once."""

SIDES = ("transformer", "rnn")

Key = tuple[str, int]
"""Of a model, and the tokens of a sequence."""

Times = Mapping[Key, Sequence[float]]


def run(params: SpeedParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of T2 and T4."""
    lengths = sorted(params.lengths)
    near, far = lengths[0], lengths[-1]
    models = {name: _model(name, far) for name in SIDES}
    tokens = max(_TOKENS, far)
    works = {(name, n): step(model, n, tokens) for n in lengths for name, model in models.items()}
    works |= {(name, 0): drawing(model, far) for name, model in models.items()}  # 0: generation
    taken = in_turns(works, params.repeats)
    trained = _ratio(f"milliseconds of a training step of {tokens} tokens in sequences of {far}", far, taken)
    grown = {name: [a / b for a, b in zip(taken[name, far], taken[name, near], strict=True)] for name in SIDES}
    growth = Effect(
        f"growth of that time from sequences of {near} to {far}; effect: of the RNN's over the other's",
        {name: float(np.median(values)) for name, values in grown.items()},
        *_compared(grown["rnn"], grown["transformer"]),
    )
    drawn = _ratio(f"milliseconds to generate {_GENERATED} texts of {far} tokens", 0, taken)
    lines = {name: [(float(n), 1000 * float(np.median(taken[name, n]))) for n in lengths] for name in SIDES}
    plot = Plot("time of a training step", "tokens of a sequence", "milliseconds", lines)
    parameters = ", ".join(f"{name} {sum(p.numel() for p in m.parameters()):,}" for name, m in models.items())
    kept = ", ".join(f"{name} {activations(m, near):,} and {activations(m, far):,}" for name, m in models.items())
    note = f"one thread of the CPU; parameters: {parameters}"
    memory = f"{note}; numbers kept for the way back, of one sequence of {near} and of {far}: {kept}"
    return {"T2": Finding((trained,), note, plot), "T4": Finding((trained, growth, drawn), memory, plot)}


def _ratio(what: str, length: int, taken: Times) -> Effect:
    sides = {name: 1000 * float(np.median(taken[name, length])) for name in SIDES}
    both = (taken[name, length] for name in ("rnn", "transformer"))
    return Effect(f"{what}; effect: of the RNN's over the other's (logarithm)", sides, *_compared(*both))


def _compared(more: Sequence[float], less: Sequence[float]) -> tuple[stats.Interval, str]:
    """The median of the logarithm of a over b, turn by turn, and how it was found."""
    turns = np.log(np.array(more) / np.array(less))
    over = f"bootstrap of the median over {len(turns)} turns, in each of which every side is timed"
    return stats.bootstrap(lambda rows: float(np.median(rows)), turns), over


def activations(model: Any, length: int) -> int:
    """Numbers that a training step keeps for the way back, of one sequence; those of parameters are not counted.

    What a fused kernel keeps to itself is not seen.
    """
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes() // x.element_size()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = model.loss("loss", {"tokens": torch.zeros(1, length + 1, dtype=torch.int64)}, 0.0)[0]
    del loss
    return sum(kept.values())


def _model(name: str, longest: int) -> Any:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if name == "rnn":
        return load_family(name).Model(rnn.Config(cell="lstm", width=128), DataSpec())
    return load_family(name).Model(transformer.Config(context=longest + 1, span=1, width=64), DataSpec())


def step(model: Any, length: int, tokens: int) -> Callable[[], int]:
    """A step of training on so many tokens, in sequences of a length; it gives the number of tokens."""
    batch = torch.randint(0, 256, (tokens // length, length + 1), generator=torch.Generator().manual_seed(0))

    def taken() -> int:
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(model.loss("loss", {"tokens": batch}, 0.0)[0])
        return batch[:, 1:].numel()

    return taken


def drawing(model: Any, length: int) -> Callable[[], int]:
    """Texts of so many tokens each; it gives the number of tokens. Heads start at zero: the likeliest ends no text."""
    request = TextRequest(max_tokens=length, temperature=0.0)
    return lambda: sum(map(len, model.sample(range(_GENERATED), (), request)))


def in_turns(works: Mapping[Key, Callable[[], object]], repeats: int) -> dict[Key, list[float]]:
    """Seconds of each, so many times, one after the other: what slows the machine for a while slows all of a turn.

    A turn before is not counted.
    """
    found: dict[Key, list[float]] = {key: [] for key in works}
    for _ in range(repeats + 1):
        for key, work in works.items():
            started = time.perf_counter()
            work()
            found[key].append(time.perf_counter() - started)
    return {key: values[1:] for key, values in found.items()}
