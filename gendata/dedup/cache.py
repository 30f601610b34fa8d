"""Sketches that were made before, by content: so that a run sketches only what is new.

A file per shard (``.npz``, whose parts carry checksums) lies in a folder such as ``.gendata/cache/dedup/text-<key>``,
named by a digest of the ids sketched; where shards end follows from the ids, so that new items change few. A file that
does not read is written anew. It is only a cache: decisions are the same without it.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gendata import engine
from gendata.dedup.exact import NearJob
from gendata.items import canonical_json

Arrays = Mapping[str, npt.NDArray[Any]]

_BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class SketchCache:
    """The cache in a folder; it remembers what was used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[Path] = set()

    def places(self, kind: str, key: str, jobs: Iterable[NearJob]) -> list[Path]:
        """The file of each job; ``key`` names all that sketches of this kind depend on beside contents."""
        folder = self._folder / f"{kind}-{key}"
        folder.mkdir(parents=True, exist_ok=True)
        found = [folder / f"{job.digest}.npz" for job in jobs]
        self._used.update(found)
        return found

    def drop_unused(self) -> None:
        """Remove what was not used since this was made."""
        engine.drop_unused(self._folder, self._used)


def key_of(facts: Any, code: Iterable[Path]) -> str:
    """A digest of facts (as JSON has them) and of code."""
    digest = hashlib.sha256(canonical_json(facts).encode())
    for path in sorted(code):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def is_whole(path: Path) -> bool:
    """Whether a file is there and reads."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except _BROKEN:
        return False


def save(path: Path, arrays: Arrays) -> None:
    """Write a file, beside and renamed. It need not outlive a power cut: its checksums tell."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        np.savez(file, allow_pickle=False, **dict(arrays))
    beside.replace(path)


def load(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a whole file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
