"""The forward pass of a small BERT (Devlin et al. 2019) pooled as Sentence-BERT does (Reimers & Gurevych 2019).

Only torch and tokenizers are imported: transformers and sentence-transformers take five seconds.
Texts are packed end to end into batches of a fixed number of token rows, without padding between
them: what works on single tokens (linear layers, norms) always sees the same shape, and attention
sees each text by itself. So the arithmetic done for a text is always the same, and its vector is
bit-equal whatever its neighbours, their order and the number of workers, each on one thread.
"""

import bisect
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
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

CPU_BATCH, GPU_BATCH = 512, 32768
"""Token rows of a batch: 512 keep the activations of a layer in the second-level cache of a core."""

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
        rows, workers = (CPU_BATCH, engine.cores()) if self.device == "cpu" else (GPU_BATCH, 1)
        before = torch.get_num_threads()
        try:
            with ThreadPoolExecutor(workers) as pool:
                batches = pack([len(tokens) for tokens in ids], rows)
                for members, found in pool.map(
                    lambda batch: (batch, self._batch([ids[i] for i in batch], rows)), batches
                ):
                    vectors[members] = found
                    if tick:
                        tick(len(members))
        finally:
            torch.set_num_threads(before)  # workers set it to 1, which new threads of the caller would inherit
        return unit(vectors)

    @staticmethod
    def _cut(ids: list[int]) -> list[int]:
        return ids if len(ids) <= MAX_TOKENS + SPECIAL else [*ids[: MAX_TOKENS + SPECIAL - 1], ids[-1]]

    def _batch(self, texts: list[list[int]], rows: int) -> "Vectors":
        lengths = [len(tokens) for tokens in texts]
        ids, positions = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
        ids[: sum(lengths)] = np.concatenate(texts)
        positions[: sum(lengths)] = np.concatenate([np.arange(n) for n in lengths])
        if self.device == "cpu":
            torch.set_num_threads(1)
        with torch.inference_mode():
            tokens, places = (torch.from_numpy(array).to(self._device) for array in (ids, positions))
            found: Vectors = forward(self._weights, tokens, places, lengths).cpu().numpy()
        return found


def pack(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Indices of texts for batches of at most ``rows`` tokens, each in descending order of length.

    Best fit decreasing: the longest text left that fits goes in next.
    """
    waiting: dict[int, list[int]] = {}
    for i in reversed(range(len(lengths))):
        waiting.setdefault(lengths[i], []).append(i)
    sizes = sorted(waiting)
    batches: list[list[int]] = []
    while sizes:
        batch, room = [], rows
        while at := bisect.bisect_right(sizes, room):
            size = sizes[at - 1]
            batch.append(waiting[size].pop())
            room -= size
            if not waiting[size]:
                del sizes[at - 1]
        batches.append(batch)
    return batches


def _prepare(state: dict[str, Tensor], dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """Linear layers cast to ``dtype``, query, key and value of a layer as one matrix; the rest float32."""
    state = {k: v for k, v in state.items() if v.is_floating_point()}
    for i in range(LAYERS):
        for kind in ("weight", "bias"):
            parts = [state.pop(f"encoder.layer.{i}.attention.self.{n}.{kind}") for n in ("query", "key", "value")]
            state[f"encoder.layer.{i}.attention.qkv.dense.{kind}"] = torch.cat(parts)
    return {k: v.to(device, dtype if ".dense." in k else torch.float32) for k, v in state.items()}


def forward(w: dict[str, Tensor], ids: Tensor, positions: Tensor, lengths: Sequence[int]) -> Tensor:
    """Mean-pooled vectors of the texts in a batch, not yet of unit length.

    Args:
        w: What ``_prepare`` gives.
        ids: (rows,) token ids of the texts, end to end; the rest is filler.
        positions: (rows,) of each token in its text.
        lengths: Of each text; equal ones stand together.

    Returns:
        (len(lengths), 384) float32.
    """
    dtype = w["encoder.layer.0.output.dense.weight"].dtype
    groups = [(length, len(list(same))) for length, same in groupby(lengths)]
    x = (
        w["embeddings.word_embeddings.weight"][ids]
        + w["embeddings.position_embeddings.weight"][positions]
        + w["embeddings.token_type_embeddings.weight"][0]
    )
    x = _norm(w, "embeddings.", x)  # (rows, 384)
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}."
        x = _norm(w, f"{layer}attention.output.", x + _attention(w, f"{layer}attention.", x.to(dtype), groups))
        inner = gelu(_linear(w, f"{layer}intermediate.", x.to(dtype)))  # (rows, 1536)
        x = _norm(w, f"{layer}output.", x + _linear(w, f"{layer}output.", inner))
    return torch.cat([x[at].view(n, length, HIDDEN).mean(1) for at, n, length in _slices(groups)])


def _slices(groups: list[tuple[int, int]]) -> Iterator[tuple[slice, int, int]]:
    """Yields (rows of a group of texts, number of texts, length of each)."""
    start = 0
    for length, n in groups:
        yield slice(start, start + n * length), n, length
        start += n * length


def _attention(w: dict[str, Tensor], name: str, x: Tensor, groups: list[tuple[int, int]]) -> Tensor:
    qkv = _linear(w, f"{name}qkv.", x)  # (rows, 1152)
    mixed = torch.zeros_like(x)
    for at, n, length in _slices(groups):
        q, k, v = qkv[at].view(n, length, 3, HEADS, HEAD_DIM).permute(2, 0, 3, 1, 4)
        found = scaled_dot_product_attention(q, k, v)  # (n, heads, length, 32)
        mixed[at] = found.transpose(1, 2).reshape(-1, HIDDEN)
    return _linear(w, f"{name}output.", mixed)


def _linear(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return linear(x, w[f"{name}dense.weight"], w[f"{name}dense.bias"])


def _norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return layer_norm(x, (HIDDEN,), w[f"{name}LayerNorm.weight"], w[f"{name}LayerNorm.bias"], EPS)
