"""Documents (HTML, PDF, docx, epub): their text, read by child processes, so that no parser can harm the run.

A child reads many documents. One that dies or exceeds a limit costs its document alone, as a reject; the document is
tried once more by a fresh child if others were read before it, so that the outcome depends on nothing else.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from gendata.ingest.formats import child
from gendata.ingest.formats.extract import DOCX, EPUB, HTML, PDF
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

TYPES: Mapping[str, str] = {
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": "application/xhtml+xml",
    ".pdf": PDF,
    ".docx": DOCX,
    ".epub": EPUB,
}
"""File name extension to the media type that it promises."""

_DOCUMENTS = 1000
"""Documents after which a child is replaced, so that what a parser leaks does not add up."""

_WALL = 10
"""Seconds of the clock per second of processor time that a child may take: the machine may be busy."""


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """The text of a document; ``meta`` has its title, author, pages, encoding and extractor, where known.

    Raises:
        UnitError: as ``extract.extract``; ``document-timeout``, ``document-too-large`` (in memory) or
            ``document-crashed``.
    """
    suffix = split_suffix(uri.encode())[1]
    found = _answer(data, suffix, params)
    if "reason" in found:
        raise UnitError(found["reason"], found["detail"])
    meta = found["meta"] | ({} if found["media_type"] == TYPES[suffix] else {"extension": suffix})
    return Item(
        modality="text",
        uri=uri,
        media_type=found["media_type"],
        text=found["text"],
        file_sha256=content_id(data),
        meta=meta,
    )


class _Child:
    """A child process and how many documents it has read."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self.documents = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", f"from {child.__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Arrow's own allocator reserves a gigabyte at once, which the limit counts as used
            env={**os.environ, "PYTHONPATH": path, "ARROW_DEFAULT_MEMORY_POOL": "system"},
            process_group=0,  # Ctrl-C reaches the parent alone, whose end closes the pipe
        )

    def ask(self, data: bytes, suffix: str, params: IngestParams) -> dict[str, Any]:
        """The answer. Raises UnitError where the child gives none; it is dead then."""
        self.documents += 1
        late = threading.Event()
        timer = threading.Timer(_WALL * params.document_seconds, self._stop, [late])
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                _pipe(self._process.stdin).write(child.request(params, suffix, data) + data)
                _pipe(self._process.stdin).flush()
            line = _pipe(self._process.stdout).readline()
        finally:
            timer.cancel()
        if not line.endswith(b"\n"):
            error = self._death(params, late=late.is_set())
            self.close()
            raise error
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _stop(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _death(self, params: IngestParams, *, late: bool) -> UnitError:
        status = self._process.wait()
        if late or status == -signal.SIGXCPU:
            return UnitError("document-timeout", f"ingest.document_seconds is {params.document_seconds}")
        if status == child.OUT_OF_MEMORY:
            return UnitError("document-too-large", f"ingest.document_memory is {params.document_memory} bytes")
        return UnitError("document-crashed", f"its parser ended with status {status}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        _pipe(self._process.stdout).close()
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._process.stdin).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


_idle: list[_Child] = []  # each is used by one thread at a time


@atexit.register
def close() -> None:
    """End the children that wait for documents."""
    while _idle:
        _idle.pop().close()


def _answer(data: bytes, suffix: str, params: IngestParams) -> dict[str, Any]:
    try:
        used = _idle.pop()
    except IndexError:
        return _ask(_Child(), data, suffix, params)
    try:
        return _ask(used, data, suffix, params)
    except UnitError as error:
        if error.reason == "document-timeout":  # processor time is of this document alone
            raise
    return _ask(_Child(), data, suffix, params)


def _ask(reader: _Child, data: bytes, suffix: str, params: IngestParams) -> dict[str, Any]:
    answer = reader.ask(data, suffix, params)
    if reader.documents < _DOCUMENTS:
        _idle.append(reader)
    else:
        reader.close()
    return answer
