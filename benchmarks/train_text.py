"""Held-out loss of our text families beside nanoGPT's CPU recipe and n-grams, in the CPU time that the recipe takes.

``python -m benchmarks.train_text [--share 1.0]``, on the CPU with one thread. Tiny Shakespeare, the first 90 % to train
and the rest held out, is read as bytes; the recipe maps its 65 characters. The peer is made anew from the description
of GPT-2 and of nanoGPT's README: 4 layers of 4 heads, width 128, learned positions, GELU, tied head, no dropout; 2,000
steps of 12 windows of 64, AdamW at 1e-3 with warm-up and cosine. What it takes is the budget of ours, which choose
batch, context and learning rate themselves; ``--share`` cuts both. Time is CPU time of the process, which other
processes on the machine disturb less than wall time, here the same as one thread works. Losses are nats per character,
over all held-out windows of the model's own context. Then: tokens per second in training at the peer's shape, and
sampling of 512 tokens with keys and values kept, and encoded anew for every token.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from benchmarks.corpus import data_folder
from gendata.models import load_family, ngram, transformer
from gendata.models.family import DataSpec, Objective, TextRequest
from gendata.models.tokens import SEPARATOR
from gendata.train.data import TextData
from gendata.train.loop import fit
from gendata.train.machine import CPU, Machine
from gendata.train.step import Training, optimizer, take_step, validate

LAYERS, HEADS, WIDTH, CONTEXT, BATCH, STEPS, LR, WARMUP = 4, 4, 128, 64, 12, 2000, 1e-3, 100

OURS: dict[str, dict[str, Any]] = {
    "transformer": {"context": 128, "layers": 4, "heads": 4, "width": 128, "span": 4, "batch": 12, "lr": 0.01},
    "rnn": {"context": 128, "width": 256, "embedding": 64, "batch": 12, "lr": 5e-3},
}


class PeerBlock(nn.Module):
    """Attention and MLP of GPT-2, each normalised first."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.ModuleList(nn.LayerNorm(WIDTH, bias=False) for _ in range(2))
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to the same."""
        parts = self.qkv(self.before[0](x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        x = x + self.out(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        changed: Tensor = self.down(gelu(self.up(self.before[1](x))))
        return x + changed


class Peer(nn.Module):
    """GPT-2 of the recipe's size."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(PeerBlock() for _ in range(LAYERS))
        self.last = nn.LayerNorm(WIDTH, bias=False)
        for name, weight in self.named_parameters():
            if weight.ndim > 1:
                residual = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (math.sqrt(2 * LAYERS) if residual else 1))

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, T, V) of (B, T)."""
        x = self.tokens(tokens) + self.positions.weight[: tokens.size(1)]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.last(x) @ self.tokens.weight.T
        return logits

    def loss(self, tokens: Tensor) -> Tensor:
        """Mean nats of ``tokens`` (B, T + 1)."""
        return cross_entropy(self(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    def objectives(self) -> dict[str, Objective]:
        """As our models."""
        return {"loss": Objective(self.parameters())}

    def validate(self, batch: Any) -> dict[str, Tensor]:
        """As our models."""
        return {"loss": self.loss(batch["tokens"])}


def peer_steps(
    model: Peer, data: TextData, steps: int, loss: Callable[[Tensor], Tensor] | None = None
) -> Iterator[int]:
    """The recipe, a step at a time, by the model's own ``loss`` or a compiled one."""
    loss = loss or model.loss
    torch.manual_seed(0)
    matrices, rest = ([p for p in model.parameters() if (p.ndim > 1) == wide] for wide in (True, False))
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for step in range(steps):
        share = max(0.0, (step - WARMUP) / max(steps - WARMUP, 1))
        rate = LR * min((step + 1) / WARMUP, 0.1 + 0.45 * (1 + math.cos(math.pi * share)))
        for group in adamw.param_groups:
            group["lr"] = rate
        adamw.zero_grad(set_to_none=True)
        torch.autograd.backward(loss(data.batch(0, step, BATCH)["tokens"]))
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        yield step


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of something."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


class _Silent:
    def figures(self, step: int, values: object) -> None: ...
    def validated(self, step: int) -> None: ...
    def say(self, line: str) -> None: ...


