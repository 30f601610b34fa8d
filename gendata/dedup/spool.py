"""Sketches too large for memory: arrays joined into one mapped file."""

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt


class Spool:
    """One flat file of one dtype."""

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._file = path.open("wb")

    def add(self, elements: npt.NDArray[np.generic]) -> None:
        """Add elements."""
        elements.astype(self._dtype, copy=False).tofile(self._file)

    def mapped(self) -> npt.NDArray[np.generic]:
        """All elements (one axis), read from disk as they are touched. What is written to them stays in memory.

        Loops are compiled for arrays that may be written to; for those that may not they would be once more.
        """
        self._file.close()
        if self._path.stat().st_size == 0:
            return np.empty(0, self._dtype)  # an empty file cannot be mapped
        return np.memmap(self._path, self._dtype, mode="c")

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
