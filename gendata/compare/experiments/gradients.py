"""T5: how much an input d steps back still moves the last output, after a short training on the project's texts.

The gradient of the last position's loss with respect to the embedding of the token d steps before, its norm as a mean
over windows (Hochreiter 1991; Bengio et al. 1994; Pascanu et al. 2013, arXiv 1211.5063). The effect is in powers of
ten: how many a cell loses from the nearest eighth of the inputs to the farthest, less what the transformer loses.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from gendata.compare import StepsParams, stats, trial
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models import rnn, transformer
from gendata.train.data import TextData

READS = ("rnn",)
_WINDOWS, _CONTEXT, _WIDTH = 16, 64, 64
_NOTHING = 1e-12
"""A share of the gradient that float32 does not tell from none: what lies below counts as this."""


def run(params: StepsParams, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of T5, of one seed."""
    (seed,) = seeds
    texts = evidence.texts("rnn")
    data = TextData({**texts.streams}, _CONTEXT, texts.tokenizer, texts.classes)
    found = {name: _norms(name, seed, params, data) for name in _sides()}
    lost = {name: powers_lost(norms) for name, norms in found.items()}
    effects = []
    for cell in rnn.CELLS:
        limit = trial.hasty(params.steps, *(_sides()[name][1] for name in (cell, "transformer")))
        more = stats.exact(lost[cell] - lost["transformer"]).limited(limit)
        sides = {name: lost[name] for name in (cell, "transformer")}
        what = f"powers of ten that the gradient loses over {_CONTEXT} tokens, {cell}"
        effects.append(Effect(what, sides, more, "one seed"))
    lines = {name: list(enumerate(norms.tolist())) for name, norms in found.items()}
    plot = Plot("gradient with respect to an input", "tokens back", "norm", lines, log=True)
    return {"T5": Finding(tuple(effects), f"after {params.steps} steps of training, width {_WIDTH}", plot)}


def _sides() -> dict[str, tuple[str, Any]]:
    common: dict[str, Any] = {"context": _CONTEXT, "width": _WIDTH}
    cells = {cell: ("rnn", rnn.Config(cell=cell, **common)) for cell in ("tanh", "gru", "lstm")}
    return {**cells, "transformer": ("transformer", transformer.Config(span=1, **common))}


def _norms(name: str, seed: int, params: StepsParams, data: TextData) -> NDArray[np.float64]:
    family, config = _sides()[name]
    config = trial.short(config, seed, params.steps, params.batch)
    model = trial.make(family, config, data)
    trial.train(model, config, data)
    return input_gradients(model, data.batch(seed + 1000, 0, _WINDOWS)["tokens"])


def input_gradients(model: Any, tokens: Tensor) -> NDArray[np.float64]:
    """Norms (T,) by the number of steps back, the last input first; the mean over windows ``tokens`` (B, T + 1).

    ``model`` has an ``embedding`` whose outputs are the inputs: (B, T, ...), or time first if it gives a state, too.
    """
    kept: list[Tensor] = []

    def keep(_: object, __: object, output: Tensor) -> None:
        output.retain_grad()
        kept.append(output)

    hook = model.embedding.register_forward_hook(keep)
    try:
        found = model(tokens[:, :-1])
    finally:
        hook.remove()
    logits = found[0] if isinstance(found, tuple) else found
    torch.autograd.backward(cross_entropy(logits[:, -1], tokens[:, -1], reduction="sum"))
    gradient = kept[0].grad
    assert gradient is not None
    if isinstance(found, tuple):  # recurrent: time first
        gradient = gradient.transpose(0, 1)
    norms: NDArray[np.float64] = gradient.flatten(2).norm(dim=2).mean(0).flip(0).double().numpy()
    return norms


def powers_lost(norms: NDArray[np.float64]) -> float:
    """From the mean of the nearest eighth of the inputs to that of the farthest, in powers of ten."""
    n = max(1, len(norms) // 8)
    near, far = float(norms[:n].mean()), float(norms[-n:].mean())
    return -math.log10(max(far / near, _NOTHING)) if near > 0 else 0.0
