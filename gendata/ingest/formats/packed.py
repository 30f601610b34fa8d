"""Documents that are zip files of XML: docx and epub. Limits are checked before anything is unpacked."""

import io
import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from gendata.ingest.formats.xml import Event, events
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError)
"""What zipfile raises on malformed bytes; only zipfile runs where it is caught."""


class Parts:
    """The parts of a document by name."""

    def __init__(self, data: bytes, params: IngestParams) -> None:
        """Raises UnitError: ``corrupt-document``, ``zip-bomb`` or ``encrypted``."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _BROKEN as error:
            raise UnitError("corrupt-document", f"zip: {error}") from None
        entries = self._zip.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > params.max_document_bytes:
            limit = f"ingest.max_document_bytes is {params.max_document_bytes}"
            raise UnitError("zip-bomb", f"{total} bytes when unpacked; {limit}")
        if total > params.max_document_ratio * len(data):
            limit = f"ingest.max_document_ratio is {params.max_document_ratio}"
            raise UnitError("zip-bomb", f"{total} bytes packed into {len(data)}; {limit}")
        if any(entry.flag_bits & 1 for entry in entries):
            raise UnitError("encrypted", "the zip file has a password")

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        """A part; at most as many bytes as its entry claims. Raises UnitError ``corrupt-document``."""
        if name not in self:
            raise UnitError("corrupt-document", f"the part {name} is missing")
        try:
            return self._zip.read(name)
        except _BROKEN as error:
            raise UnitError("corrupt-document", f"zip: {name}: {error}") from None

    def xml(self, name: str) -> Iterator[Event]:
        """The events of a part."""
        return events(self.read(name))


_UNSEEN = frozenset({"pPr", "rPr", "Fallback", "moveFrom"})
"""Properties, the copy of a drawing for old readers, and what was moved elsewhere while changes were tracked."""

_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "tc": "\0"}
"""What an element stands for. A NUL, which XML cannot have and ``extract`` takes out, is where a cell begins."""


def docx(parts: Parts) -> tuple[str, dict[str, Any]]:
    """The text of the body of a docx: a line per paragraph, cells of tables parted by tabs; deleted text is none.

    After ECMA-376, part 1, 17.3 and 17.4. Headers, footers, notes and comments are left out.
    """
    out: list[str] = []
    hidden, in_text = 0, False
    for kind, name, _, value in parts.xml(_main_part(parts)):
        if name in _UNSEEN:
            hidden += 1 if kind == "start" else -1
        elif hidden:
            continue
        elif kind == "text" and in_text:
            out.append(value)
        elif name == "t":
            in_text = kind == "start"
        elif kind == "start":
            out.append(_BREAKS.get(name, ""))
        elif name in {"p", "tr"}:
            out.append("\n")
        elif name == "tc":
            _end_cell(out)
    return "".join(out), _properties(parts, "docProps/core.xml")


def _end_cell(out: list[str]) -> None:
    """A tab in place of the line breaks at the end of a cell."""
    while out[-1] in {"", "\n"}:
        out.pop()
    out.append("\t")


def _main_part(parts: Parts) -> str:
    for kind, name, attributes, _ in parts.xml("_rels/.rels"):
        if kind == "start" and name == "Relationship" and attributes.get("Type", "").endswith("/officeDocument"):
            return attributes.get("Target", "").lstrip("/")
    raise UnitError("corrupt-document", "no part is the document")


def epub(parts: Parts, page: Callable[[bytes], str]) -> tuple[str, dict[str, Any]]:
    """The text of an epub: its pages in reading order (EPUB 3.3, 5.7), each as ``page`` has it."""
    if "META-INF/rights.xml" in parts:
        raise UnitError("encrypted", "digital rights management")
    package = next(
        (
            attributes.get("full-path", "")
            for kind, name, attributes, _ in parts.xml("META-INF/container.xml")
            if kind == "start" and name == "rootfile"
        ),
        "",
    )
    targets: dict[str, str] = {}
    spine: list[str] = []
    for kind, name, attributes, _ in parts.xml(package):
        if kind == "start" and name == "item":
            targets[attributes.get("id", "")] = attributes.get("href", "")
        elif kind == "start" and name == "itemref":
            spine.append(attributes.get("idref", ""))
    folder = posixpath.dirname(package)
    pages = [posixpath.normpath(posixpath.join(folder, unquote(targets.get(ref, ref)))) for ref in spine]
    text = "\n\n".join(filter(None, (page(parts.read(name)) for name in dict.fromkeys(pages))))
    return text, _properties(parts, package)


def _properties(parts: Parts, name: str) -> dict[str, Any]:
    """Title and author by their names in Dublin Core, of which the first counts."""
    found: dict[str, str] = {}
    wanted = {"title": "title", "creator": "author"}
    key = None
    for event in parts.xml(name) if name in parts else ():
        if event.kind != "text":
            key = wanted.get(event.name) if event.kind == "start" else None
        elif key is not None:
            found.setdefault(key, event.value)
    return found
