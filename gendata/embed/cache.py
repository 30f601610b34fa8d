"""Vectors that were computed before, by content: so that a run embeds only what is new.

One SQLite file per encoder and passage length lies in a folder such as ``.gendata/cache/embed``: writes are atomic,
a kill loses at most the last batch, and a lookup needs no index in memory. Each row carries a
checksum; a broken row is computed again, a broken file is started afresh. Vectors are kept as
float32, so results are the same bytes with or without the cache.

It does not grow without limit: after a run that finished, rows that it did not use are dropped once
they outnumber those that it used, and of each kind of encoder the last ``KEEP`` are kept. So runs over other contents
need a folder of their own.
"""

import shutil
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gendata.embed.encoder import Vectors
from gendata.errors import StoreError

KEEP = 2
"""Encoders of one kind (text, image) whose vectors are kept: going back to the last one costs nothing."""

LOOKUP = 500
"""Keys per SELECT."""

WAIT_S = 60.0
"""How long another process may hold the file."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS parts (
    id BLOB NOT NULL, first INTEGER NOT NULL, total INTEGER NOT NULL, data BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (id, first)
);
CREATE TEMP TABLE used (id BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Parts(NamedTuple):
    """The first ``len(spans)`` of the ``total`` parts of a content."""

    spans: npt.NDArray[np.int64]
    """Shape (n, 2): start and end, -1 where a part has none."""
    vectors: Vectors
    """Shape (n, dim)."""
    total: int


class VectorCache:
    """The cache of one encoder; ``kind`` and ``key`` name its folder below ``root``."""

    def __init__(self, kind: str, key: str, dim: int, root: Path) -> None:
        self._root = root
        self._kind, self._dim = kind, dim
        self._folder = self._root / f"{kind}-{key}"
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except (OSError, sqlite3.OperationalError) as error:  # locked, disk full, not writable: not the file's fault
            raise StoreError(f"{self._folder}: {error}") from error
        except sqlite3.DatabaseError:
            shutil.rmtree(self._folder)
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.touch()  # the order in which other encoders are dropped
        db = sqlite3.connect(self._folder / "vectors.sqlite", timeout=WAIT_S)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(SCHEMA)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def get(self, keys: Sequence[str]) -> dict[str, Parts]:
        """What is there of each key (hex digests); absent and broken ones are left out."""
        found: dict[str, Parts] = {}
        try:
            for start in range(0, len(keys), LOOKUP):
                some = [bytes.fromhex(key) for key in keys[start : start + LOOKUP]]
                with self._db:
                    self._db.executemany("INSERT OR IGNORE INTO used VALUES (?)", ((key,) for key in some))
                found.update(self._select(some))
        except sqlite3.OperationalError as error:
            raise StoreError(f"{self._folder}: {error}") from error
        except sqlite3.DatabaseError:
            self._db.close()
            shutil.rmtree(self._folder)
            self._db = self._connect()
            return {}
        return found

    def _select(self, keys: list[bytes]) -> Iterator[tuple[str, Parts]]:
        marks = ",".join("?" * len(keys))
        rows = self._db.execute(
            f"SELECT id, first, total, data, crc FROM parts WHERE id IN ({marks}) ORDER BY id, first", keys
        )
        runs: dict[bytes, list[Parts]] = {}
        for key, first, total, data, crc in rows:
            run = runs.setdefault(key, [])
            if first == sum(len(p.spans) for p in run) and crc == _checksum(key, first, total, data):
                run.append(self._unpack(data, total))
        for key, run in runs.items():
            if run:
                spans, vectors = np.concatenate([p.spans for p in run]), np.concatenate([p.vectors for p in run])
                yield key.hex(), Parts(spans, vectors, run[0].total)

    def _unpack(self, data: bytes, total: int) -> Parts:
        n = len(data) // (16 + 4 * self._dim)
        spans = np.frombuffer(data, "<i8", 2 * n).reshape(n, 2)
        return Parts(spans, np.frombuffer(data, "<f4", offset=16 * n).reshape(n, self._dim), total)

    def put(self, runs: Sequence[tuple[str, int, Parts]]) -> None:
        """Adds runs of parts, each (key, index of its first part, the parts), in one transaction."""
        rows = []
        for key, first, parts in runs:
            data = parts.spans.astype("<i8").tobytes() + parts.vectors.astype("<f4").tobytes()
            raw = bytes.fromhex(key)
            rows.append((raw, first, parts.total, data, _checksum(raw, first, parts.total, data)))
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?)", rows)
                self._db.executemany("INSERT OR IGNORE INTO used VALUES (?)", ((row[0],) for row in rows))
        except sqlite3.Error as error:
            raise StoreError(f"{self._folder}: {error}; the folder can be deleted") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """After a run that finished, drops what the cache need not keep."""
        try:
            if error is None:
                self._drop_unused()
        except sqlite3.Error as cause:
            raise StoreError(f"{self._folder}: {cause}; the folder can be deleted") from cause
        finally:
            self._db.close()

    def _drop_unused(self) -> None:
        (total,) = self._db.execute("SELECT count(*) FROM parts").fetchone()
        (used,) = self._db.execute("SELECT count(*) FROM parts WHERE id IN (SELECT id FROM used)").fetchone()
        if total > 2 * used:
            with self._db:
                self._db.execute("DELETE FROM parts WHERE id NOT IN (SELECT id FROM used)")
            self._db.execute("VACUUM")
        folders = sorted(self._root.glob(f"{self._kind}-*"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
        for folder in folders[KEEP:]:
            shutil.rmtree(folder, ignore_errors=True)


def _checksum(key: bytes, first: int, total: int, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(b"%b %d %d" % (key, first, total)))
