"""T8: that a token depends on those before it and on no other, in the families as built; and what a text costs."""

from typing import Any

import numpy as np
import torch

from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models.request import TextRequest

READS = ("transformer", "rnn")
_TEXTS = 4


def run(params: None, seeds: int, evidence: Evidence) -> dict[str, Finding]:
    """The finding of T8."""
    effects, lines = [], {}
    for name in READS:
        checkpoint = evidence.checkpoint(name)
        model: Any = checkpoint.model()
        n = int(checkpoint.card["config"]["context"]) // 2
        before, after = dependence(model, n)
        sides = {"earlier logits": before, "later logits": after}
        what = f"{name}: largest change of logits where one token changes; effect: of later over a thousand earlier"
        gap = after - 1000 * before
        effects.append(Effect(what, sides, gap, gap, "exact, one sequence"))
        same = prefixes(model, n)
        sides = {"texts that begin alike": same}
        what = f"{name}: share of texts that begin the same when more tokens are asked for; effect: above a half"
        effects.append(Effect(what, sides, same - 0.5, same - 0.5, f"exact, {_TEXTS} texts"))
        lines[name] = [(float(tokens), kept(checkpoint.card["config"], name, tokens)) for tokens in range(1, 2 * n, 8)]
    plot = Plot("what is kept between two tokens", "tokens so far", "numbers", lines)
    return {"T8": Finding(tuple(effects), "", plot)}


@torch.no_grad()
def dependence(model: Any, n: int) -> tuple[float, float]:
    """Largest changes of the logits before, and from, the token in the middle of n that is changed."""
    tokens = torch.randint(0, 256, (1, n), generator=torch.Generator().manual_seed(0))
    other = tokens.clone()
    other[0, n // 2] = (other[0, n // 2] + 1) % 256
    change = (model.logits(tokens) - model.logits(other)).abs().amax((0, 2))
    return float(change[: n // 2].max()), float(change[n // 2 :].max())


def prefixes(model: Any, n: int) -> float:
    """Share of texts that begin as the text of the same seed of half as many tokens."""
    short, long = (model.sample(range(_TEXTS), (), TextRequest(max_tokens=m)) for m in (n // 2, n))
    return float(np.mean([b[: len(a)] == a for a, b in zip(short, long, strict=True)]))


def kept(config: Any, name: str, tokens: int) -> float:
    """Numbers that generation carries from token to token: keys and values, or the state."""
    if name == "transformer":
        return float(2 * config["layers"] * config["width"] * min(tokens, config["context"]))
    return float(config["layers"] * config["width"] * (2 if config["cell"] == "lstm" else 1))
