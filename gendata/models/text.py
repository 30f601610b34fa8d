"""What the families of text share: tokenisation and windows in their configs, their loss, and how a token is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from gendata.models.family import DataSpec, Recipe, TextRequest
from gendata.models.tokens import SEPARATOR, VOCABULARY

_LARGEST = 60_000
"""Tokens; the streams hold 16 bits each, and labels need some."""


@dataclass(frozen=True, kw_only=True)
class TextRecipe(Recipe):
    """How a family of texts is trained."""

    # tokens per window
    context: int = 128
    # 257: bytes and a separator; more: BPE of at most so many tokens, learned on the training split
    vocabulary: int = VOCABULARY
    # true: a token of its label goes before every text, and generate.<family>.label asks for one
    conditional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context < 2:
            raise ValueError(f"context: must be at least 2, not {self.context}")
        if not VOCABULARY <= self.vocabulary <= _LARGEST:
            raise ValueError(f"vocabulary: must be between {VOCABULARY} and {_LARGEST}, not {self.vocabulary}")


def inputs(data: DataSpec) -> int:
    """Different tokens that a model reads: those that it gives, and one per label and for what has none."""
    return data.tokenizer.vocabulary + (len(data.classes) + 1 if data.classes else 0)


def nats(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of what follows: ``logits`` (B, T, V) of ``tokens`` (B, T + 1). Labels are not predicted."""
    targets = tokens[:, 1:]
    wanted = targets < logits.size(-1)
    targets = targets.where(wanted, -100)
    total = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    return total / wanted.sum().clamp(min=1)


def start(prompt: Sequence[int], n: int, label: Tensor | None, vocabulary: int) -> Tensor:
    """What ``n`` texts begin with (n, 1 or 2 + len(prompt)): separator, label where there are any, prompt."""
    head = torch.tensor([SEPARATOR]).repeat(n, 1)
    if label is not None:
        head = torch.cat((head, vocabulary + 1 + label.cpu()[:, None]), 1)
    return torch.cat((head, torch.tensor([*prompt], dtype=torch.int64).repeat(n, 1)), 1)


def cut(drawn: list[Tensor]) -> list[list[int]]:
    """Steps of drawn tokens (n,) as one row per text, each up to its first separator."""
    rows: list[list[int]] = torch.stack(drawn, 1).tolist()
    return [row[: row.index(SEPARATOR)] if SEPARATOR in row else row for row in rows]


def draw(logits: Tensor, noise: Tensor, request: TextRequest) -> Tensor:
    """A token per row of ``logits`` (B, V) by the inverse of the distribution at ``noise`` (B,) in [0, 1): (B,).

    In float64 on the CPU, likeliest token first: noise below 1 cannot reach a token without probability. Of the
    ``top_k`` likeliest, those stay that have ``top_p`` of the probability together (Holtzman et al. 2020).
    """
    if request.temperature == 0 or request.top_k == 1:
        return logits.cpu().argmax(1)
    ranked, tokens = logits.cpu().double().sort(descending=True, stable=True)
    ranked = (ranked - ranked[:, :1]) / request.temperature
    heights = ranked[:, : request.top_k or None].softmax(1).cumsum(1)
    top = heights[:, -1:] * request.top_p
    last = heights.gather(1, (heights < top).sum(1, keepdim=True).clamp(max=heights.size(1) - 1))
    at = torch.searchsorted(heights, noise[:, None].double() * last, right=True)
    return tokens.gather(1, at)[:, 0]
