"""What an ingest of a source has finished: the next one goes on from there, and reads again only what has changed.

Every shard that is finished is linked into ``.gendata/cache/ingest/<source>`` with a record of what it was made of:
the place in the listing where it begins, a digest of the entries that it covers, and the place where it ends. Shards
end where the content says so (``files.ShardWriter``), so one that begins at the same place over the same entries would
have the same bytes. Nothing here is the truth: what is missing or damaged is read again.
"""

import hashlib
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

import gendata
from gendata import files
from gendata.engine import drop_unused
from gendata.ingest.beside import companions
from gendata.ingest.blocks import Block, Place
from gendata.ingest.listing import find
from gendata.ingest.reader import LINKED, Entry
from gendata.items import Item, Reject
from gendata.rowgroups import Sizes

CACHE = files.WORK / "cache" / "ingest"

_TRANSIENT = ("changed", "vanished", "unreadable")
"""Reasons that do not follow from what the listing says: the next run may read what this one could not."""

_ORDER = "order.json"
"""Which shards, in their order, are the last output, and where that is."""

_NAME = re.compile(r"[\w.-]+")

_SIZE = 16
"""Bytes of the digest of an entry."""


@dataclass(slots=True)
class Part:
    """One shard of items, or none, and the rejects among them; ``end`` is null at the end of the source."""

    end: Place | None = None
    bytes: int = 0
    modalities: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    transient: bool = False
    shard: Path | None = None
    rejected: Path | None = None

    def add(self, other: "Part") -> None:
        """The counts of another one, too."""
        self.bytes += other.bytes
        self.modalities += other.modalities
        self.reasons += other.reasons

    def reject(self, reject: Reject) -> None:
        """One more reject."""
        self.reasons[reject.reason] += 1
        self.transient |= reject.reason in _TRANSIENT or reject.detail.partition(":")[0] in _TRANSIENT

    def item(self, item: Item) -> None:
        """One more item."""
        self.modalities[item.modality] += 1
        self.bytes += (item.size or len(item.data or b"")) + len((item.text or "").encode())

    def block(self, block: Block) -> None:
        """More items."""
        self.modalities.update(block.rows["modality"].to_pylist())
        self.bytes += sum(pc.sum(pc.binary_length(block.rows[name])).as_py() or 0 for name in ("data", "text"))


