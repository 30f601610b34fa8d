"""Digital source types: IPTC's words for how a picture came to be (https://cv.iptc.org/newscodes/digitalsourcetype/)."""

import re

AI_SOURCES = frozenset(
    {"trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia", "compositeSynthetic"}
    | {"trainedAlgorithmicData", "virtualRecording"}
)
"""Those that no camera took, or not all of it."""

_ADDRESS = re.compile(rb"digitalsourcetype/(" + "|".join(sorted(AI_SOURCES)).encode() + rb")")


def last_part(address: str) -> str:
    """The word itself, of which an address may be given."""
    return address.strip().rstrip("/").rpartition("/")[2]


def in_bytes(data: bytes | memoryview) -> list[str]:
    """Of AI_SOURCES those whose address stands in data that cannot be parsed, where words run into what follows."""
    return [name.decode() for name in dict.fromkeys(_ADDRESS.findall(data))]
