"""X2, S1, S4: the models as they were built here: exact counts, no test.

Work is counted by torch's own counter over one forward pass of what makes one item: an image, or as many tokens as a
window has.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from gendata.compare import stats
from gendata.compare.evidence import Evidence, findings, there
from gendata.compare.finding import Effect, Finding

READS = ("gan", "vae", "transformer", "rnn")
_EXACT = "exact count"


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """Findings of X2, S1 and S4."""
    return findings({"X2": lambda: _complex(evidence), "S1": lambda: _labels(evidence), "S4": lambda: _built(evidence)})


def _complex(evidence: Evidence) -> Finding:
    """The smallest model of images against the largest of texts: the statement is about all of them."""
    images, missing = there(("gan", "vae"), evidence)
    texts, missing_too = there(("transformer", "rnn"), evidence)
    sizes = {name: int(evidence.card(name)["parameters"]) for name in (*images, *texts)}
    work = {name: operations(evidence, name) for name in sizes}
    effects = []
    for what, found in (("parameters", sizes), ("operations for one item (image or window)", work)):
        gap = stats.exact(min(found[name] for name in images) - max(found[name] for name in texts))
        sides = {name: float(n) for name, n in found.items()}
        effects.append(Effect(f"{what}; effect: least of images less most of texts", sides, gap, _EXACT))
    note = "sizes are those that params.yaml chose, at the quality in the table of families"
    return Finding(tuple(effects), "; ".join(part for part in (note, missing, missing_too) if part))


def operations(evidence: Evidence, name: str) -> int:
    """Multiplications and additions of a forward pass over one item."""
    checkpoint = evidence.checkpoint(name)
    model: Any = checkpoint.model()
    label = torch.zeros(1, dtype=torch.int64)
    if name == "rnn":
        return recurrent_operations(model) * int(checkpoint.card["config"]["context"])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        if name == "gan":
            model.average(torch.zeros(1, model.config.latent), label)
        elif name == "vae":
            model.decode(torch.zeros(1, model.config.latent), label)
        else:
            model(torch.zeros(1, checkpoint.card["config"]["context"], dtype=torch.int64))
    return int(counter.get_total_flops())


def recurrent_operations(model: Any) -> int:
    """Of one token: the counter does not see into torch's recurrent kernels. Two for each weight that is multiplied."""
    weights = [*(p for p in model.recurrent.parameters() if p.dim() == 2), model.head.weight]
    return 2 * sum(int(p.numel()) for p in weights)


def _labels(evidence: Evidence) -> Finding:
    """How many classes each was told: a model that is trained without any needs none."""
    told = {name: len(evidence.card(name)["classes"]) for name in ("transformer", "gan")}
    gap = stats.exact(told["transformer"] - told["gan"])
    sides = {name: float(n) for name, n in told.items()}
    what = "classes of labels that it was trained with; effect: the transformer's less the GAN's"
    note = "a transformer predicts the next token of texts as they are; the GAN here is told the label of each image"
    return Finding((Effect(what, sides, gap, _EXACT),), note)


def _built(evidence: Evidence) -> Finding:
    transformer: Any = evidence.checkpoint("transformer").model()
    gan: Any = evidence.checkpoint("gan").model()
    kinds = Counter(type(block).__name__ for block in transformer.blocks)
    layers = max(kinds.values())
    what = "blocks of one kind on top of each other; effect: how many more than one"
    stack = Effect(what, {"transformer": float(layers)}, stats.exact(layers - 1), _EXACT)
    counted = weight_layers(nn.ModuleList([gan.generator, gan.discriminator]))
    sides = {"gan, convolutions": float(counted["convolution"]), "gan, dense": float(counted["dense"])}
    gap = stats.exact(counted["convolution"] - counted["dense"])
    what = "layers with weights; effect: convolutions less dense layers"
    return Finding((stack, Effect(what, sides, gap, _EXACT)), "of generator and discriminator together")


def weight_layers(model: nn.Module) -> Counter[str]:
    """How many layers are convolutions, and how many dense."""
    found: Counter[str] = Counter()
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            found["convolution"] += 1
        elif isinstance(module, nn.Linear):
            found["dense"] += 1
    return found
