"""Semantic deduplication: which threshold, how fast, and how many pairs a partition misses.

``python -m benchmarks.similar [--pairs 1000] [--rows 100000] [--skip pairs,images,speed]``. Three parts:

* pairs: precision and recall of thresholds on labelled pairs of GENDATA_EVAL_DATA (STS-B: score of at least 4.5; MRPC
  and PAN: paraphrase), embedded by the default model.
* images: cosines of the default image encoder between photos and their variants, and between different photos.
* speed: items per second and peak memory, all with all beside a partition, on mixtures of real vectors of which one in
  ten is turned towards another one; and the share of what all with all finds that the partition finds too.
"""

import argparse
import csv
import io
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.latency import Mixtures
from gendata.embed import ImageEncoderParams, TextEncoderParams
from gendata.embed.encoder import Vectors as Matrix
from gendata.embed.image import load_image_encoder
from gendata.embed.text import load_text_encoder
from gendata.similar import SimilarParams
from gendata.similar.decisions import LEVELS
from gendata.similar.greedy import judge
from gendata.similar.partition import EXACT, partition
from gendata.similar.vectors import VectorsWriter

THRESHOLDS = (0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
Labelled = list[tuple[str, str, bool]]


def labelled(data: Path) -> Iterator[tuple[str, Labelled]]:
    """Name and pairs of each set: two texts, and whether they mean the same."""
    rows = [line.split("\t") for line in (data / "semtext_stsb/sts-train.csv").read_text().splitlines()]
    yield "STS-B", [(row[5], row[6], float(row[4]) >= 4.5) for row in rows]
    with (data / "ndtext_mrpc/msr_paraphrase_train.txt").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    yield "MRPC", [(row[3], row[4], row[0] == "1") for row in rows]
    folder = data / "ndtext_pan_pairs"
    ends = ("_s1.txt", "_s2.txt", ".labels")
    ones, others, same = ((folder / f"pan-train{end}").read_text().split("\n") for end in ends)
    yield "PAN", [(a, b, label == "1") for a, b, label in zip(ones, others, same, strict=True) if label]


def pairs(data: Path, most: int) -> None:
    """A table of thresholds for each set, on an even sample of its pairs."""
    encoder = load_text_encoder(TextEncoderParams())
    for name, found in labelled(data):
        some = found[:: max(1, len(found) // most)]
        ones, others = encoder.encode([a for a, _, _ in some]), encoder.encode([b for _, b, _ in some])
        cosines = np.einsum("nd,nd->n", ones, others)
        same = np.array([pair[2] for pair in some])
        print(f"{name}: {len(some)} pairs, {same.sum()} the same")
        for threshold in THRESHOLDS:
            high = cosines >= threshold
            right = int((high & same).sum())
            print(
                f"  {threshold:.2f}  {high.sum():5d} above  precision {right / max(1, high.sum()):.3f}"
                f"  recall {right / same.sum():.3f}"
            )


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out)


VARIANTS: dict[str, Any] = {
    "half size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "jpeg q30": lambda image: _jpeg(image, 30),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "brightness x1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "crop 10 %": lambda image: image.crop([side * share // 20 for share in (1, 19) for side in image.size]),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def images(data: Path) -> None:
    """Cosines of photos to their variants, and to other photos."""
    encoder = load_image_encoder(ImageEncoderParams())
    photos = [Image.open(path).convert("RGB") for path in sorted((data / "img_bsds500_50").glob("*.jpg"))]

    def encoded(some: list[Image.Image]) -> Matrix:
        buffers = [io.BytesIO() for _ in some]
        for image, buffer in zip(some, buffers, strict=True):
            image.save(buffer, "PNG")
        return encoder.encode([buffer.getvalue() for buffer in buffers])

    base, threshold = encoded(photos), SimilarParams().image_threshold
    others = (base @ base.T)[~np.eye(len(base), dtype=bool)]
    print(f"{encoder.name}: {len(photos)} photos, different ones {np.median(others):.3f}, at most {others.max():.3f}")
    for name, change in VARIANTS.items():
        cosines = np.einsum("nd,nd->n", base, encoded([change(photo) for photo in photos]))
        share = np.mean(cosines >= threshold)
        print(f"  {name:16} {cosines.min():.3f} to {cosines.max():.3f}, {share:.0%} at {threshold}")


def mixtures(rows: int, seed: int = 0) -> Matrix:
    """Mixtures of real vectors, one in ten of them turned to a cosine of 0.8 to 0.99 with another."""
    rng, mix = np.random.default_rng(seed), Mixtures()
    found = mix(range(rows))
    turned, towards = rng.permutation(rows)[: rows // 10], rng.permutation(rows)[: rows // 10]
    aside = rng.standard_normal((len(turned), found.shape[1])).astype(np.float32)
    aside -= np.einsum("nd,nd->n", aside, found[towards])[:, None] * found[towards]
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    cosines = rng.uniform(0.8, 0.99, (len(turned), 1)).astype(np.float32)
    found[turned] = cosines * found[towards] + np.sqrt(1 - cosines**2) * aside
    return found


def timed(path: Path, exact: int, threshold: float, answers: Any) -> None:
    """One way on the vectors of a file, in a process of its own: what goes, seconds, CPU seconds, peak MB."""
    start, cpu = time.perf_counter(), time.process_time()
    spool, matrix = path.with_suffix(".spool"), np.load(path, mmap_mode="r")
    writer = VectorsWriter(spool)
    for at in range(0, len(matrix), 4096):
        some = np.asarray(matrix[at : at + 4096])
        writer.add(some, np.ones(len(some), np.int64), np.ones(len(some), np.int64))
    vectors, order = writer.vectors(), np.arange(len(matrix))
    parts = partition(vectors, order, exact)
    found = judge(vectors, order, np.zeros(len(order), np.int8), parts, threshold, LEVELS)
    took = time.perf_counter() - start, time.process_time() - cpu
    spool.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    answers.put((parts.parts, np.flatnonzero(found.match >= 0), found.going, *took, peak))


def speed(rows: int) -> None:
    """All with all, and the partition."""
    threshold, context = SimilarParams().text_threshold, multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="gendata-bench-") as folder:
        path = Path(folder) / "vectors.npy"
        np.save(path, mixtures(rows))
        results = {}
        for name, exact in (("all with all", rows), ("partition", min(EXACT, rows // 2))):
            answers = context.Queue()
            process = context.Process(target=timed, args=(path, exact, threshold, answers))
            process.start()
            results[name] = answers.get()
            process.join()
            parts, going, _, wall, cpu, peak = results[name]
            print(
                f"{name:14} {parts:4d} parts  {rows / wall:7.0f} items/s  {wall:6.1f} s, {cpu:6.1f} s of CPU"
                f"  peak {peak} MB  {len(going)} like another at {threshold}"
            )
    exact, quick = results["all with all"], results["partition"]
    found = np.isin(exact[1], quick[1]).mean()
    shares = ", ".join(f"{quick[2][level] / max(1, count):.4f} at {level:g}" for level, count in exact[2].items())
    print(f"found by the partition: {found:.4f} of those at {threshold}; by number {shares}")


def main() -> None:
    """Print the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000, help="of each labelled set")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--skip", default="", help="parts, with commas")
    asked = parser.parse_args()
    skipped = asked.skip.split(",")
    data = Path(os.environ.get("GENDATA_EVAL_DATA", "../shared/data"))
    if "pairs" not in skipped:
        pairs(data, asked.pairs)
    if "images" not in skipped:
        images(data)
    if "speed" not in skipped:
        speed(asked.rows)


if __name__ == "__main__":
    main()
