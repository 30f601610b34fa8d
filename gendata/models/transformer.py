"""transformer: a small decoder-only transformer over bytes.

Notable:
- positions by rotating queries and keys (RoPE), which are normalised first (QK-norm);
- RMSNorm without gains before attention, MLP and head; ReLU² in the MLP; no biases;
- the input of a position is the sum of embeddings of its last ``span`` bytes, each distance with a table of its own:
  next to no computation, and the layers need not first spell out n-grams;
- output projections and the head start at zero, so that the first loss is ln 257 and every block the identity.

Sampling keeps keys and values of a window that starts with the text. When the window has ``context`` tokens, its last
half is encoded again as a new window: every token is drawn from just what ``logits`` gives for its window.

- Vaswani et al. 2017, Attention is all you need; Radford et al. 2019 (decoder-only, norm first).
- Su et al. 2021, RoFormer. Zhang & Sennrich 2019, Root mean square layer normalization.
- Henry et al. 2020, Query-key normalization for transformers. So et al. 2021, Primer (ReLU²).
- Pagnoni et al. 2024, Byte latent transformer (embeddings of byte n-grams).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad, relu, rms_norm, scaled_dot_product_attention

from gendata.models.family import Batch, DataSpec, Figures, Objective, Recipe, TextRequest, uniforms
from gendata.models.tokens import SEPARATOR, VOCABULARY

BASE = 10_000
"""The slowest rotation of RoPE turns by one radian in this many positions."""


@dataclass(frozen=True, kw_only=True)
class Config(Recipe):
    """A transformer over bytes. Section ``train.transformer``."""

    # tokens per window: how far the model sees
    context: int = 128
    # blocks of attention and MLP
    layers: int = 2
    # attention heads; width / heads must be even
    heads: int = 2
    # of the residual stream
    width: int = 64
    # bytes embedded together at each position; 1 is the plain embedding
    span: int = 4
    # share of each block's output dropped in training
    dropout: float = 0.0
    steps: int = 400
    batch: int = 16
    lr: float = 1e-2
    warmup: int = 50
    final: float = 0.05
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("layers", "heads", "width", "span"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, not {getattr(self, name)}")
        if self.context < 2:
            raise ValueError(f"context: must be at least 2, not {self.context}")
        if self.width % (2 * self.heads):
            raise ValueError(f"width: must be a multiple of 2 * heads, {2 * self.heads}, not {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be 0 or more and below 1, not {self.dropout}")


def norm(x: Tensor) -> Tensor:
    """RMSNorm over the last dimension, without gain."""
    return rms_norm(x, (x.size(-1),))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE of ``x`` (B, H, T, D): pairs (i, i + D/2) turned by the angles of ``cos`` and ``sin`` (T, D/2)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Block(nn.Module):
    """Attention, then an MLP, each added to the residual stream."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.expand = nn.Linear(width, 4 * width, bias=False)
        self.reduce = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        for layer in (self.attend, self.expand):
            nn.init.normal_(layer.weight, std=width**-0.5)
        for layer in (self.attended, self.reduce):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Tensor | None, start: int) -> Tensor:
        """``x`` (B, T, width) at the positions from ``start`` on; keys and values go into the cache.

        ``cache`` (2, B, H, context, D) holds those before ``start``; then T must be 1.
        """
        q, k, v = self.attend(norm(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # (B, H, T, D) each
        q, k = norm(rotate(q, cos, sin)), norm(rotate(k, cos, sin))
        if cache is not None:
            cache[:, :, :, start : start + x.size(1)] = torch.stack((k, v))
            k, v = cache[:, :, :, : start + x.size(1)]
        mixed = scaled_dot_product_attention(q, k, v, is_causal=x.size(1) > 1).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.attended(mixed))
        changed: Tensor = self.dropout(self.reduce(relu(self.expand(norm(x))).square()))
        return x + changed


class Model(nn.Module):
    """The family's module; see ``gendata.models.family.TextModel``."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.EmbeddingBag(config.span * VOCABULARY, config.width, mode="sum")
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, VOCABULARY, bias=False)
        nn.init.zeros_(self.head.weight)
        size = config.width // config.heads
        angles = torch.outer(torch.arange(config.context), BASE ** -(torch.arange(0, size, 2) / size))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        """Logits (B, T - start, 257) at the positions of ``tokens`` (B, T) from ``start`` on; T at most ``context``.

        Positions before ``start`` come from ``cache`` (layers, 2, B, heads, context, D), which is written.
        """
        at = slice(start, tokens.size(1))
        x = norm(self.embed(tokens, start))
        for i, block in enumerate(self.blocks):
            x = block(x, self.cos[at], self.sin[at], None if cache is None else cache[i], start)
        logits: Tensor = self.head(norm(x))
        return logits

    def embed(self, tokens: Tensor, start: int) -> Tensor:
        """Of each position from ``start`` on, the sum over its last ``span`` bytes: (B, T - start, width)."""
        span = self.config.span
        near = pad(tokens, (span - 1, 0), value=SEPARATOR)[:, start:].unfold(1, span, 1)  # (B, T - start, span)
        rows = near + VOCABULARY * torch.arange(span, device=tokens.device)
        summed: Tensor = self.embedding(rows.flatten(0, 1))
        return summed.view(*near.shape[:2], -1)

    def objectives(self) -> Mapping[str, Objective]:
        """One, over all parameters."""
        return {"loss": Objective(self.parameters())}

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """Mean cross-entropy in nats per token."""
        tokens = batch["tokens"]
        loss = cross_entropy(self(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        return loss, {"loss": loss.detach()}

    def after_step(self) -> None:
        """Nothing moves but what is optimised."""

    @torch.no_grad()
    def validate(self, batch: Batch) -> Figures:
        """Mean cross-entropy in nats per token."""
        return self.loss("loss", batch, 1.0)[1]

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Of the next token after each of ``tokens`` (B, T): (B, T, 257). T is at most ``context``."""
        logits: Tensor = self(tokens)
        return logits

    @torch.no_grad()
    def sample(self, seeds: Sequence[int], prompt: Sequence[int], request: TextRequest) -> list[list[int]]:
        """The tokens that follow the prompt, per seed; see ``TextModel``."""
        c, noise = self.config, uniforms(seeds, request.max_tokens)
        device = self.head.weight.device
        cache = torch.empty(c.layers, 2, len(seeds), c.heads, c.context, c.width // c.heads, device=device)
        window = torch.tensor([SEPARATOR, *prompt], device=device)[-c.context :].repeat(len(seeds), 1)
        drawn: list[Tensor] = []
        start = 0
        for step in range(request.max_tokens):
            token = draw(self(window, cache, start)[:, -1], noise[:, step], request)
            drawn.append(token)
            if (torch.stack(drawn) == SEPARATOR).any(0).all():
                break
            start = window.size(1)
            window = torch.cat((window, token[:, None].to(device)), 1)
            if start == c.context:
                window, start = window[:, -(c.context // 2) :], 0
        return [row[: row.index(SEPARATOR)] if SEPARATOR in row else row for row in torch.stack(drawn, 1).tolist()]


def draw(logits: Tensor, noise: Tensor, request: TextRequest) -> Tensor:
    """A token per row of ``logits`` (B, 257) by the inverse of the distribution at ``noise`` (B,) in [0, 1): (B,).

    In float64 on the CPU, likeliest token first: noise below 1 cannot reach a token without probability.
    """
    ranked, tokens = logits.cpu().double().sort(descending=True, stable=True)
    if request.temperature == 0 or request.top_k == 1:
        return tokens[:, 0]
    ranked = (ranked - ranked[:, :1]) / request.temperature
    heights = ranked[:, : request.top_k or None].softmax(1).cumsum(1)
    at = torch.searchsorted(heights, noise[:, None].double() * heights[:, -1:], right=True)
    return tokens.gather(1, at)[:, 0]
