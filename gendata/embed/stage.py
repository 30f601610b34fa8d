"""The work of stage embed: blocks of kept rows in, rows of VECTOR_SCHEMA out."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gendata import brought, files
from gendata.embed import EmbedParams
from gendata.embed.cached import CachedImages, CachedTexts, Tick, proportional
from gendata.embed.decode import UnreadableImageError
from gendata.embed.encoder import Vectors
from gendata.embed.image import load_image_encoder
from gendata.engine import Progress
from gendata.errors import GendataError
from gendata.items import REJECT_SCHEMA, VECTOR_SCHEMA, content_id
from gendata.originals import COLUMNS as CONTENT
from gendata.originals import Originals

BLOCK_ROWS, BLOCK_BYTES = 4096, 32 << 20
"""Rows that are in memory at a time, whichever comes first: enough to fill the encoders' batches."""

SAMPLES, SAME = 4, 0.9
"""How many images with a vector out of a table are encoded too, where others are; and the least cosine of both. Other
resizing or precision turns a vector a little, that of another model points anywhere. Chosen, not measured."""

COLUMNS = (*CONTENT, "modality", "text")

Row = dict[str, Any]


class Work(NamedTuple):
    """A block of kept rows, and what is to be encoded for it, by digest of the content; of images the rows."""

    rows: list[Row]
    texts: dict[str, str]
    images: dict[str, Row]


