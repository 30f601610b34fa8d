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
from gendata.evaluate.texts import bits_per_byte, distinct_n, documents, longest_overlap, repetition
from gendata.models import ngram
from gendata.models.tokens import SEPARATOR
from gendata.train.data import SPLITS, TextData
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
    stream = data.streams["test"] if len(data.streams["test"]) else data.streams["valid"]
    streams = {**dict.fromkeys(SPLITS, stream[:0]), "valid": stream}
    texts = [text or "" for text in outputs["text"].to_pylist()]
    real = list(_alike(stream, [len(text.encode()) for text in texts]))
    overlaps = longest_overlap([t.encode() for t in [*texts, *real]], documents(data.streams["train"]))
    own, floor = overlaps[: len(texts)], overlaps[len(texts) :]
    _write_overlaps(out / "overlaps.csv", outputs["id"].to_pylist(), texts, own)
    nats = {"": validate(model, config, TextData(streams, data.context))["valid/loss"]}
    nats["unigram"] = ngram.fit(data.streams["train"], 1).nats_per_token(stream[1:])
    nats["bigram"] = ngram.fit(data.streams["train"], 2).nats_per_token(stream[1:])
    n_bytes = int(np.count_nonzero(np.asarray(stream) != SEPARATOR))
    bits = {name: bits_per_byte(value, len(stream) - 1, n_bytes) for name, value in nats.items()}
    return TextFigures(
        samples=len(texts),
        held_out=int(np.count_nonzero(np.asarray(stream) == SEPARATOR)) - 1,
        bits_per_byte=bits[""],
        bits_per_byte_unigram=bits["unigram"],
        bits_per_byte_bigram=bits["bigram"],
        distinct_1=distinct_n(texts, 1),
        distinct_1_floor=distinct_n(real, 1),
        distinct_2=distinct_n(texts, 2),
        distinct_2_floor=distinct_n(real, 2),
        repetition=repetition(texts),
        repetition_floor=repetition(real),
        overlap_mean=float(np.mean([o.length for o in own])),
        overlap_mean_floor=float(np.mean([o.length for o in floor])) if floor else 0.0,
        overlap_max=max(o.length for o in own),
        overlap_max_floor=max((o.length for o in floor), default=0),
    )


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
