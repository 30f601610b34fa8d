"""The report on a text family: how well it predicts, how varied it writes, and what it copied verbatim."""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gendata.evaluate import TextFigures
from gendata.evaluate.texts import (
    bits_per_byte,
    compressed,
    distinct_n,
    documents,
    longest_overlap,
    repetition,
    self_bleu,
)
from gendata.models import ngram
from gendata.models.tokens import SEPARATOR
from gendata.train.data import TextData
from gendata.train.step import validate

_SNIPPET = 120


def report(outputs: pa.Table, model: Any, config: Any, data: TextData, out: Path) -> TextFigures:
    """Measure a family and its outputs, and write overlaps.csv into ``out``.

    Losses are of the split ``test`` where there is one: the split ``valid`` was looked at while training.

    Args:
        outputs: rows of OUTPUT_SCHEMA with id and text.
        model: of the family.
        config: of the family.
        data: the manifest's texts as tokens.
        out: an existing folder.
    """
    split = "test" if len(data.streams["test"]) else "valid"
    texts = [text or "" for text in outputs["text"].to_pylist()]
    held_out, train = data.bytes_of(split), data.bytes_of("train")
    real = list(_alike(held_out, [len(text.encode()) for text in texts]))
    overlaps = longest_overlap([t.encode() for t in [*texts, *real]], documents(train))
    own, floor = overlaps[: len(texts)], overlaps[len(texts) :]
    _write_overlaps(out / "overlaps.csv", outputs["id"].to_pylist(), texts, own)
    n_bytes = int(np.count_nonzero(np.asarray(held_out) != SEPARATOR))
    orders = {"unigram": 1, "bigram": 2, "5gram": 5}
    nats = {name: ngram.loss(train, held_out[1:], order) for name, order in orders.items()}
    bits = {name: bits_per_byte(value, len(held_out) - 1, n_bytes) for name, value in nats.items()}
    bits |= compressed(documents(held_out)) | {"": _bits_of(model, config, data, split, n_bytes)}
    return TextFigures(
        samples=len(texts),
        held_out=int(np.count_nonzero(np.asarray(held_out) == SEPARATOR)) - 1,
        bits_per_byte=bits[""],
        bits_per_byte_unigram=bits["unigram"],
        bits_per_byte_bigram=bits["bigram"],
        bits_per_byte_5gram=bits["5gram"],
        bits_per_byte_gzip=bits["gzip"],
        bits_per_byte_bz2=bits["bz2"],
        distinct_1=distinct_n(texts, 1),
        distinct_1_floor=distinct_n(real, 1),
        distinct_2=distinct_n(texts, 2),
        distinct_2_floor=distinct_n(real, 2),
        self_bleu=self_bleu(texts),
        self_bleu_floor=self_bleu(real),
        repetition=repetition(texts),
        repetition_floor=repetition(real),
        overlap_mean=float(np.mean([o.length for o in own])),
        overlap_mean_floor=float(np.mean([o.length for o in floor])) if floor else 0.0,
        overlap_max=max(o.length for o in own),
        overlap_max_floor=max((o.length for o in floor), default=0),
    )


def _bits_of(model: Any, config: Any, data: TextData, split: str, n_bytes: int) -> float:
    """Bits per byte of a model on a split: what all its tokens cost, over the bytes that they stand for."""
    held_out = data.only(split)
    weight = sum(n for _, n in held_out.validation(config.batch))
    return bits_per_byte(validate(model, config, held_out)["valid/loss"], weight, n_bytes)


def _alike(stream: NDArray[np.uint16], lengths: Sequence[int]) -> Iterator[str]:
    """Real texts cut to the lengths of the outputs, the longest of the first real ones for the longest output."""
    real = sorted(islice(documents(stream), len(lengths)), key=len, reverse=True)
    for text, length in zip(real, sorted(lengths, reverse=True), strict=False):
        yield text[:length].decode("utf-8", "ignore")


def _write_overlaps(path: Path, ids: Sequence[str], texts: Sequence[str], overlaps: Sequence[Any]) -> None:
    """The longest verbatim overlap of every output with the training data, longest first; DVC plots the last column."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["output_id", "text", "share", "bytes"])
        for overlap, output, text in sorted(zip(overlaps, ids, texts, strict=True), key=lambda r: (-r[0].length, r[1])):
            data = text.encode()
            part = data[overlap.offset : overlap.offset + overlap.length].decode("utf-8", "replace")
            share = overlap.length / len(data) if data else 0.0
            writer.writerow([output, " ".join(part.split())[:_SNIPPET], f"{share:.4f}", overlap.length])
