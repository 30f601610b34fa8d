"""T8: that a token depends on those before it and on no other, in the families as built; and what a text costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gendata.compare import stats
from gendata.compare.evidence import Evidence, there
from gendata.compare.finding import Effect, Finding, Plot
from gendata.models.request import TextRequest

READS = ("transformer", "rnn")
_TEXTS = 4


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of T8."""
    effects, lines, cost = [], {}, []
    families, missing = there(READS, evidence)
    for name in families:
        checkpoint = evidence.checkpoint(name)
        model: Any = checkpoint.model()
        n = int(checkpoint.card["config"]["context"]) // 2
        before, after = dependence(model, n)
        sides = {"earlier logits": before, "later logits": after}
        what = f"{name}: largest change of logits where one token changes; effect: of later over a thousand earlier"
        effects.append(Effect(what, sides, stats.exact(after - 1000 * before), "exact, one sequence"))
        same = prefixes(model, n)
        sides = {"texts that begin alike": same}
        what = f"{name}: share of texts that begin the same when more tokens are asked for; effect: above a half"
        effects.append(Effect(what, sides, stats.exact(same - 0.5), f"exact, {_TEXTS} texts"))
        spent = [operations(model, checkpoint.card["config"], name, tokens) for tokens in (1, n)]
        cost.append(f"{name} {spent[0]:,} and {spent[1]:,}")
        lines[name] = [(float(tokens), kept(checkpoint.card["config"], name, tokens)) for tokens in range(1, 2 * n, 8)]
    note = f"multiplications and additions for the first token and the last of half a context: {', '.join(cost)}"
    plot = Plot("what is kept between two tokens", "tokens so far", "numbers", lines)
    return {"T8": Finding(tuple(effects), "; ".join(part for part in (note, missing) if part), plot)}


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


def operations(model: Any, config: Any, name: str, tokens: int) -> int:
    """Multiplications and additions for one more token: every matrix once, and what is kept of those before."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
    weights = sum(p.numel() for p in model.parameters() if p.dim() == 2 and id(p) not in tables)
    if name != "transformer":
        return int(2 * weights)
    tied = config["width"] * model.vocabulary if config["tied"] else 0
    return int(2 * (weights + tied) + 4 * config["layers"] * config["width"] * min(tokens, config["context"]))
