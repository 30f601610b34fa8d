"""Texts per second: our text encoder beside sentence-transformers on the same texts, in turns.

``python -m benchmarks.embed [--texts 1500] [--rounds 5]``. Texts are the paragraphs of Python's own
documentation and, where GENDATA_EVAL_DATA has them, the Cranfield abstracts, each cut to 254 tokens.
sentence-transformers runs as it comes (float32, batches of 32 sorted by length, all cores); ours
runs as stage embed does. Ratios are of neighbouring rounds, so that a busy machine hits both.
"""

import argparse
import json
import os
import random
import re
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from gendata import engine
from gendata.embed import TextEncoder, TextEncoderParams
from gendata.embed.hub import offline
from gendata.embed.passages import split
from gendata.embed.text import load_text_encoder, minilm_folder


def pydocs() -> list[str]:
    """Paragraphs of ``pydoc_data.topics`` of more than 80 characters."""
    from pydoc_data.topics import topics

    return [p for topic in topics.values() for p in re.split(r"\n\n+", topic) if len(p) > 80]


def cranfield() -> list[str]:
    """The 1,400 abstracts, if they are there."""
    file = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data")) / "ir_cranfield" / "corpus.jsonl"
    if not file.exists():
        return []
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [row["text"] for row in rows if row["text"].strip()]


def cut(texts: list[str], encoder: TextEncoder) -> list[str]:
    """The first passage of each text: what both read to its end."""
    spans = split(texts, encoder.max_tokens, encoder.count)
    return [text[slice(*found[0])] for text, found in zip(texts, spans, strict=True) if found]


def timed(encode: Any, texts: list[str]) -> tuple[float, np.ndarray]:
    """Seconds and vectors."""
    start = time.perf_counter()
    vectors = encode(texts)
    return time.perf_counter() - start, vectors


def compare(name: str, texts: list[str], ours: TextEncoder, theirs: Any, rounds: int) -> None:
    """Prints medians of both, the paired ratio, how alike the vectors are, and whether order matters."""
    tokens = ours.count(texts)
    pairs = []
    for _ in range(rounds):
        a, expected = timed(theirs, texts)
        b, found = timed(ours.encode, texts)
        pairs.append((a, b))
    cosine = (found * expected).sum(1)
    order = random.Random(0).sample(range(len(texts)), len(texts))
    again = ours.encode([texts[i] for i in order])
    alone = ours.encode([texts[0]])
    slow, fast = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratios = sorted(a / b for a, b in pairs)
    print(f"{name}: {len(texts)} texts, {statistics.mean(tokens):.0f} tokens on average")
    print(f"  sentence-transformers float32  {len(texts) / slow:8.1f} texts/s")
    print(f"  gendata {ours.dtype:<22} {len(texts) / fast:8.1f} texts/s")
    print(f"  ratio  median {statistics.median(ratios):.2f}  of {', '.join(f'{r:.2f}' for r in ratios)}")
    print(f"  cosine min {cosine.min():.6f}  median {np.median(cosine):.6f}")
    same = np.array_equal(again, found[order]) and np.array_equal(alone[0], found[0])
    print(f"  bit-equal in another order and alone: {same}")


def main() -> None:
    """Runs all comparisons that have their texts here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()

    import torch

    offline()
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(engine.cores())
    flags = torch.cpu.get_capabilities()
    print(f"torch {torch.__version__}, {engine.cores()} cores, {flags.get('cpu_name')}", end=", ")
    print(*(f"{flag}={flags.get(flag, False)}" for flag in ("avx512_f", "avx512_bf16", "amx_bf16")))
    model = SentenceTransformer(str(minilm_folder()), device="cpu", local_files_only=True)
    ours = load_text_encoder(TextEncoderParams(), "cpu")
    for name, texts in (("pydocs", pydocs()), ("ir_cranfield", cranfield())):
        if not texts:
            print(f"{name}: no texts here", file=sys.stderr)
            continue
        some = cut(texts[: args.texts], ours)
        model.encode(some[:64], show_progress_bar=False)
        ours.encode(some[:64])
        compare(name, some, ours, lambda t: model.encode(t, show_progress_bar=False), args.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory of this process, both models loaded: {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
