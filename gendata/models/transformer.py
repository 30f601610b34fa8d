"""transformer: a small decoder-only transformer over tokens.

Notable:
- positions by rotating queries and keys (RoPE), which are normalised first (QK-norm);
- RMSNorm without gains before attention, MLP and head; ReLU² or SwiGLU in the MLP; no biases;
- the input of a position is the sum of embeddings of its last ``span`` tokens, each distance with a table of its own:
  next to no computation, and the layers need not first spell out n-grams;
- output projections and the head start at zero: the first loss is that of an even guess, every block the identity;
- the matrices of the blocks are optimised by Muon, embeddings and head by AdamW.

Sampling keeps keys and values of a window that starts with the text. When the window has ``context`` tokens, its last
half is encoded again as a new window: every token is drawn from just what ``logits`` gives for its window. The token
of a label stays in front of every window.

- Vaswani et al. 2017, Attention is all you need; Radford et al. 2019 (decoder-only, norm first).
- Su et al. 2021, RoFormer. Zhang & Sennrich 2019, Root mean square layer normalization.
- Henry et al. 2020, Query-key normalization for transformers. So et al. 2021, Primer (ReLU²).
- Shazeer 2020, GLU variants improve transformer. Press & Wolf 2017 (tied head). Muon: see ``muon``.
- Pagnoni et al. 2024, Byte latent transformer (embeddings of byte n-grams).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, scaled_dot_product_attention, silu

from gendata.errors import QueryError
from gendata.models.family import Batch, DataSpec, Figures, Objective, TextRequest, uniforms
from gendata.models.steps import norm, squared_relu, turned
from gendata.models.text import TextRecipe, cut, draw, inputs, nats, start
from gendata.models.tokens import SEPARATOR

BASE = 10_000
"""The slowest rotation of RoPE turns by one radian in this many positions."""


@dataclass(frozen=True, kw_only=True)
class Config(TextRecipe):
    """A transformer over tokens. Section ``train.transformer``."""

    # tokens per window: how far the model sees
    context: int = 128
    # blocks of attention and MLP
    layers: int = 2
    # attention heads; width / heads must be even
    heads: int = 2
    # of the residual stream
    width: int = 64
    # tokens embedded together at each position; 1 is the plain embedding
    span: int = 4
    # of the blocks: relu2 (squared ReLU) | swiglu
    mlp: Literal["relu2", "swiglu"] = "relu2"
    # true: the head is the embedding of single tokens
    tied: bool = False
    # of the matrices in the blocks: muon | adamw
    optimizer: Literal["muon", "adamw"] = "muon"
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
        if self.width % (2 * self.heads):
            raise ValueError(f"width: must be a multiple of 2 * heads, {2 * self.heads}, not {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: must be 0 or more and below 1, not {self.dropout}")


class Block(nn.Module):
    """Attention, then an MLP, each added to the residual stream."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width, bias=False)
        self.gated = config.mlp == "swiglu"
        hidden = (8 * width // 3) if self.gated else 4 * width  # the same number of parameters
        self.expand = nn.Linear(width, 2 * hidden if self.gated else hidden, bias=False)
        self.reduce = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        for layer in (self.attend, self.expand):
            nn.init.normal_(layer.weight, std=width**-0.5)
        for layer in (self.attended, self.reduce):
            nn.init.zeros_(layer.weight)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, cache: Tensor | None, start: int) -> Tensor:
        """``x`` (B, T, width) at the positions from ``start`` on; keys and values go into the cache.

        ``cache`` (2, B, H, context, D) holds those before ``start``; then T must be 1.
        """
        qkv = self.attend(norm(x)).unflatten(-1, (3, self.heads, -1))  # (B, T, 3, H, D)
        q, k, v = turned(qkv, cos, sin)
        if cache is not None:
            cache[:, :, :, start : start + x.size(1)] = torch.stack((k, v))
            k, v = cache[:, :, :, : start + x.size(1)]
        mixed = scaled_dot_product_attention(q, k, v, is_causal=x.size(1) > 1).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.attended(mixed))
        hidden = self.expand(norm(x))
        if self.gated:
            gate, hidden = hidden.chunk(2, -1)
            hidden = silu(gate) * hidden
        else:
            hidden = squared_relu(hidden)
        changed: Tensor = self.dropout(self.reduce(hidden))
        return x + changed