class Journal:
    """The finished parts of one source, by the place where they begin."""

    def __init__(self, name: str, settings: object, entries: Sequence[Entry], out: Path) -> None:
        """``settings``, a value of JSON, is all else that outcomes depend on; ``share`` finds shards in ``out``."""
        self._folder, self._out = CACHE / name, out
        self._entries, self._digests = entries, bytearray()  # _SIZE bytes for each
        common = _configuration([name, settings])
        for at, entry in enumerate(entries):
            self._digests += _digest(entry, *companions(entries, at, entry))
            if entry.role == LINKED:
                common.update(_digest(entry))  # any row may name it
        self._common = common.digest()
        self._used: set[Path] = set()
        self._shards: list[str] = []
        self._new: list[tuple[Path, int]] = []

    def placed(
        self, outcomes: Generator[Block | Item | Reject, None, None], start: Place
    ) -> Generator[tuple[Place, Block | Item | Reject], None, None]:
        """Each outcome after ``start`` with the place behind it; they begin with those of its entry."""
        entry, done = start.entry, 0
        with closing(outcomes):
            for outcome in outcomes:
                if isinstance(outcome, Block):
                    places = self._places(outcome, entry, done)
                    entry, done = places[-1].tolist()
                    before = int(((places[:, 0] == start.entry) & (places[:, 1] <= start.done)).sum())
                    if before < len(outcome):
                        yield Place(entry, done), replace(outcome, places=places).cut(before)[1]
                    continue
                of = self._entry(outcome.uri, entry)
                entry, done = (of, 1) if of > entry else (entry, done + 1)
                if entry > start.entry or done > start.done:
                    yield Place(entry, done), outcome

    def _entry(self, uri: str, last: int) -> int:
        """The one that a unit belongs to, and the last one if it is unknown."""
        at = find(self._entries, uri.partition("#")[0].partition("!")[0], last)
        return last if at is None or self._entries[at].role == LINKED else at

    def _places(self, block: Block, entry: int, done: int) -> Sizes:
        """Those behind its rows (rows, 2), which follow the first ``done`` outcomes of ``entry``."""
        if block.uri is None:
            entries = []
            for uri in block.rows["uri"].to_pylist():
                entry = self._entry(uri, entry)
                entries.append(entry)
            return np.stack((np.array(entries, np.int64), np.ones(len(block), np.int64)), axis=1)
        of = self._entry(block.uri, entry)
        counts = np.arange(1, len(block) + 1) + (0 if of > entry else done)
        return np.stack((np.full(len(block), max(of, entry)), counts), axis=1)

    def find(self, start: Place) -> Part | None:
        """What begins at this place, if it was finished and nothing of it has changed."""
        path = self._path(start)
        record = _read(path.with_suffix(".json"))
        if record is None or record["covers"] != self._covered(start, record["entries"], record["end"] is None):
            return None
        part = Part(
            None if record["end"] is None else Place(start.entry + record["end"][0], record["end"][1]),
            record["bytes"],
            Counter(record["modalities"]),
            Counter(record["reasons"]),
            shard=path.with_suffix(".parquet") if record["shard"] else None,
            rejected=path.with_suffix(".rejected.parquet") if record["rejected"] else None,
        )
        for file, digest in ((part.shard, record["shard"]), (part.rejected, record["rejected"])):
            if file is not None and (not file.is_file() or files.sha256(file) != digest):
                return None
        self._use(path.with_suffix(".json"), part)
        return part

    def rejects(self, start: Place) -> Path:
        """Where the rejects of a new part are to be written, before it is kept."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._path(start).with_suffix(".rejected.parquet")

    def keep(self, start: Place, part: Part) -> None:
        """Record a finished part; its shard is linked."""
        if part.transient:  # of a large file, what was read before may not have been what was scanned either
            for path, end in self._new:
                if end == start.entry:
                    path.unlink(missing_ok=True)
        if part.transient or not self._digests:
            self._shards += [""] if part.shard is not None else []
            return
        path = self._path(start)
        self._folder.mkdir(parents=True, exist_ok=True)
        if part.shard is not None:
            files.link(part.shard, path.with_suffix(".parquet"))
            part.shard = path.with_suffix(".parquet")
        count = len(self._digests) // _SIZE - start.entry if part.end is None else part.end.entry - start.entry + 1
        record = {
            "entries": count,
            "covers": self._covered(start, count, part.end is None),
            "end": part.end and (part.end.entry - start.entry, part.end.done),
            "bytes": part.bytes,
            "modalities": part.modalities,
            "reasons": part.reasons,
            "shard": part.shard and files.sha256(part.shard),
            "rejected": part.rejected and files.sha256(part.rejected),
        }
        _write(path.with_suffix(".json"), record)
        self._new += [] if part.end is None else [(path.with_suffix(".json"), part.end.entry)]
        self._use(path.with_suffix(".json"), part)

    def close(self) -> None:
        """The source is finished: drop the parts that it has no more."""
        if self._folder.is_dir():
            _write(self._folder / _ORDER, {"out": self._out.as_posix(), "shards": self._shards})
            drop_unused(self._folder, self._used | {self._folder / _ORDER})

    def _use(self, record: Path, part: Part) -> None:
        self._used |= {path for path in (record, part.shard, part.rejected) if path is not None}
        self._shards += [] if part.shard is None else [part.shard.name]

    def _path(self, start: Place) -> Path:
        """Of a part, without an ending."""
        digest = self._covered(start, 1, last=False)
        return self._folder / hashlib.sha256(f"{digest} {start.done}".encode()).hexdigest()[:32]

    def _covered(self, start: Place, count: int, last: bool) -> str | None:
        """A digest of ``count`` entries from this place on; null if that is not all where they are the last."""
        end = (start.entry + count) * _SIZE
        if end > len(self._digests) or (last and end < len(self._digests)):
            return None
        return hashlib.sha256(self._common + self._digests[start.entry * _SIZE : end]).hexdigest()


def share(root: Path) -> None:
    """Make shards that lie twice on the disk one file again: DVC, where it keeps an output, writes it anew.

    What is not the same after all is found by its digest, and read again.
    """
    for path in (root / CACHE).glob(f"*/{_ORDER}"):
        order = _read(path) or {"out": "", "shards": []}
        for index, name in enumerate(order["shards"]):
            shard, output = path.parent / name, files.shard_path(root / order["out"] / "items", index)
            if not (shard.is_file() and output.is_file()):
                continue
            mine, theirs = shard.stat(), output.stat()
            if mine.st_ino != theirs.st_ino and mine.st_size == theirs.st_size:
                files.link(output, shard)


def drop_all_but(names: Iterable[str]) -> None:
    """Remove what is kept of sources that there are no more."""
    kept = set(names)
    for folder in CACHE.iterdir() if CACHE.is_dir() else ():
        if folder.name not in kept:
            shutil.rmtree(folder)


def _digest(entry: Entry, *beside: Entry | None) -> bytes:
    """Of all that what is read from an entry depends on, and of nothing else."""
    values = [[e.uri, e.role, e.size, e.sha256, e.problem] if e else None for e in (entry, *beside)]
    return hashlib.blake2b(json.dumps(values).encode(), digest_size=_SIZE).digest()


def _configuration(settings: object) -> "hashlib._Hash":
    """A digest of what all entries depend on: settings, our code and all libraries."""
    digest = hashlib.sha256(f"ingest journal, format 1\n{sys.version}\n".encode())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    package = Path(gendata.__file__).parent
    for path in sorted([*package.glob("*.py"), *(package / "ingest").rglob("*.py")]):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    digest.update("\n".join(_installed()).encode())
    return digest


def _installed() -> Iterator[str]:
    """The libraries that gendata names, with their versions."""
    for name in sorted({match[0] for line in metadata.requires("gendata") or () if (match := _NAME.match(line))}):
        with suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"


def _read(path: Path) -> dict[str, Any] | None:
    """A record; null if it is absent or not exactly what was written."""
    try:
        digest, _, body = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    if _checksum(body) != digest:
        return None
    record: dict[str, Any] = json.loads(body)
    return record


def _write(path: Path, record: Mapping[str, Any]) -> None:
    body = json.dumps(record, sort_keys=True).encode()
    part = path.with_suffix(".part")
    part.write_bytes(_checksum(body) + b"\n" + body)
    part.replace(path)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"ingest journal, format 1\n" + body).hexdigest().encode()
