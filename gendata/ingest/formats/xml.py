"""XML as a flat stream of events: no tree, no entities, and nothing is fetched."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from xml.parsers import expat

from gendata.ingest.reader import UnitError

_CHUNK = 64 << 10


class Event(NamedTuple):
    """``kind`` is start, end or text; ``name`` of an element, without its namespace; ``value`` of a text."""

    kind: str
    name: str = ""
    attributes: Mapping[str, str] = {}
    value: str = ""


def events(data: bytes) -> Iterator[Event]:
    """The elements and texts of a document in their order; in bounded memory, at any depth.

    Raises:
        UnitError: ``xml-entities`` where a document declares any (a few bytes may stand for gigabytes), or
            ``corrupt-document``.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    found: list[Event] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append(Event("start", _local(name), {_local(k): v for k, v in attributes.items()}))

    def declared(*_: object) -> None:
        raise UnitError("xml-entities", "an XML part declares entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: found.append(Event("end", _local(name)))
    parser.CharacterDataHandler = lambda text: found.append(Event("text", value=text))
    parser.EntityDeclHandler = declared
    try:
        for at in range(0, len(data), _CHUNK):
            parser.Parse(data[at : at + _CHUNK], False)
            yield from found
            found.clear()
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise UnitError("corrupt-document", f"XML: {error}") from None
    yield from found


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
