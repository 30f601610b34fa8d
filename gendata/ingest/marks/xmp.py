"""What an XMP packet says of how a picture came to be: values by the local names of its properties.

Source: ISO 16684-1; IPTC Photo Metadata Standard 2025.1 (Digital Source Type, and the properties of AI). A packet needs
no document type; one that has it is refused, and so no entity is ever expanded.
"""

from xml.parsers import expat

from gendata.ingest.marks.blocks import MAX_TEXT
from gendata.ingest.marks.source_types import in_bytes

SOURCE_TYPE = "DigitalSourceType"
NAMES = frozenset(
    {SOURCE_TYPE, "CreatorTool", "Credit", "UserComment", "description"}
    | {"AISystemUsed", "AISystemVersionUsed", "AIPromptInformation"}
)
"""Local names of the properties that are read. Prefixes and namespaces vary between those who write them."""


class _RefusedError(Exception):
    """The packet declares a document type."""


def read(packet: bytes) -> dict[str, str]:
    """Property to its first value. Of what cannot be parsed: what came before, and the source type by its address."""
    packet = packet[:MAX_TEXT].strip(b"\0 \r\n\t")
    found = _Properties()
    try:
        found.parser.Parse(packet, True)
    except (expat.ExpatError, _RefusedError, ValueError, LookupError):  # the last two: an encoding that is none
        if named := in_bytes(packet):
            found.values.setdefault(SOURCE_TYPE, named[0])
    return found.values


class _Properties:
    """Collects attributes and the text below elements that have one of NAMES."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self._open = 0  # elements that are open, from a property on
        self._name, self._text = "", list[str]()

    def _refuse(self, *_: object) -> None:
        raise _RefusedError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            self._put(key, value)
        if self._open:
            self._open += 1
        elif _local(name) in NAMES:
            self._open, self._name, self._text = 1, name, []
            self._put(name, attributes.get("http://www.w3.org/1999/02/22-rdf-syntax-ns# resource", ""))

    def _end(self, _: str) -> None:
        if self._open == 1:
            self._put(self._name, "".join(self._text))
        self._open = max(self._open - 1, 0)

    def _data(self, text: str) -> None:
        if self._open:
            self._text.append(text)

    def _put(self, name: str, value: str) -> None:
        if _local(name) in NAMES and value.strip():
            self.values.setdefault(_local(name), value.strip())


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
