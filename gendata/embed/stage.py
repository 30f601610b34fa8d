"""The work of stage embed: blocks of kept rows in, rows of VECTOR_SCHEMA out."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gendata import files
from gendata.brought import REJECTED, Brought
from gendata.embed import EmbedParams
from gendata.embed.cached import CachedImages, CachedTexts, Tick, proportional
from gendata.embed.decode import UnreadableImageError
from gendata.embed.image import load_image_encoder
from gendata.embed.samples import Samples, of_images, of_texts
from gendata.engine import Progress
from gendata.items import REJECT_SCHEMA, VECTOR_SCHEMA, content_id
from gendata.originals import COLUMNS as CONTENT
from gendata.originals import Originals

BLOCK_ROWS, BLOCK_BYTES = 4096, 32 << 20
"""Rows that are in memory at a time, whichever comes first: enough to fill the encoders' batches."""

COLUMNS = (*CONTENT, "modality", "text")

Row = dict[str, Any]

Known = Mapping[str, list[Row]]
"""By id, the rows of VECTOR_SCHEMA that tables bring for an item: for an image of it, for a text of its passages."""


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
        self._image_samples, self._text_samples = Samples[bytes]("image"), Samples[str]("text")
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

    def embed(self, rows: list[Row], tick: Tick, known: Known | None = None) -> tuple[list[Row], list[Row]]:
        """Rows of VECTOR_SCHEMA and of REJECT_SCHEMA for a block of kept rows; what is ``known`` is not computed."""
        known = known or {}
        work = gather(rows, known, self._params)
        advance = proportional(tick, len(rows), len(work.images) + len(work.texts))
        pictures = Images(work.images, self._content)
        images, new_images = self.images().vectors(pictures, advance) if pictures else ({}, set())
        texts, new_texts = self.texts().parts(work.texts, advance) if work.texts else ({}, set())
        vectors, rejects = [], []
        for row in rows:
            own = known.get(row["id"], [])
            self._remember(row, own)
            image = images.get(row["image_key"])
            if isinstance(image, UnreadableImageError):
                rejects.append(_reject(row, str(image)))
            elif image is not None:
                own = [{"id": row["id"], "part": 0, "start": None, "end": None, "vector": image}]
            vectors += own
            if row["text_key"]:
                first = 1 if row["modality"] == "image" else 0
                own = [*own, *(passages := _passages(row["id"], first, texts[row["text_key"]]))]
                vectors += passages
            self._count(row, own)
            if row["text_key"] in new_texts or row["image_key"] in new_images:
                self.fresh += 1
            elif row["text_key"] or row["image_key"]:
                self.cached += 1
        self.counts["items"] += len(rows)
        self.counts["unreadable"] += len(rejects)
        return vectors, rejects

    def _count(self, row: Row, vectors: list[Row]) -> None:
        """Take in what an item was given."""
        images = sum(vector["start"] is None for vector in vectors)
        passages = len(vectors) - images
        self.counts["images"] += images
        self.counts["passages"] += passages
        self.counts["image without"] += row["modality"] == "image" and not images
        self.counts["text without"] += bool(_words(row)) and not passages

    def _remember(self, row: Row, own: list[Row]) -> None:
        """Note vectors that were brought for an item, so that they can be compared with the models'."""
        kind = "image" if row["modality"] == "image" else "text"
        self.counts[f"{kind} brought"] += bool(own)
        for found in own:
            if kind == "image":
                size = row["size"] if row.get("size") is not None else len(row["data"] or b"")
                seen = size if self._params.image.compute else 0
                self._image_samples.add(row["id"], seen, lambda: self._content(row), found["vector"])
            else:
                text = row["text"][found["start"] : found["end"]]
                self._text_samples.add(row["id"], len(text), partial(str, text), found["vector"])

    def check_brought(self) -> None:
        """Raises GendataError where vectors that were brought are not those of the model, if it may be run."""
        images, texts, params = self._image_samples, self._text_samples, self._params
        if images.dim is not None and params.image.compute:
            seeing = self.images().encoder
            images.compare(params.image.model, seeing.dim, list(of_images(seeing, images.contents)))
        if texts.dim is not None and params.text.compute:
            reading = self.texts().encoder
            texts.compare(params.text.model, reading.dim, list(of_texts(reading, texts.contents)))

    def summary(self) -> dict[str, Any]:
        """Counts, and the encoders in use: the same for the same data on the same machine."""
        found: dict[str, Any] = {k: self.counts[k] for k in ("items", "passages", "images", "unreadable")}
        kinds = (
            ("text", self._params.text, self._texts, self._text_samples.dim),
            ("image", self._params.image, self._images, self._image_samples.dim),
        )
        for kind, params, used, dim in kinds:
            if used is not None:
                e = used.encoder
                found[kind] = {"model": e.name, "dim": e.dim, "dtype": e.dtype, "device": e.device}
            elif dim:
                found[kind] = {"model": params.model, "dim": dim}
            if params.tables or not params.compute:
                for count in ("brought", "without"):
                    found.setdefault(count, {})[kind] = self.counts[f"{kind} {count}"]
        return found


def run(
    ingested: Path,
    decisions: Path,
    sources: list[str],
    out: Path,
    params: EmbedParams,
    cache: Path,
    brought: tuple[Path | None, ...] = (),
) -> dict[str, Any]:
    """See ``gendata.embed.embed``."""
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
                tables = [Brought(folder, source, items.name) for folder in brought]
                files.write_table(path, _shard(items, decided, tables, embedder, progress, rejects), VECTOR_SCHEMA)
            for folder in filter(None, brought):
                rejects += files.read_table(folder / source / REJECTED).to_pylist()
            files.write_table(work / source / REJECTED, rejects, REJECT_SCHEMA)
        embedder.check_brought()
    sys.stderr.write(f"embedded {embedder.fresh:,} new items, {embedder.cached:,} from cache\n")
    return embedder.summary()


def _shard(
    items: Path,
    decided: Path,
    tables: list[Brought],
    embedder: Embedder,
    progress: Progress,
    rejects: list[Row],
) -> Iterator[dict[str, Any]]:
    for block in _blocks(row for b in files.kept_batches(items, decided, COLUMNS) for row in b.to_pylist()):
        before = progress.done
        known = {row["id"]: rows for row in block for table in tables if (rows := table.of(row["id"]))}
        vectors, failed = embedder.embed(block, progress.add, known)
        progress.add(before + len(block) - progress.done)
        rejects += failed
        yield from vectors
    for table in tables:
        table.end()


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


def gather(rows: list[Row], known: Known, params: EmbedParams) -> Work:
    """What is to be encoded; sets ``text_key`` and ``image_key`` (or None) in each row.

    Contents whose vectors are ``known`` are not, and none of a kind without its ``compute``.
    """
    work = Work(rows, {}, {})
    for row in rows:
        text, there, is_known = row["text"], row.get("size") is not None, row["id"] in known
        is_image = row["modality"] == "image"
        read = _words(row) and params.text.compute and (is_image or not is_known)
        row["text_key"] = content_id(text) if read else None
        seen = is_image and (there or row["data"] is not None) and params.image.compute and not is_known
        row["image_key"] = (row["id"] if there else content_id(row["data"])) if seen else None
        if row["text_key"]:
            work.texts[row["text_key"]] = text
        if row["image_key"]:
            work.images[row["image_key"]] = row
    return work


def _words(row: Row) -> bool:
    """Whether the item has a text that is more than white space."""
    return bool(row["text"]) and not row["text"].isspace()


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
