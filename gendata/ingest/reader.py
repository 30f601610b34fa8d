"""The seam between the stage and the kinds of sources: what a reader is given and gives.

A reader is a module (see ``sources.READERS``). ``listing`` says cheaply what there is, so that DVC sees a
change; ``read`` opens exactly what is listed. Malformed input is a Reject, never an exception.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gendata.ingest.settings import IngestParams, SourceParams
from gendata.items import Item, Reject, decode_uri

UNIT, CAPTION, SIDECAR, LINKED = "unit", "caption", "sidecar", "linked"
"""Roles of an entry: read as one or more items; the text beside an image or audio; the .json beside
one; what a table may point to. The last three are listed so that an edit is noticed, and are no
units themselves."""

PROBLEMS = {
    "symlink-outside": "the link points outside of the source",
    "symlink-broken": "the link points to nothing",
    "symlink-directory": "links to folders are not followed",
    "not-a-file": "a fifo, socket or device is never opened",
    "unreadable": "no permission, or the disk fails to read it",
    "unsupported-type": "no reader for this file type",
    "caption-orphan": "no image or audio of this name beside it",
    "vanished": "it was there when the source was scanned",
    "changed": "its content is not what was scanned; run again",
    "too-large": "more bytes than ingest.max_file_bytes",
    "path-outside": "the name is absolute, leads out of the archive, or names nothing",
    "link-in-archive": "links in archives are not followed",
    "duplicate-name": "a member of this name came before",
    "duplicate-key": "a sample of this key came before",
    "surplus-member": "the sample has a member of this kind already",
    "corrupt-metadata": "not as datasets writes it",
    "encrypted": "no password is known",
    "unsupported-compression": "only stored and deflated members of a zip are read",
    "nested-archive": "an archive in an archive is not opened",
    "not-found": "the server has no such file (404, 410)",
    "denied": "the server refuses to give it out",
    "incomplete": "the server ends it before the length that it states, each time",
    "redirected": "the server sends elsewhere without end, or from https to what is not encrypted",
    "content-encoded": "the server sends it packed (Content-Encoding), though asked not to",
    "remote-too-large": "more bytes than ingest.remote.max_file_bytes",
    "changed-meanwhile": "it changed while it was fetched; run again",
    "unusable-name": "no file of this name can be kept on disk",
    "truncated-archive": "it ends too early; what was before is read",
}
"""Why a file cannot be opened as a unit, in words: the detail of such a reject."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a listing: ``uri`` is a path relative to ``base``, an absolute folder.

    ``size`` and ``sha256`` are null until the scan has hashed the file, and stay null where there
    is a ``problem``. ``base`` is null where there is no file to hash, and once the listing is written;
    ``digest`` then gives size and sha256 of what is there instead, if the listing does not know them.
    """

    uri: str
    role: str = UNIT
    size: int | None = None
    sha256: str | None = None
    problem: str | None = None
    base: bytes | None = None
    digest: Callable[[IngestParams], tuple[int, str]] | None = None

    @property
    def path(self) -> Path:
        """The absolute path, where there is a base."""
        return Path(os.fsdecode((self.base or b"") + b"/" + decode_uri(self.uri)))


class Reader(Protocol):
    """One kind of source: a module with these names.

    It may also have ``blocks``, called as ``read``: the same outcomes, finished, with consecutive items of one entry
    together (see the module ``blocks``); ``shared``, called as ``read``: a value of JSON, all that units depend on
    beside what the listing says of them; and ``AT_ONCE``, true where only the end of reading tells whether it was what
    the listing says: then no part of it is kept for a later run.
    """

    KEYS: frozenset[str]
    """The keys of SourceParams that this kind uses beyond those of every kind; ``path`` is then required."""

    def listing(self, name: str, source: SourceParams, root: Path) -> Iterator[Entry]:
        """What the source consists of, in any order, without reading contents. Raises ParamsError."""

    def read(
        self, name: str, source: SourceParams, root: Path, entries: Sequence[Entry], params: IngestParams,
        since: str = "",
    ) -> Iterator[Item | Reject]:  # fmt: skip
        """Every unit of the entries, which are sorted by uri, in their order, as an Item or a Reject.

        With ``since``, the uri of an entry, units before it are not read; captions and the like still are.
        """


class UnitError(Exception):
    """A unit cannot be read: a reason code and a detail. Readers turn it into a Reject."""

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = PROBLEMS[reason] if detail is None else detail

    def at(self, uri: str) -> Reject:
        """As the Reject of a unit."""
        return Reject(uri, self.reason, one_line(self.detail))


def one_line(text: str, limit: int = 300) -> str:
    """A message as one printable line: no control characters, surrogates or memory addresses."""
    text = re.sub(r"( object)? at 0x[0-9a-fA-F]+", "", text[: 4 * limit])
    text = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} else c for c in text)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
