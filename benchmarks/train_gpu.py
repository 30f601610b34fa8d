"""The trainer on a GPU: tokens per second and share of the peak of a large transformer, and how well a small one gets.

``python -m benchmarks.train_gpu [--steps 60] [--tiny]``. The first part trains a transformer of about 124 M
parameters on windows of 1,024 tokens (made up: speed does not depend on them) in bfloat16, with the loop of stage
train. Model FLOPs are those of Chowdhery et al. 2022, appendix B: per token 6 times the parameters that are multiplied
(all but the embeddings) and 12 * layers * width * context for attention, causal or not; nothing computed twice counts.

The second trains a transformer of the size of nanoGPT's ``train_shakespeare_char`` (6 layers, 6 heads, width 384,
context 256, batch 64, dropout 0.2) on tiny Shakespeare, split as there: first 90 % train, the rest held out. nanoGPT's
README says 1.4697 nats per character for the best checkpoint, after 3 minutes on an A100.

``--tiny`` runs both on a CPU, so small that the figures mean nothing: to see that it works.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gendata.models import tokens, transformer
from gendata.models.family import DataSpec
from gendata.train.data import TextData
from gendata.train.loop import fit
from gendata.train.machine import open_machine

PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bfloat16 FLOPs per second by a part of the device's name, from the maker's data sheets (SXM)."""

TARGET = 1.4697
"""Held-out nats per character of nanoGPT."""

LARGE = transformer.Config(
    layers=10, width=1024, heads=8, context=1024, batch=32, lr=6e-4, warmup=20, precision="bfloat16", compile=True
)
SMALL = transformer.Config(
    layers=6, width=384, heads=6, context=256, batch=64, dropout=0.2, lr=1e-3, warmup=100, final=0.1, steps=5000,
    every=250, precision="bfloat16", compile=True,
)  # fmt: skip
TINY = {"layers": 1, "width": 16, "heads": 1, "context": 16, "batch": 4, "compile": False, "device": "cpu"}


@dataclass
class Clock:
    """A watch that notes when the points of the curves came."""

    points: list[tuple[int, float]] = field(default_factory=list)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """Of training alone: validations come later."""
        if any(name.startswith("speed/") for name in values):
            self.points.append((step, time.perf_counter()))

    def validated(self, step: int) -> None:
        """Nothing to do."""

    def say(self, line: str) -> None:
        """Shown."""
        print(line)


def main() -> None:
    """Print both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60, help="of the first part; those after the 20th are timed")
    parser.add_argument("--batch", type=int, default=LARGE.batch, help="windows per step of the first part")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--tiny", action="store_true", help="on a CPU, to see that it works")
    asked = parser.parse_args()
    if not (asked.tiny or torch.cuda.is_available()):
        print("there is no GPU here: nothing was measured (--tiny runs on a CPU, for its own sake)")
        return
    chosen = TINY if asked.tiny else {"compile": not asked.eager}
    large = {"steps": asked.steps, "every": asked.steps, "batch": asked.batch}
    speed(transformer.Config(**{**vars(LARGE), **large, **chosen}))
    quality(transformer.Config(**{**vars(SMALL), **chosen, **({"steps": 20, "every": 10} if asked.tiny else {})}))


def speed(config: transformer.Config) -> None:
    """Tokens per second of steady steps, and the share of the device's peak."""
    stream = np.random.default_rng(0).integers(0, tokens.VOCABULARY, 1 << 20).astype(np.uint16)
    clock = Clock()
    seconds, _, model, device = trained(config, {"train": stream, "valid": stream[: config.context + 1]}, clock)
    total = sum(p.numel() for p in model.parameters())
    steady = [point for point in clock.points if point[0] >= min(20, config.steps // 2)]  # compiled and warm
    (first, start), (last, end) = steady[0], steady[-1]
    rate = (last - first) * config.batch * config.context / max(end - start, 1e-9)
    multiplied = total - sum(p.numel() for name, p in model.named_parameters() if name.startswith("embedding"))
    flops = 6 * multiplied + 12 * config.layers * config.width * config.context
    peak = next((value for part, value in PEAKS.items() if part in device), None)
    share = f"{rate * flops / peak:.1%} of {peak / 1e12:.0f} TFLOPs" if peak else f"peak of {device} not known"
    print(f"{device}: {total / 1e6:.1f} M parameters, batch {config.batch} x {config.context}, {config.precision}")
    print(f"  {rate:,.0f} tokens/s in steps {first} to {last}, {flops / 1e6:.0f} MFLOPs per token: {share}")
    print(f"  {seconds:.0f} s in all, with compilation and one checkpoint", flush=True)


def quality(config: transformer.Config) -> None:
    """The least held-out loss on tiny Shakespeare, and the time it took."""
    root = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data")) / "lm_tinyshakespeare"
    files = sorted(root.glob("*input*.txt"))
    if not files:
        print(f"tiny Shakespeare is not in {root}: not trained")
        return
    stream = tokens.encode(files[0].read_text(encoding="utf-8"))
    cut = len(stream) * 9 // 10
    held_out = stream[cut:][: 2000 if config.steps < 100 else None]
    seconds, history, model, device = trained(config, {"train": stream[:cut], "valid": held_out}, Clock())
    best = min(history, key=lambda row: row["valid/loss"])
    print(f"{device}: tiny Shakespeare, {sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters")
    print(f"  best held-out loss {best['valid/loss']:.4f} nats per character, at step {best['step']}; nanoGPT {TARGET}")
    print(f"  {seconds:.0f} s for {config.steps} steps, with compilation and validations", flush=True)


def trained(
    config: transformer.Config, streams: dict[str, np.ndarray], clock: Clock
) -> tuple[float, list[dict[str, float]], torch.nn.Module, str]:
    """Seconds of a training with our loop, its history, the model, and the name of the device."""
    torch.manual_seed(config.seed)
    with open_machine(config, "transformer") as machine, tempfile.TemporaryDirectory() as folder:
        model = transformer.Model(config, DataSpec()).to(machine.device)
        start = time.perf_counter()
        state = fit("transformer", model, config, TextData(streams, config.context), Path(folder), clock, machine)
        return time.perf_counter() - start, state.history, model, machine.facts()["device"]


if __name__ == "__main__":
    main()
