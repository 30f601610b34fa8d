"""S5: a direction in the latent of the GAN, and in the activations of the transformer; one training of each.

Both directions are made alike: the mean of what has an attribute less the mean of what has not (White 2016, arXiv
1609.04468; Turner et al. 2023, arXiv 2308.10248). For the GAN the attribute is ink, of draws of its prior. For the
transformer it is the probability of capitals, digits and marks as the next token, and the direction is in what the
middle block gives: found in half of some held-out windows, tried on the others. Beside it stand directions by chance.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gendata.compare import stats
from gendata.compare.direction import MOVED, between, by_chance, grows, moved
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding
from gendata.compare.sample import windows
from gendata.train.data import TextData

READS = ("gan", "transformer")
_WINDOWS = 400
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz \n")
"""Bytes that the attribute is not about."""


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of S5."""
    gan, transformer = (evidence.checkpoint(name) for name in READS)
    model: Any = gan.model()
    classes = len(gan.data.classes)
    latent = [moved(model.average, model.config.latent, classes, chance=chance) for chance in (False, True)]
    inner, n = steered(transformer.model(), evidence.texts("transformer"))
    what = "share of {} with every step along the direction; effect: {} directions by chance"
    effects = []
    for found, items, said, gap in (
        (latent, MOVED, what.format("images of the GAN whose ink grows", "above"), 1),
        (inner, n, what.format("windows in which the transformer expects more capitals and marks", "below"), -1),
    ):
        sides = {"direction": found[0], "by chance": found[1]}
        more = stats.shares(found[0], items, found[1], items)
        effects.append(Effect(said, sides, more if gap > 0 else -more, f"Agresti-Caffo interval over {items} each"))
    return {"S5": Finding(tuple(effects), "what is said of transformers holds where directions do no more than chance")}


@torch.no_grad()
def steered(model: Any, data: TextData) -> tuple[list[float], int]:
    """The shares of windows that the direction, and those by chance, work on; and the number of windows.

    Raises MissingError where the held-out split is too short.
    """
    tokens = windows(data, _WINDOWS)
    block = model.blocks[(len(model.blocks) - 1) // 2]
    wanted = torch.tensor([not _PLAIN.issuperset(piece) for piece in data.tokenizer.pieces])

    def expects(some: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
        """The attribute (n,) with something added to what the block gives, and what it gave before, at the end."""
        given = list[Tensor]()

        def add(_: object, __: object, output: Tensor) -> Tensor:
            given.append(output[:, -1].clone())
            return output + (by if by.dim() < 2 else by[:, None])

        hook = block.register_forward_hook(add)
        try:
            share = model.logits(some)[:, -1].softmax(1)[:, wanted].sum(1)
        finally:
            hook.remove()
        return share, given[0]

    half = len(tokens) // 2
    share, rows = expects(tokens[:half], torch.zeros(1))
    direction = between(rows, share > share.median())
    tried = (direction, by_chance(len(tokens) - half, direction))
    return [grows(lambda by: expects(tokens[half:], by)[0], way) for way in tried], len(tokens) - half