class Model(nn.Module):
    """The family's module; see ``gendata.models.family.TextModel``."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: Config, data: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.vocabulary, self.inputs = data.tokenizer.vocabulary, inputs(data)
        self.embedding = nn.Embedding(config.span * self.inputs, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        if not config.tied:
            self.head = nn.Linear(config.width, self.vocabulary, bias=False)
            nn.init.zeros_(self.head.weight)
        size = config.width // config.heads
        angles = torch.outer(torch.arange(config.context), BASE ** -(torch.arange(0, size, 2) / size))
        self.register_buffer("cos", angles.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat((-angles.sin(), angles.sin()), 1), persistent=False)

    def forward(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        """Logits (B, T - start, V) at the positions of ``tokens`` (B, T) from ``start`` on; T at most ``context``.

        Positions before ``start`` come from ``cache`` (layers, 2, B, heads, context, D), which is written.
        """
        at = slice(start, tokens.size(1))
        x = norm(self.embed(tokens, start))
        for i, block in enumerate(self.blocks):
            x = block(x, self.cos[at], self.sin[at], None if cache is None else cache[i], start)
        if self.config.tied:  # scaled, since rows on both sides start with a norm of sqrt(width)
            own = self.embedding.weight[-self.inputs :][: self.vocabulary]
            return linear(norm(x), own * self.config.width**-0.5)
        logits: Tensor = self.head(norm(x))
        return logits

    def embed(self, tokens: Tensor, start: int) -> Tensor:
        """Of each position from ``start`` on, the sum over its last ``span`` tokens: (B, T - start, width)."""
        span = self.config.span
        near = pad(tokens, (span - 1, 0), value=SEPARATOR)[:, start:].unfold(1, span, 1)  # (B, T - start, span)
        rows = near + self.inputs * torch.arange(span, device=tokens.device)
        summed: Tensor = self.embedding(rows).sum(2)
        return summed

    def objectives(self) -> Mapping[str, Objective]:
        """One, over all parameters."""
        matrices = list(self.blocks.parameters()) if self.config.optimizer == "muon" else []
        return {"loss": Objective(self.parameters(), matrices=matrices)}

    def loss(self, objective: str, batch: Batch, progress: float) -> tuple[Tensor, Figures]:
        """Mean cross-entropy in nats per token."""
        tokens = batch["tokens"]
        loss = nats(self(tokens[:, :-1]), tokens)
        return loss, {"loss": loss.detach()}

    def after_step(self) -> None:
        """Nothing moves but what is optimised."""

    @torch.no_grad()
    def validate(self, batch: Batch) -> Figures:
        """Mean cross-entropy in nats per token."""
        return self.loss("loss", batch, 1.0)[1]

    @torch.no_grad()
    def logits(self, tokens: Tensor) -> Tensor:
        """Of the next token after each of ``tokens`` (B, T): (B, T, V). T is at most ``context``."""
        logits: Tensor = self(tokens)
        return logits

    @torch.no_grad()
    def sample(
        self, seeds: Sequence[int], prompt: Sequence[int], request: TextRequest, labels: Tensor | None = None
    ) -> list[list[int]]:
        """The tokens that follow the prompt, per seed; see ``TextModel``."""
        c = self.config
        device = self.embedding.weight.device
        window = start(prompt, len(seeds), labels, self.vocabulary).to(device)
        if (longest := window.size(1)) > c.context:
            room = c.context - longest + len(prompt)
            raise QueryError(f"prompt: {len(prompt)} tokens are more than this transformer sees: at most {room}")
        label = window[:, 1:2] if labels is not None else window[:, :0]
        cache = torch.empty(c.layers, 2, len(seeds), c.heads, c.context, c.width // c.heads, device=device)
        drawn: list[Tensor] = []
        ended, done = torch.zeros(len(seeds), dtype=torch.bool), 0
        for noise in uniforms(seeds, request.max_tokens):
            token = draw(self(window, cache, done)[:, -1], noise, request)
            drawn.append(token)
            ended |= token == SEPARATOR
            if ended.all():
                break
            done = window.size(1)
            window = torch.cat((window, token[:, None].to(device)), 1)
            if done == c.context:
                window, done = torch.cat((label, window[:, -(c.context // 2) :]), 1), 0
        return cut(drawn)
