"""Tables in columns, read in processes of their own: four kilobytes may unpack to gigabytes, and a parser may crash.

A process is handed one open file after another. It answers with a line of JSON, the names of the columns, and where
rows are wanted with a stream of Arrow and another line: why the file cannot be read on, if so. It decodes while the
rows before are made into items.
"""

import atexit
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, TypeVar

import pyarrow as pa

from gendata.apart import CrashedError, Limits, Watched, answering, bound, pipe, start
from gendata.ingest.reader import UnitError
from gendata.ingest.records import columnar
from gendata.ingest.settings import IngestParams

_SECONDS = 60
"""Of processor time for the next megabyte of rows: a thousand times what it takes."""

_DYING = 5
"""Seconds in which a process ends that wrote half of a batch."""

_REQUEST = 4096
"""Bytes of a request at most."""

T = TypeVar("T")


def names(file: BinaryIO, suffix: str, params: IngestParams) -> list[str]:
    """The names of the columns. Leaves the position of the file undefined.

    Raises:
        UnitError: ``corrupt-file``, ``table-too-large`` (in memory), ``table-timeout`` or ``table-crashed``.
    """
    (found,) = _tried(file, params, lambda child, there, limits: iter([child.names(there, suffix, limits)]))
    return found


def batches(file: BinaryIO, suffix: str, params: IngestParams) -> Iterator[pa.RecordBatch]:
    """The rows, about a megabyte at a time. Leaves the position undefined and raises UnitError as ``names``."""
    return _tried(file, params, lambda child, there, limits: child.batches(there, suffix, limits))


def _tried(
    file: BinaryIO, params: IngestParams, call: Callable[["_Child", BinaryIO, Limits], Iterator[T]]
) -> Iterator[T]:
    """What ``call`` gives.

    Where it kills a process that read others before, a fresh one goes on: how far a file can be read depends on
    nothing else.
    """
    limits = Limits(_SECONDS, params.table_memory)
    given = 0
    with _on_disk(file) as there:
        try:
            child = _idle.pop()
        except IndexError:
            child = _Child()
        while True:
            used = child.files > 0
            try:
                for number, value in enumerate(call(child, there, limits)):
                    if number == given:
                        given += 1
                        yield value
                return
            except CrashedError as error:
                if error.cause == "timeout" or not used:
                    raise _reject(error, params) from None
            finally:
                child.leave()
            child = _Child()


def _reject(error: CrashedError, params: IngestParams) -> UnitError:
    reason, detail = {
        "timeout": ("table-timeout", f"more than {_SECONDS} s for its next rows"),
        "memory": ("table-too-large", f"ingest.table_memory is {params.table_memory} bytes"),
        "crash": ("table-crashed", str(error)),
    }[error.cause]
    return UnitError(reason, detail)


@contextlib.contextmanager
def _on_disk(file: BinaryIO) -> Iterator[BinaryIO]:
    """What can be handed to a process."""
    try:
        file.fileno()
    except OSError:
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            yield copy
    else:
        yield file


class _Child:
    """A process, and how many files it has had."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair()
        with theirs:
            self._process = start(f"from {__name__} import serve; serve()", theirs.fileno())
        self._watched = Watched(self._process)
        self.files, self._at_rest = 0, True

    def names(self, file: BinaryIO, suffix: str, limits: Limits, *, rows: bool = False) -> list[str]:
        """The names of the columns. Raises UnitError and CrashedError."""
        self.files, self._at_rest = self.files + 1, False
        request = json.dumps([suffix, rows, limits.seconds, limits.memory]).encode()
        with contextlib.suppress(BrokenPipeError):
            socket.send_fds(self._requests, [request], [file.fileno()])
        return list(self._told(limits, rests=not rows)["names"])

    def batches(self, file: BinaryIO, suffix: str, limits: Limits) -> Iterator[pa.RecordBatch]:
        """The rows. Raises UnitError and CrashedError."""
        self.names(file, suffix, limits, rows=True)
        stream = self._waited(limits, lambda: pa.ipc.open_stream(pipe(self._process.stdout)))
        while (batch := self._waited(limits, lambda: next(stream, None))) is not None:
            yield batch
        self._told(limits)

    def _waited(self, limits: Limits, read: Callable[[], T]) -> T:
        try:
            with self._watched.at_most(limits):
                return read()
        except (pa.ArrowException, OSError) as error:  # cut short, or nothing that can be read here
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_DYING)
                raise self._watched.death(limits) from None
            raise UnitError("corrupt-file", str(error)) from None

    def _told(self, limits: Limits, *, rests: bool = True) -> dict[str, Any]:
        line = self._waited(limits, pipe(self._process.stdout).readline)
        if not line.endswith(b"\n"):
            raise self._watched.death(limits)
        told: dict[str, Any] = json.loads(line)
        if "raised" in told:
            raise RuntimeError(told["raised"])
        self._at_rest = rests or "reason" in told
        if "reason" in told:
            raise UnitError(told["reason"], told["detail"])
        return told

    def leave(self) -> None:
        """Keep the process for other files, or end it where it is not done with this one."""
        if self._at_rest:
            _idle.append(self)
        else:
            self.close()

    def close(self) -> None:
        """End the process."""
        self._requests.close()
        self._watched.close()


_idle: list[_Child] = []  # each is used by one thread at a time


@atexit.register
def _close() -> None:
    while _idle:
        _idle.pop().close()


def serve() -> None:
    """What the process does, until the other end of the socket that is its stdin is closed."""
    pa.set_cpu_count(2)  # the stack of a thread is memory, and results must not depend on how many cores there are
    pa.set_io_thread_count(2)
    with answering() as answers, socket.socket(fileno=os.dup(0)) as requests:
        while True:
            request, files, _, _ = socket.recv_fds(requests, _REQUEST, 1)
            if not request:
                return
            suffix, rows, *limits = json.loads(request)
            with os.fdopen(files[0], "rb") as file:
                _serve(file, suffix, answers, Limits(*limits), rows=rows)


def _serve(file: BinaryIO, suffix: str, answers: IO[bytes], limits: Limits, *, rows: bool) -> None:
    told: dict[str, Any] = {}
    bound(limits)
    try:
        with _mapped(file) if suffix != ".parquet" else file as there:
            there.seek(0)
            schema, batches = columnar.opened(there, suffix)
            _say(answers, {"names": schema.names})
            if not rows:
                return
            with pa.ipc.new_stream(answers, schema) as stream:
                for batch in columnar.merged(batches):
                    stream.write_batch(batch)
                    answers.flush()
                    bound(limits)
    except UnitError as error:
        told = {"reason": error.reason, "detail": error.detail}
    except MemoryError:
        raise
    except pa.ArrowException as error:  # nested more deeply than a stream may be
        told = {"reason": "corrupt-file", "detail": str(error)}
    except Exception:  # noqa: BLE001 (a bug: the parent raises it)
        told = {"raised": traceback.format_exc()}
    _say(answers, told)


def _mapped(file: BinaryIO) -> Any:
    """A file of Arrow's, of which a batch may be larger than the memory: what is only read is not counted."""
    try:
        return pa.memory_map(f"/dev/fd/{file.fileno()}")
    except OSError:  # it is empty, or there is no such folder
        return file


def _say(answers: IO[bytes], told: dict[str, Any]) -> None:
    answers.write(json.dumps(told).encode() + b"\n")
    answers.flush()
