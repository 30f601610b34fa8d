"""The hashes of files that were read before, known by what the file system says of them."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from gendata.ingest.reader import Entry
from gendata.items import encode_uri

Stamp = tuple[int, int, int, int]
"""Size, mtime, ctime (in ns) and inode."""


def stamp_of(stat: os.stat_result) -> Stamp:
    """Of a file."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


@dataclass(slots=True)
class Known:
    """The hashes of files by their stamps, in little memory: by base, and by uri a text of both."""

    _facts: dict[str, dict[str, str]] = field(default_factory=dict)

    def get(self, entry: Entry, stamp: Stamp) -> str | None:
        """The sha256 of a file whose stamp is still this one."""
        fact, seen = self._facts.get(_base(entry), {}).get(entry.uri, ""), _prefix(stamp)
        return fact[len(seen) :] if fact.startswith(seen) else None

    def add(self, entry: Entry, stamp: Stamp, sha256: str) -> None:
        """One more."""
        self._facts.setdefault(_base(entry), {})[entry.uri] = _prefix(stamp) + sha256

    @classmethod
    def load(cls, path: Path) -> "Known":
        """What is remembered, nothing if the file is absent or not exactly what was written."""
        try:
            digest, _, body = path.read_bytes().partition(b"\n")
        except OSError:
            return cls()
        return cls(json.loads(body)) if _checksum(body) == digest else cls()

    def save(self, path: Path) -> None:
        """In place of what is there."""
        path.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps(self._facts, separators=(",", ":")).encode()
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(_checksum(body) + b"\n" + body)
        part.replace(path)


def _base(entry: Entry) -> str:
    return encode_uri(entry.base or b"")


def _prefix(stamp: Stamp) -> str:
    return "{} {} {} {} ".format(*stamp)


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"scan cache, format 2\n" + body).hexdigest().encode()
