"""T1, T7: one of eight symbols, then noise, then a question: which symbol was it?

The delayed recall of Hochreiter & Schmidhuber 1997, with the families' own models of about one size. Only the answer
is learned from, by as many steps for all at most, with AdamW and the same learning rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gendata.compare import RecallParams, stats
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models import load_family, rnn, transformer
from gendata.models.family import DataSpec, item_seed
from gendata.train.step import rate

READS: tuple[str, ...] = ()
SYMBOLS, _NOISE, _ASK = 8, 8, 16
"""Symbols are the tokens below 8, noise the eight after them, then comes the question."""

_BATCH, _TESTED, _WIDTH, _LR = 32, 512, 32, 5e-3
_GATED = ("lstm", "gru")
_SURE = 20
"""Batches in a row without a wrong answer, after which there is nothing left to learn."""

Sides = dict[str, tuple[str, Any]]


def run(params: RecallParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of T1 and T7, of one seed."""
    (seed,), distances = seeds, sorted(params.distances)
    right = {name: {d: accuracy(name, d, seed, params.steps) for d in distances} for name in _sides(distances[-1])}
    far = {name: found[distances[-1]] for name, found in right.items()}
    at = f"share of right answers after {distances[-1]} symbols"

    def effect(more: str, less: str) -> Effect:
        return Effect(
            f"{at}, {more} and {less}",
            {more: far[more], less: far[less]},
            stats.exact(far[more] - far[less]),
            "one seed",
        )

    lines = {name: [(float(d), share) for d, share in found.items()] for name, found in right.items()}
    plot = Plot("answers after so many symbols", "symbols between", "share right", lines)
    note = f"chance is {1 / SYMBOLS:g}; {params.steps} steps of training at most for each model and distance"
    gated = [effect(cell, "tanh") for cell in _GATED] + [effect("transformer", cell) for cell in _GATED]
    return {
        "T1": Finding(tuple(effect("transformer", cell) for cell in rnn.CELLS), note, plot),
        "T7": Finding(tuple(gated), note, plot),
    }


def _sides(distance: int) -> Sides:
    common: dict[str, Any] = {"context": distance + 2, "width": _WIDTH, "layers": 1}
    sides: Sides = {cell: ("rnn", rnn.Config(cell=cell, **common)) for cell in ("tanh", "gru", "lstm")}
    return {**sides, "transformer": ("transformer", transformer.Config(span=1, heads=2, **common))}


def accuracy(name: str, distance: int, seed: int, steps: int) -> float:
    """The share of right answers of a model trained on one distance, on sequences of other seeds."""
    family, config = _sides(distance)[name]
    config = replace(config, steps=steps, warmup=min(10, steps), lr=_LR)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    model: Any = load_family(family).Model(config, DataSpec())
    optimizer = torch.optim.AdamW(model.parameters(), lr=_LR, betas=(0.9, 0.99), weight_decay=0.0)
    right = 0
    for step in range(steps):
        asked, symbols = sequences(distance, _BATCH, item_seed(seed, step))
        optimizer.zero_grad()
        answers = _answers(model, asked)
        right = right + 1 if bool((answers.argmax(1) == symbols).all()) else 0
        if right == _SURE:
            break
        torch.autograd.backward(cross_entropy(answers, symbols))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(config, step)
        optimizer.step()
    asked, symbols = sequences(distance, _TESTED, item_seed(seed + 1_000_000, 0))
    with torch.no_grad():
        return float((_answers(model, asked).argmax(1) == symbols).double().mean())


def _answers(model: Any, asked: Tensor) -> Tensor:
    """Logits (B, symbols) after the question."""
    found = model(asked)
    logits: Tensor = found[0] if isinstance(found, tuple) else found
    return logits[:, -1, :SYMBOLS]


def sequences(distance: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tokens (n, distance + 2): symbol, noise, question; and the symbols (n,)."""
    random = torch.Generator().manual_seed(seed)
    symbols = torch.randint(SYMBOLS, (n,), generator=random)
    noise = torch.randint(SYMBOLS, SYMBOLS + _NOISE, (n, distance), generator=random)
    return torch.cat((symbols[:, None], noise, torch.full((n, 1), _ASK)), 1), symbols
