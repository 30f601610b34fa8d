"""The hashes of files that were read before, known by what the file system says of them: 48 bytes a file."""

import hashlib
import os
from pathlib import Path

import numpy as np

from gendata.ingest.reader import Entry

Stamp = tuple[int, int, int, int]
"""Size, mtime, ctime (in ns) and inode."""

_KEY, _HASH = 16, 32
"""Bytes of a digest of a file's place and stamp, and of a sha256."""


def stamp_of(stat: os.stat_result) -> Stamp:
    """Of a file."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


class Known:
    """The sha256 of files by their places and stamps: what was written, sorted by keys, and what came after."""

    def __init__(self, written: bytes = b"") -> None:
        count = len(written) // (_KEY + _HASH)
        self._keys = np.frombuffer(written, f"S{_KEY}", count)
        self._hashes = np.frombuffer(written, f"V{_HASH}", count, offset=count * _KEY)
        self._used = np.zeros(count, np.bool_)
        self._new = bytearray(), bytearray()

    def get(self, entry: Entry, stamp: Stamp) -> str | None:
        """The sha256 of a file whose stamp is still this one; it is one of those to save."""
        key = _key(entry, stamp)
        at = int(self._keys.searchsorted(key))
        if at == len(self._keys) or self._keys[at] != key.rstrip(b"\0"):  # as numpy has it
            return None
        self._used[at] = True
        sha256: str = self._hashes[at].tobytes().hex()
        return sha256

    def add(self, entry: Entry, stamp: Stamp, sha256: str) -> None:
        """One more."""
        keys, hashes = self._new
        keys += _key(entry, stamp)
        hashes += bytes.fromhex(sha256)

    @classmethod
    def load(cls, path: Path) -> "Known":
        """What is remembered, nothing if the file is absent or not exactly what was written."""
        try:
            digest, _, body = path.read_bytes().partition(b"\n")
        except OSError:
            return cls()
        return cls(body if _checksum(body) == digest else b"")

    def save(self, path: Path) -> None:
        """In place of what is there, those that were got and added; if they are not what is there."""
        keys, hashes = self._new
        if self._used.all() and not keys:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        all_keys = np.concatenate((self._keys[self._used], np.frombuffer(keys, self._keys.dtype)))
        all_hashes = np.concatenate((self._hashes[self._used], np.frombuffer(hashes, self._hashes.dtype)))
        order = all_keys.argsort()
        body = all_keys[order].tobytes(), all_hashes[order].tobytes()
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        with part.open("wb") as file:
            for piece in (_checksum(*body), b"\n", *body):
                file.write(piece)
        part.replace(path)


def _key(entry: Entry, stamp: Stamp) -> bytes:
    place = b"%b\0%b\0" % (entry.base or b"", entry.uri.encode())
    return hashlib.blake2b(place + b"%d %d %d %d" % stamp, digest_size=_KEY).digest()


def _checksum(*body: bytes) -> bytes:
    digest = hashlib.sha256(b"scan cache, format 3\n")
    for piece in body:
        digest.update(piece)
    return digest.hexdigest().encode()
