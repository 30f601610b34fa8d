"""The child process that reads documents: ``main``.

The parent (``gendata.ingest.formats.documents``) writes requests to stdin: a line of JSON (size, suffix, the limits),
then the bytes. Each is answered by a line of JSON on stdout. The kernel bounds memory, and processor time of each
document; when stdin closes, for whatever reason, the process ends.
"""

import dataclasses
import json
import os
import resource
import sys
from typing import IO, Any

from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams

OUT_OF_MEMORY = 3
"""Exit status."""


def answer(header: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The text, media type and meta of a document, or the reason and detail of its reject."""
    from gendata.ingest.formats.extract import extract

    params = IngestParams(**header["params"])
    try:
        text, media_type, meta = extract(data, header["suffix"], params)
    except UnitError as error:
        return {"reason": error.reason, "detail": error.detail}
    except RecursionError:
        return {"reason": "corrupt-document", "detail": "nested too deeply"}
    return {"text": text, "media_type": media_type, "meta": meta}


def request(params: IngestParams, suffix: str, data: bytes) -> bytes:
    """The first line of a request."""
    header = {"params": dataclasses.asdict(params), "suffix": suffix, "size": len(data)}
    return json.dumps(header).encode() + b"\n"


def limit(params: IngestParams) -> None:
    """Bound the memory of this process, and the processor time from here on; the parent is told by a signal."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + 1 + params.document_seconds
    for what, most in ((resource.RLIMIT_DATA, params.document_memory), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(what)
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def serve(source: IO[bytes], out: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    while line := source.readline():
        header = json.loads(line)
        limit(IngestParams(**header["params"]))
        data = source.read(header["size"])
        if len(data) < header["size"]:
            return
        out.write(json.dumps(answer(header, data)).encode() + b"\n")
        out.flush()


def main() -> None:
    """Serve stdin and stdout; whatever a library prints goes nowhere."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        try:
            serve(sys.stdin.buffer, out)
        except MemoryError:
            sys.exit(OUT_OF_MEMORY)
