"""A manifest as arrays that a training reads at random: decoded once, memory-mapped, never all in memory.

The arrays lie in ``.gendata/cache/arrays`` and can be deleted at any time. Which items make up a batch
follows from seed and step alone, so that a resumed training reads what an unbroken one would have read.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from gendata import files
from gendata.engine import Progress
from gendata.errors import QueryError, StoreError
from gendata.models import ngram, tokens
from gendata.models.family import Batch
from gendata.models.tokens import BYTES, Tokenizer
from gendata.select.contents import Contents
from gendata.train.decode import write_images
from gendata.train.spell import label_places, spelled

LAYOUT = 5  # version of the cached arrays
_HEADER = 128  # bytes of a .npy file without rows, which cannot be mapped

SPLITS = ("train", "valid", "test")

_WHOLE = slice(None)


class ImageData:
    """Images of one size with their labels, by split."""

    unit = "images"

    def __init__(
        self,
        pixels: dict[str, NDArray[np.uint8]],
        labels: dict[str, NDArray[np.int64]],
        classes: tuple[str, ...],
        fitted: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.pixels, self.labels, self.classes, self._fitted = pixels, labels, classes, fitted
        """By split: ``pixels`` (n, C, H, W), ``labels`` (n,) as an index into ``classes``; what was done to how many"""

    tokenizer = BYTES

    @property
    def held_out(self) -> str:
        """The split that validation reads: valid, or test where there is none."""
        return "valid" if len(self.labels["valid"]) else "test"

    def remark(self) -> str:
        """What images lost or lack because all are of one size; empty if nothing."""
        changed = [f"{count:,} {what}" for what, count in self._fitted.items() if count]
        height, width = self.pixels["train"].shape[2:]
        total = sum(len(part) for part in self.pixels.values())
        return f"of {total:,} images, {', '.join(changed)}, to be {width} x {height} pixels" if changed else ""

    def units(self, items: int) -> int:
        """How many images so many items of a batch are."""
        return items

    def batch(self, seed: int, step: int, size: int, part: slice = _WHOLE) -> Batch:
        """The batch of a step, or a part of it: the training split in a new order in every epoch."""
        n = len(self.labels["train"])
        at = np.arange(step * size, (step + 1) * size)[part]
        epochs = np.unique(at // n)
        return self._at("train", np.concatenate([_order(seed, int(e), n)[at[at // n == e] % n] for e in epochs]))

    def _at(self, split: str, positions: NDArray[np.int64]) -> Batch:
        pixels = torch.from_numpy(self.pixels[split][positions]).float().div_(127.5).sub_(1)
        return {"pixels": pixels, "labels": torch.from_numpy(self.labels[split][positions])}

    def baselines(self) -> dict[str, float]:
        """None: what images are compared with stands in stage evaluate."""
        return {}

    def validation(self, size: int) -> Iterator[tuple[Batch, int]]:
        """Batches of the held-out split, and the weight of each in a mean."""
        n = len(self.labels[self.held_out])
        for start in range(0, n, size):
            positions = np.arange(start, min(start + size, n))
            yield self._at(self.held_out, positions), len(positions)


class TextData:
    """Texts as one stream of tokens per split: a separator, a text, a separator, and so on.

    With classes, the token of its label comes between a separator and its text: the first past the vocabulary for texts
    without a label of the training split. A window that starts inside a text starts with that of the text.
    """

    unit = "tokens"

    def __init__(
        self,
        streams: dict[str, NDArray[np.uint16]],
        context: int,
        tokenizer: Tokenizer = BYTES,
        classes: tuple[str, ...] = (),
    ) -> None:
        self.streams, self.context, self.tokenizer, self.classes = streams, context, tokenizer, classes
        found = streams if classes else dict[str, NDArray[np.uint16]]()
        self._labels = {name: label_places(stream, tokenizer) for name, stream in found.items()}

    @property
    def held_out(self) -> str:
        """The split that validation reads: valid, or test where there is none."""
        return "valid" if len(self.streams["valid"]) else "test"

    def units(self, items: int) -> int:
        """How many tokens so many windows of a batch are."""
        return items * self.context

    def batch(self, seed: int, step: int, size: int, part: slice = _WHOLE) -> Batch:
        """The batch of a step, or a part of it: windows of ``context`` + 1 tokens at random places."""
        stream = self.streams["train"]
        window = min(self.context + 1, len(stream))
        starts = np.random.default_rng([seed, step]).integers(0, len(stream) - window + 1, size)[part]
        return {"tokens": self._windows("train", starts, window)}

    def _windows(self, split: str, starts: NDArray[np.int64], window: int) -> torch.Tensor:
        stream = self.streams[split]
        rows = np.stack([stream[s : s + window] for s in starts]).astype(np.int64)
        if self.classes:
            at = self._labels[split]
            rows[:, 0] = stream[at[np.searchsorted(at, starts, "right").clip(1) - 1]]
        return torch.from_numpy(rows)

    def only(self, split: str) -> "TextData":
        """The same with one split alone, as the one that validation reads."""
        streams = {name: self.streams[split][: len(self.streams[split]) * (name == "valid")] for name in SPLITS}
        return TextData(streams, self.context, self.tokenizer, self.classes)

    def remark(self) -> str:
        """What is odd about the data; empty if nothing is."""
        n = len(self.streams["train"])
        if n > self.context:
            return ""
        return f"context {self.context} is longer than the training split, {n} tokens: windows are as short as that"

    def bytes_of(self, split: str) -> NDArray[np.uint16]:
        """The stream of a split as bytes and separators: what texts cost is counted in these."""
        stream = self.streams[split]
        if self.tokenizer.vocabulary == tokens.VOCABULARY and not self.classes:
            return stream
        return spelled(stream, self.tokenizer)

    def baselines(self) -> dict[str, float]:
        """Held-out loss of n-gram models of bytes of the training split, in nats per token, as ``valid/<name>``."""
        held_out, train = self.bytes_of(self.held_out)[1:], self.bytes_of("train")  # predicted: all but the first
        share = len(held_out) / sum(weight for _, weight in self.validation(1))  # 1 where tokens are bytes
        orders = (("unigram", 1), ("bigram", 2))
        return {f"valid/{name}": share * ngram.loss(train, held_out, order) for name, order in orders}

    def validation(self, size: int) -> Iterator[tuple[Batch, int]]:
        """Windows that predict every held-out token once, and the number of those in each batch; labels are not."""
        stream = self.streams[self.held_out]
        full = (len(stream) - 1) // self.context
        for start in range(0, full, size):
            yield self._weighed(np.arange(start, min(start + size, full)) * self.context, self.context + 1)
        if (left := len(stream) - 1 - full * self.context) > 0:
            yield self._weighed(np.array([full * self.context]), left + 1)

    def _weighed(self, starts: NDArray[np.int64], window: int) -> tuple[Batch, int]:
        rows = self._windows(self.held_out, starts, window)
        return {"tokens": rows}, int((rows[:, 1:] < self.tokenizer.vocabulary).sum())


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(n)


def image_data(contents: Contents, size: int, channels: int) -> ImageData:
    """Images of a manifest, cropped to a square and scaled. Raises StoreError for an image that does not decode."""
    import PIL

    rows = contents.manifest.rows
    splits = np.array(rows["split"].to_pylist(), np.str_)

    def decode(work: Path) -> None:
        fitted = Counter[str]()
        with Progress("decode", len(contents), "images") as progress:
            for name in SPLITS:
                positions = np.flatnonzero(splits == name)
                fitted += write_images(work / f"{name}.npy", contents, positions, (channels, size, size), progress)
        files.write_json(work / "fitted.json", fitted)

    folder = _filled(contents, f"images-{size}-{channels}-pillow-{PIL.__version__}", decode)
    pixels = {name: _mapped(folder / f"{name}.npy") for name in SPLITS}
    classes = sorted(pc.unique(rows["label"].filter(pa.array(splits == "train"))).to_pylist())
    labels = pc.index_in(rows["label"], pa.array(classes, pa.string())).to_numpy().astype(np.int64)
    fitted = files.read_json(folder / "fitted.json")
    return ImageData(pixels, {name: labels[splits == name] for name in SPLITS}, tuple(classes), fitted)


def _mapped(path: Path) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r" if path.stat().st_size > _HEADER else None)
    return array


def text_data(
    contents: Contents, context: int, vocabulary: int = tokens.VOCABULARY, conditional: bool = False
) -> TextData:
    """Texts of a manifest as tokens: bytes, or BPE that is learned here, on the training split alone.

    Raises QueryError for a conditional model of texts of which no training one has a label.
    """
    rows = contents.manifest.rows
    splits = np.array(rows["split"].to_pylist(), np.str_)
    known = pc.unique(rows["label"].filter(pa.array(splits == "train"))).to_pylist() if conditional else []
    classes = tuple(sorted(label for label in known if label is not None))
    if conditional and not classes:
        raise QueryError("conditional: no training text has a label to be conditional on")

    def tokenise(work: Path) -> None:
        tokenizer = _learn(contents, np.flatnonzero(splits == "train"), vocabulary)
        (work / "tokenizer.json").write_text(tokenizer.text, encoding="utf-8")
        with Progress("tokenise", len(contents), "texts") as progress:
            for name in SPLITS:
                at = np.flatnonzero(splits == name)
                _write_stream(work / f"{name}.u16", contents, at, (tokenizer, classes), progress)

    folder = _filled(contents, f"texts-{vocabulary}-{'labels' if conditional else ''}", tokenise)
    streams = {name: _stream(folder / f"{name}.u16") for name in SPLITS}
    tokenizer = tokens.load((folder / "tokenizer.json").read_text(encoding="utf-8"), str(folder))
    return TextData(streams, context, tokenizer, classes)


def _learn(contents: Contents, positions: NDArray[np.int64], vocabulary: int) -> Tokenizer:
    if vocabulary == tokens.VOCABULARY:
        return BYTES
    return tokens.learn((text for b in contents.batches(positions) for text in b["text"].to_pylist()), vocabulary)


def _write_stream(
    path: Path,
    contents: Contents,
    positions: NDArray[np.int64],
    using: tuple[Tokenizer, tuple[str, ...]],
    progress: Progress,
) -> None:
    tokenizer, classes = using
    numbers = {label: tokenizer.vocabulary + 1 + i for i, label in enumerate(classes)}
    separator = np.array([tokens.SEPARATOR], np.uint16)
    labels = contents.manifest.rows["label"].take(pa.array(positions)).to_pylist() if classes else []
    of_labels = (np.array([numbers.get(label, tokenizer.vocabulary)], np.uint16) for label in labels)
    with path.open("wb") as file:
        if positions.size:
            file.write(separator.tobytes())
        for batch in contents.batches(positions):
            for text in batch["text"].to_pylist():
                front = [next(of_labels)] if classes else []
                file.write(np.concatenate([*front, tokenizer.encode(text), separator]).tobytes())
            progress.add(batch.num_rows)


def _stream(path: Path) -> NDArray[np.uint16]:
    if path.stat().st_size == 0:  # which cannot be mapped
        return np.empty(0, np.uint16)
    return np.memmap(path, np.uint16, mode="r")


def _filled(contents: Contents, kind: str, make: Callable[[Path], None]) -> Path:
    """The folder of a manifest's arrays, with their digests: what was cut short or changed since is not believed."""
    key = hashlib.sha256(f"{contents.manifest.id}/{kind}/{LAYOUT}".encode()).hexdigest()[:24]

    def sealed(work: Path) -> None:
        make(work)
        files.write_json(work / "digests.json", {path.name: files.sha256(path) for path in work.iterdir()})

    files.fill(folder := files.WORK / "cache" / "arrays" / key, _whole, sealed)
    return folder


def _whole(folder: Path) -> bool:
    """Whether the arrays are there and as they were written; if not they are made again."""
    try:
        digests = files.read_json(folder / "digests.json")
        return all(files.sha256(folder / name) == digest for name, digest in digests.items())
    except (StoreError, OSError, AttributeError):
        return False


def load_data(contents: Contents, modality: str, config: Any) -> ImageData | TextData:
    """The arrays that a family of this modality is trained on; its config says which arrays."""
    if modality == "image":
        return image_data(contents, config.size, config.channels)
    return text_data(contents, config.context, config.vocabulary, config.conditional)
