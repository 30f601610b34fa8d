"""S7: whether explanations of a transformer and of a GAN are true; one training of each.

An explanation names what an output comes from. It is tested by deletion (Samek et al. 2017, arXiv 1509.06321; DeYoung
et al. 2020, arXiv 1911.03429): what it names is replaced by what another item has there, and the output should change
more than where as much is replaced by chance. An explanation that says nothing is above a half of such replacements.
So both families have a figure on one scale:

- for the likeliest next token of the transformer, tokens before it are named by attention, followed through all layers
  (rollout, Abnar & Zuidema 2020, arXiv 2005.00928), or by their own surprisal;
- for the ink of an image of the GAN, the attribute vector names a direction of the latent.
"""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gendata.compare import stats
from gendata.compare.direction import by_chance, ink, ink_direction
from gendata.compare.evidence import Evidence
from gendata.compare.finding import Effect, Finding
from gendata.compare.sample import windows
from gendata.models.steps import turned
from gendata.train.data import TextData

READS = ("gan", "transformer")
_ITEMS, _TOKENS, _CHANCES = 200, 4, 16
"""Images, and windows of text; tokens that an explanation names; replacements by chance of each."""


def run(params: None, seeds: Sequence[int], evidence: Evidence) -> dict[str, Finding]:
    """The finding of S7."""
    gan, transformer = (evidence.checkpoint(name) for name in READS)
    model: Any = gan.model()
    directed = direction_held(model.average, model.config.latent, len(gan.data.classes))
    effects = []
    for name, held in tokens_held(transformer.model(), evidence.texts("transformer")).items():
        more = stats.bootstrap(lambda a, b: float(a.mean() - b.mean()), held, directed)
        sides = {f"transformer, {name}": float(held.mean()), "gan, attribute vector": float(directed.mean())}
        what = "share of replacements by chance that change the output less than that of what an explanation names"
        test = f"bootstrap over {len(held)} windows and {len(directed)} images, {_CHANCES} replacements each"
        effects.append(Effect(f"{what}: {name}", sides | {"by chance": 0.5}, more, test))
    return {"S7": Finding(tuple(effects), "whether explanations are true; how easy they are to follow, people say")}


@torch.no_grad()
def direction_held(decode: Any, latent: int, classes: int) -> NDArray[Any]:
    """Of each image, the share of directions by chance whose part of the latent does less to its ink: (n,).

    Args:
        decode: latents (B, latent) and labels (B,) to images (B, C, H, W).
        latent: their length.
        classes: how many labels there are.
    """
    z, labels, direction = ink_direction(decode, latent, classes)
    z, labels = z[:_ITEMS], labels[:_ITEMS]
    apart = z.roll(1, 0) - z
    before = ink(decode(z, labels))

    def change(ways: Tensor) -> Tensor:
        unit = ways / ways.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        return (ink(decode(z + (apart * unit).sum(1, keepdim=True) * unit, labels)) - before).abs()

    ways = torch.split(by_chance(_CHANCES * len(z), direction), len(z))
    return beaten(change(direction.expand_as(z)), torch.stack([change(way) for way in ways], 1))


@torch.no_grad()
def tokens_held(model: Any, data: TextData) -> dict[str, NDArray[Any]]:
    """Of each window, the share of tokens by chance that do less to the prediction (n,), by explanation.

    Raises MissingError where the held-out split is too short.
    """
    tokens = windows(data, _ITEMS)
    count = min(_TOKENS, max(1, tokens.size(1) // 4))
    attention, logits = _rollout(model, tokens)
    before = logits[:, -1].log_softmax(1)
    likeliest = before.argmax(1, keepdim=True)

    def change(importance: Tensor) -> Tensor:
        named = torch.zeros_like(tokens, dtype=torch.bool).scatter(1, importance.topk(count).indices, value=True)
        after = model.logits(tokens.roll(1, 0).where(named, tokens))[:, -1].log_softmax(1)
        changed: Tensor = (after.gather(1, likeliest) - before.gather(1, likeliest))[:, 0].abs()
        return changed

    random = torch.Generator().manual_seed(3)
    chances = torch.stack([change(torch.rand(tokens.shape, generator=random)) for _ in range(_CHANCES)], 1)
    return {
        "attention": beaten(change(attention), chances),
        "surprisal": beaten(change(_surprisal(logits, tokens)), chances),
    }


def _rollout(model: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each token (B, T) attention brings to the last position, and the logits (B, T, V)."""
    given = list[Tensor]()
    hooks = [block.attend.register_forward_hook(lambda _, __, output: given.append(output)) for block in model.blocks]
    try:
        logits = model.logits(tokens)
    finally:
        for hook in hooks:
            hook.remove()
    length = tokens.size(1)
    later, itself = torch.ones(length, length, dtype=torch.bool).triu(1), torch.eye(length)
    flow = itself
    for block, output in zip(model.blocks, given, strict=True):
        q, k, _ = turned(output.view(*tokens.shape, 3, block.heads, -1), model.cos[:length], model.sin[:length])
        weights = (q @ k.mT * q.size(-1) ** -0.5).masked_fill(later, -torch.inf).softmax(-1).mean(1)
        flow = (weights + itself) / 2 @ flow  # a half of what a layer gives is what it was given
    return flow[:, -1], logits


def _surprisal(logits: Tensor, tokens: Tensor) -> Tensor:
    """Of each token (B, T), in nats: 0 of the first, which nothing foretells, and of labels, which are not drawn."""
    after = tokens[:, 1:]
    predicted = after < logits.size(-1)
    nats = -logits[:, :-1].log_softmax(2).gather(2, after.where(predicted, 0)[..., None])[..., 0]
    return torch.cat((torch.zeros_like(nats[:, :1]), nats.where(predicted, 0.0)), 1)


def beaten(named: Tensor, chances: Tensor) -> NDArray[Any]:
    """The share (n,) of changes by chance (n, m) that are below those of what is named (n,); ties count a half."""
    below = (chances < named[:, None]).double() + 0.5 * (chances == named[:, None])
    shares: NDArray[Any] = below.mean(1).numpy()
    return shares
