"""Lines of bounded length."""

from typing import BinaryIO

from gendata.ingest.reader import UnitError


class Lines:
    """Lines of bounded length; a longer one raises UnitError, and the next call goes on after it."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._limit = file, limit

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> bytes:
        first = self._file.tell() == 0
        line = self._file.readline(self._limit + 1)
        if not line:
            raise StopIteration
        if len(line) > self._limit:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(self._limit)
            raise UnitError("too-large", f"more than {self._limit} bytes; see ingest.max_record_bytes")
        return line.removeprefix(b"\xef\xbb\xbf") if first else line  # a byte order mark is no content of a table
