"""The forward pass of a small BERT (Devlin et al. 2019) pooled as Sentence-BERT does (Reimers & Gurevych 2019).

Only torch and tokenizers are imported: transformers and sentence-transformers take five seconds.
Every batch of a length bucket has the same shape, topped up with filler rows, and every CPU worker
computes on one thread. So the arithmetic done for a text is always the same, and its vector is
bit-equal whatever its neighbours, their order and the number of workers.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tokenizers
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention

from gendata import engine
from gendata.embed.encoder import key_of, unit

if TYPE_CHECKING:
    from gendata.embed.encoder import Vectors

LAYERS, HEADS, HEAD_DIM, HIDDEN, EPS = 6, 12, 32, 384, 1e-12
MAX_TOKENS, SPECIAL = 254, 2
"""What all-MiniLM-L6-v2 was made to read, and its ``[CLS]`` and ``[SEP]``."""

BUCKET = 8
"""Texts are padded to a multiple of this many tokens."""

CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 512, 32768
"""Tokens of a batch, padding included: 512 keep the activations of a layer in the second-level cache."""

MASKED = -30000.0
"""Added to the attention scores of padding; unlike -inf, a row of nothing else stays finite."""

VERSION = 1
"""Raised when the arithmetic changes: cached vectors of an older version are then not used."""


class MiniLM:
    """all-MiniLM-L6-v2: linear layers in ``dtype``, residual stream, layer norms and pooling in float32."""

    name, dim, max_tokens = "all-MiniLM-L6-v2", HIDDEN, MAX_TOKENS

    def __init__(self, weights: Path, tokenizer: Path, digest: str, device: str, dtype: str) -> None:
        self.device, self.dtype = device.partition(":")[0], dtype
        self._device = torch.device(device)
        self._weights = _prepare(load_file(weights), getattr(torch, dtype), self._device)
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.key = key_of(
            weights=digest, dtype=dtype, device=self.device, isa=torch.backends.cpu.get_cpu_capability(),
            torch=torch.__version__, tokenizers=tokenizers.__version__, version=VERSION,
        )  # fmt: skip

    def count(self, texts: Sequence[str]) -> list[int]:
        """See TextEncoder."""
        return [len(e) for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_queries(self, texts: Sequence[str]) -> "Vectors":
        """See TextEncoder; this model has no prompts."""
        return self.encode(texts)

    def encode(self, contents: Sequence[str], tick: Callable[[int], None] | None = None) -> "Vectors":
        """See Encoder. What is longer than ``max_tokens`` is cut there."""
        ids = [self._cut(e.ids) for e in self._tokenizer.encode_batch_fast(list(contents))]
        vectors = np.empty((len(ids), HIDDEN), np.float32)
        workers = engine.cores() if self.device == "cpu" else 1
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(workers) as pool:
                for rows, found in pool.map(lambda batch: self._batch(ids, *batch), self._batches(ids)):
                    vectors[rows] = found
                    if tick:
                        tick(len(rows))
        finally:
            torch.set_num_threads(before)  # workers set it to 1, which new threads of the caller would inherit
        return unit(vectors)

    @staticmethod
    def _cut(ids: list[int]) -> list[int]:
        return ids if len(ids) <= MAX_TOKENS + SPECIAL else [*ids[: MAX_TOKENS + SPECIAL - 1], ids[-1]]

    def _batches(self, ids: list[list[int]]) -> Iterator[tuple[int, int, list[int]]]:
        """Yields (rows of the batch, tokens per row, indices of its texts)."""
        buckets: dict[int, list[int]] = {}
        for i, tokens in enumerate(ids):
            buckets.setdefault(-(-len(tokens) // BUCKET) * BUCKET, []).append(i)
        budget = CPU_BATCH_TOKENS if self.device == "cpu" else GPU_BATCH_TOKENS
        for length, members in sorted(buckets.items()):
            rows = max(1, budget // length)
            for start in range(0, len(members), rows):
                yield rows, length, members[start : start + rows]

    def _batch(self, ids: list[list[int]], rows: int, length: int, members: list[int]) -> "tuple[list[int], Vectors]":
        tokens = np.zeros((rows, length), np.int64)
        mask = np.zeros((rows, length), np.bool_)
        mask[:, 0] = True  # a filler row is one padding token
        for row, i in enumerate(members):
            tokens[row, : len(ids[i])] = ids[i]
            mask[row, : len(ids[i])] = True
        if self.device == "cpu":
            torch.set_num_threads(1)
        with torch.inference_mode():
            found = forward(
                self._weights, torch.from_numpy(tokens).to(self._device), torch.from_numpy(mask).to(self._device)
            )
        return members, found[: len(members)].cpu().numpy()


def _prepare(state: dict[str, Tensor], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Linear layers cast to ``dtype``, query, key and value of a layer as one matrix; the rest float32."""
    state = {k: v for k, v in state.items() if v.is_floating_point()}
    for i in range(LAYERS):
        for kind in ("weight", "bias"):
            parts = [state.pop(f"encoder.layer.{i}.attention.self.{n}.{kind}") for n in ("query", "key", "value")]
            state[f"encoder.layer.{i}.attention.qkv.dense.{kind}"] = torch.cat(parts)
    return {k: v.to(device, dtype if ".dense." in k else torch.float32) for k, v in state.items()}


def forward(w: dict[str, Tensor], ids: Tensor, mask: Tensor) -> Tensor:
    """Mean-pooled vectors, not yet of unit length.

    Args:
        w: What ``_prepare`` gives.
        ids: (B, L) token ids.
        mask: (B, L) true where a token is; at least one per row.

    Returns:
        (B, 384) float32.
    """
    dtype = w["encoder.layer.0.output.dense.weight"].dtype
    x = (
        w["embeddings.word_embeddings.weight"][ids]
        + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + w["embeddings.token_type_embeddings.weight"][0]
    )
    x = _norm(w, "embeddings.", x)  # (B, L, 384)
    bias = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, MASKED)[:, None, None, :]
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        x = _norm(w, f"{layer}attention.output.", x + _attention(w, f"{layer}attention.", x.to(dtype), bias))
        inner = gelu(_linear(w, f"{layer}intermediate.", x.to(dtype)))  # (B, L, 1536)
        x = _norm(w, f"{layer}output.", x + _linear(w, f"{layer}output.", inner))
    weight = mask[:, :, None].float()
    return (x * weight).sum(1) / weight.sum(1)


def _attention(w: dict[str, Tensor], name: str, x: Tensor, bias: Tensor) -> Tensor:
    rows, length, _ = x.shape
    qkv = _linear(w, f"{name}qkv.", x).view(rows, length, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
    found = scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], attn_mask=bias)  # (B, heads, L, 32)
    return _linear(w, f"{name}output.", found.transpose(1, 2).reshape(rows, length, HIDDEN))


def _linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return linear(x, w[f"{name}dense.weight"], w[f"{name}dense.bias"])


def _norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return layer_norm(x, (HIDDEN,), w[f"{name}LayerNorm.weight"], w[f"{name}LayerNorm.bias"], EPS)