class Images(Mapping[str, bytes]):
    """The images of rows by digest: an original that stays where it is is read when it is asked for."""

    def __init__(self, rows: Mapping[str, Row], content: Callable[[Row], bytes | None]) -> None:
        self._rows, self._content = rows, content

    def __getitem__(self, key: str) -> bytes:
        return self._content(self._rows[key]) or b""

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Embedder:
    """Encoders, loaded when the first content for them comes up, and the counts of a run."""

    def __init__(self, params: EmbedParams, cache: Path, originals: Originals) -> None:
        self.counts: Counter[str] = Counter()
        self._content = originals.content
        self.fresh = self.cached = 0
        self._params, self._cache = params, cache
        self._texts: CachedTexts | None = None
        self._images: CachedImages | None = None
        self._brought_dim: int | None = None
        self._samples: dict[str, tuple[bytes, Vectors]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Embedder":
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def texts(self) -> CachedTexts:
        """The text encoder with its cache."""
        if self._texts is None:
            from gendata.embed.text import load_text_encoder  # torch: not for images alone

            encoder = load_text_encoder(self._params.text, self._params.device, self._params.dtype)
            self._texts = self._stack.enter_context(CachedTexts(encoder, self._params.text.passage_tokens, self._cache))
        return self._texts

    def images(self) -> CachedImages:
        """The image encoder with its cache."""
        if self._images is None:
            encoder = load_image_encoder(self._params.image, self._params.device, self._params.dtype)
            self._images = self._stack.enter_context(CachedImages(encoder, self._cache))
        return self._images

    def embed(
        self, rows: list[Row], tick: Tick, known: Mapping[str, Vectors] | None = None
    ) -> tuple[list[Row], list[Row]]:
        """Rows of VECTOR_SCHEMA and of REJECT_SCHEMA for a block of kept rows; ``known``: vectors of images, by id."""
        known = known or {}
        work = gather(rows, known, compute=self._params.image.compute)
        advance = proportional(tick, len(rows), len(work.images) + len(work.texts))
        pictures = Images(work.images, self._content)
        images, new_images = self.images().vectors(pictures, advance) if pictures else ({}, set())
        texts, new_texts = self.texts().parts(work.texts, advance) if work.texts else ({}, set())
        vectors, rejects = [], []
        for row in rows:
            image = known.get(row["id"], images.get(row["image_key"]))
            if isinstance(image, UnreadableImageError):
                rejects.append(_reject(row, str(image)))
            elif image is not None:
                vectors.append({"id": row["id"], "part": 0, "start": None, "end": None, "vector": image})
                self.counts["images"] += 1
            if row["id"] in known:
                self._remember(row, known[row["id"]])
            self.counts["without"] += row["modality"] == "image" and image is None
            if row["text_key"]:
                first = 1 if row["modality"] == "image" else 0
                vectors += _passages(row["id"], first, texts[row["text_key"]])
                self.counts["passages"] += texts[row["text_key"]].total
            if row["text_key"] in new_texts or row["image_key"] in new_images:
                self.fresh += 1
            elif row["text_key"] or row["image_key"]:
                self.cached += 1
        self.counts["items"] += len(rows)
        self.counts["unreadable"] += len(rejects)
        return vectors, rejects

    def _remember(self, row: Row, vector: Vectors) -> None:
        """Note a vector that was brought, of the first few with the image, so that both can be compared."""
        self.counts["brought"] += 1
        self._brought_dim = len(vector)
        if len(self._samples) < SAMPLES and self._params.image.compute and (data := self._content(row)) is not None:
            self._samples[row["id"]] = (data, vector)

    def check_brought(self) -> None:
        """Raises GendataError where vectors that were brought and those that were computed are of different models."""
        if self._images is None or self._brought_dim is None:
            return  # all are of one kind
        encoder, model = self._images.encoder, self._params.image.model
        if encoder.dim != self._brought_dim:
            raise GendataError(
                f"embed.image.tables: their vectors have {self._brought_dim} numbers, those of {model} {encoder.dim}: "
                "they are of another model"
            )
        found, _ = self._images.vectors({i: data for i, (data, _) in self._samples.items()}, lambda _: None)
        for item_id, (_, vector) in self._samples.items():
            own = found[item_id]
            if not isinstance(own, UnreadableImageError) and (cosine := float(own @ vector)) < SAME:
                raise GendataError(
                    f"embed.image.tables: the vector of image {item_id[:12]} is not that of {model}, which others are "
                    f"given: their cosine is {cosine:.2f}; name the model that made the tables, or say compute: false"
                )

    def summary(self) -> dict[str, Any]:
        """Counts, and the encoders in use: the same for the same data on the same machine."""
        found: dict[str, Any] = {k: self.counts[k] for k in ("items", "passages", "images", "unreadable")}
        if self._params.image.tables or not self._params.image.compute:
            found |= {k: self.counts[k] for k in ("brought", "without")}
        for kind, used in (("text", self._texts), ("image", self._images)):
            if used is not None:
                e = used.encoder
                found[kind] = {"model": e.name, "dim": e.dim, "dtype": e.dtype, "device": e.device}
        if "image" not in found and self._brought_dim:
            found["image"] = {"model": self._params.image.model, "dim": self._brought_dim}
        return found


def run(
    ingested: Path,
    decisions: Path,
    sources: list[str],
    out: Path,
    params: EmbedParams,
    cache: Path,
    tables: Path | None = None,
) -> dict[str, Any]:
    """See ``gendata.embed.embed``; ``tables`` are its ``brought``."""
    pairs = {s: files.decided_shards(ingested, decisions, s) for s in sources}
    total = sum(sum(files.read_table(d, ["kept"])["kept"].to_pylist()) for p in pairs.values() for _, d in p)
    with (
        Embedder(params, cache, Originals(ingested)) as embedder,
        files.output(out) as work,
        Progress("embed", total) as progress,
    ):
        for source, shards in pairs.items():
            rejects: list[Row] = []
            for items, decided in shards:
                path = work / source / items.name
                path.parent.mkdir(exist_ok=True)
                known = brought.values(tables, source, items.name)
                files.write_table(path, _shard(items, decided, known, embedder, progress, rejects), VECTOR_SCHEMA)
            if tables is not None:
                rejects += files.read_table(tables / source / brought.REJECTED).to_pylist()
            files.write_table(work / source / "rejected.parquet", rejects, REJECT_SCHEMA)
        embedder.check_brought()
    sys.stderr.write(f"embedded {embedder.fresh:,} new items, {embedder.cached:,} from cache\n")
    return embedder.summary()


def _shard(
    items: Path,
    decided: Path,
    known: Mapping[str, Vectors],
    embedder: Embedder,
    progress: Progress,
    rejects: list[Row],
) -> Iterator[dict[str, Any]]:
    for block in _blocks(row for b in files.kept_batches(items, decided, COLUMNS) for row in b.to_pylist()):
        before = progress.done
        vectors, failed = embedder.embed(
            block, progress.add, {r["id"]: known[r["id"]] for r in block if r["id"] in known}
        )
        progress.add(before + len(block) - progress.done)
        rejects += failed
        yield from vectors


def _blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    block: list[Row] = []
    size = 0
    for row in rows:
        block.append(row)
        size += files.row_bytes(row) + (row.get("size") or 0)
        if len(block) >= BLOCK_ROWS or size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def gather(rows: list[Row], known: Mapping[str, Vectors], *, compute: bool) -> Work:
    """What is to be encoded; sets ``text_key`` and ``image_key`` (or None) in each row.

    Images whose vector is ``known`` are not, and none is without ``compute``.
    """
    work = Work(rows, {}, {})
    for row in rows:
        text, there = row["text"], row.get("size") is not None
        row["text_key"] = content_id(text) if text and not text.isspace() else None
        encoded = row["modality"] == "image" and (there or row["data"] is not None)
        encoded = encoded and compute and row["id"] not in known
        row["image_key"] = (row["id"] if there else content_id(row["data"])) if encoded else None
        if row["text_key"]:
            work.texts[row["text_key"]] = text
        if row["image_key"]:
            work.images[row["image_key"]] = row
    return work


def _passages(id_: str, first: int, parts: Any) -> list[Row]:
    return [
        {"id": id_, "part": first + i, "start": start, "end": end, "vector": vector}
        for i, ((start, end), vector) in enumerate(zip(parts.spans.tolist(), parts.vectors, strict=True))
    ]


def _reject(row: Row, detail: str) -> Row:
    return {
        "source": row["source"],
        "uri": row["uri"],
        "stage": "embed",
        "reason": "unreadable-image",
        "detail": detail,
    }
