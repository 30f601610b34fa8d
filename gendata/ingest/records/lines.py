"""Lines of bounded length, and parts of a file that consist of lines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from gendata.ingest.reader import UnitError


class Lines:
    """Lines of bounded length; a longer one raises UnitError, and the next call goes on after it."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._limit, self._first = file, limit, file.tell() == 0

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, False
        line = self._file.readline(self._limit + 1)
        if not line:
            raise StopIteration
        if len(line) > self._limit:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(self._limit)
            raise UnitError("too-large", f"more than {self._limit} bytes; see ingest.max_record_bytes")
        return line.removeprefix(b"\xef\xbb\xbf") if first else line  # a byte order mark is no content of a table


_PART_BYTES, _END = 1 << 20, ord("\n")


@dataclass(frozen=True, slots=True)
class Part:
    """Some lines of a file: the byte at which they start, how many bytes they are, and their numbers."""

    start: int
    size: int
    numbers: range


def parts(file: BinaryIO) -> Iterator[Part]:
    """All lines of a file, about a megabyte in each part; found as they are asked for. An empty file is one part."""
    start, number = file.seek(0), 1
    while (block := file.read(_PART_BYTES)) or number == 1:
        ends = np.count_nonzero(np.frombuffer(block, np.uint8) == _END)  # many times faster than bytes.count
        lines = int(ends) + (not block.endswith(b"\n"))
        while block and not block.endswith(b"\n"):  # on to the end of the last line
            block = file.readline(_PART_BYTES)
        yield Part(start, file.tell() - start, range(number, number + lines))
        start, number = file.tell(), number + lines