def ours(family: str, data: TextData, **changes: Any) -> tuple[Any, Callable[[int], None]]:
    """A model of ours, and what trains it so many steps."""
    config = load_family(family).Config(**OURS[family] | changes)
    torch.manual_seed(config.seed)
    model = load_family(family).Model(config, DataSpec())

    def train(steps: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            fit(family, model, replace(config, steps=steps, every=steps), data, Path(folder), _Silent(), CPU)

    return model, train


def line(name: str, loss: float, cpu: float, wall: float, tokens: int) -> None:
    """A row of the table."""
    print(
        f"{name:<28}{loss:>7.4f} nats/char{cpu:>8.0f} s CPU{wall:>7.0f} s wall{tokens / cpu:>9.0f} tokens/s", flush=True
    )


def with_budget(family: str, streams: dict[str, Any], budget: float) -> None:
    """Train a family of ours for so many seconds of CPU time, found from its first steps, and print its loss."""
    data = TextData(streams, OURS[family]["context"])
    short = TextData(streams | {"valid": streams["valid"][: 2 * data.context]}, data.context)
    _, first, both = (seconds(partial(lambda n: ours(family, short)[1](n), n))[0] for n in (4, 4, 44))
    steps = int(budget * 40 / (both - first))  # without what stands around the steps; the first trial is warm-up
    model, train = ours(family, short)
    cpu, wall = seconds(lambda: train(steps))
    loss = validate(model, load_family(family).Config(**OURS[family]), data)["valid/loss"]
    line(f"our {family}, {steps} steps", loss, cpu, wall, steps * OURS[family]["batch"] * data.context)


def recipe(codes: dict[str, Any], steps: int) -> float:
    """Train the peer, print its loss, and return the seconds of CPU time that it took."""
    data = TextData(codes, CONTEXT)
    torch.manual_seed(0)
    model = Peer(int(codes["train"].max()) + 1)
    cpu, wall = seconds(lambda: [*peer_steps(model, data, steps)])
    loss = validate(model, transformer.Config(), data)["valid/loss"]
    line(f"nanoGPT's recipe, {steps} steps", loss, cpu, wall, steps * BATCH * CONTEXT)
    return cpu


def speed(streams: dict[str, Any]) -> None:
    """Tokens per second of training at the peer's shape, vocabulary too: medians over turns, each of ten steps.

    Also with losses compiled, ours as ``compile`` of the recipe does; nanoGPT's README turns that off on a CPU.
    """
    peer, peer_compiled = (Peer(DataSpec().tokenizer.vocabulary) for _ in range(2))
    data = TextData(streams, CONTEXT)
    compiled: Any = torch.compile(peer_compiled.loss)
    works: dict[str, Callable[[], object]] = {
        "nanoGPT": lambda: [*peer_steps(peer, data, 10)],
        "nanoGPT, compiled": lambda: [*peer_steps(peer_compiled, data, 10, compiled)],
    }
    shape = {"context": CONTEXT, "layers": LAYERS, "heads": HEADS, "width": WIDTH, "batch": BATCH, "span": 1}
    for name in ("adamw", "muon"):
        for note, machine in (("", CPU), (", compiled", replace(CPU, compiles=True))):
            works[f"ours, {name}{note}"] = our_steps(data, 10, machine, optimizer=name, **shape)
    for work in works.values():
        work()  # compiles
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(9):
        for name, work in works.items():
            taken[name].append(10 * BATCH * CONTEXT / seconds(work)[0])
    print("training at the peer's shape, tokens/s, and times nanoGPT's of the same turn:")
    for name, rates in taken.items():
        times = statistics.median(rate / peers for rate, peers in zip(rates, taken["nanoGPT"], strict=True))
        print(f"  {name:<24}{statistics.median(rates):>8.0f}{times:>6.2f}")


def our_steps(data: TextData, steps: int, machine: Machine, **changes: Any) -> Callable[[], None]:
    """Steps of the loop, with nothing around them."""
    config = transformer.Config(**OURS["transformer"] | changes)
    model = transformer.Model(config, DataSpec())
    optimizers = {key: optimizer(o, config) for key, o in model.objectives().items()}
    training = Training(model, machine.loss(model), optimizers, config, data, machine)

    def work() -> None:
        for step in range(steps):
            take_step(training, [data.batch(0, step, config.batch)], step)

    return work


def sampling(length: int = 512) -> None:
    """Eight texts of so many tokens, with keys and values kept, and with every window encoded anew."""
    torch.manual_seed(0)
    model = transformer.Model(transformer.Config(context=length, layers=LAYERS, heads=HEADS, width=WIDTH), DataSpec())
    nn.init.normal_(model.head.weight[:SEPARATOR])  # the separator stays at 0: unlikely to end a text
    request = TextRequest(temperature=0, max_tokens=length - 1)

    def anew() -> None:
        window = torch.full((8, 1), SEPARATOR)
        for _ in range(length - 1):
            window = torch.cat((window, model(window)[:, -1].argmax(1, keepdim=True)), 1)

    with torch.inference_mode():
        kept = seconds(lambda: model.eval().sample(list(range(8)), [], request))[0]
        fresh = seconds(anew)[0]
    print(
        f"sampling {length} tokens, texts/s: {8 / kept:.2f} with the cache, {8 / fresh:.2f} without: "
        f"{fresh / kept:.1f} times"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the recipe's steps")
    parser.add_argument("--text", default="lm_tinyshakespeare/input.txt", help="below the evaluation data")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    raw = np.frombuffer((data_folder() / asked.text).read_bytes(), np.uint8)
    cut, rank = int(0.9 * len(raw)), np.unique(raw, return_inverse=True)[1].astype(np.uint16)
    codes, streams = ({"train": s[:cut], "valid": s[cut:], "test": s[:0]} for s in (rank, raw.astype(np.uint16)))
    for order in (1, 2, 5):
        taken = seconds(
            partial(
                lambda order: print(
                    f"{order}-gram {ngram.loss(streams['train'], streams['valid'], order):.4f} nats/char", end=""
                ),
                order,
            )
        )
        print(f", {taken[0]:.1f} s CPU", flush=True)
    sampling()
    speed(streams)
    budget = recipe(codes, int(STEPS * asked.share))
    for family in OURS:
        with_budget(family, streams, budget)


if __name__ == "__main__":
    main()
