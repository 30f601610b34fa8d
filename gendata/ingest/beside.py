"""Which files are units and which belong to another: the rules of every source that consists of files.

Beside an image, ``stem.caption`` or else ``stem.txt`` is its caption (white space at both ends cut off) and no item of
its own; where both are there, the .txt is an ordinary text.
"""

from collections.abc import Collection

from gendata.ingest import formats
from gendata.ingest.formats.texts import decode
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams

_CAPTIONS = (b".caption", b".txt")  # the first that is there is the caption


def is_media(path: bytes) -> bool:
    """Whether a text beside a file of this name is its caption."""
    return split_suffix(path)[1] in formats.MEDIA


def captions(pictures: Collection[bytes], found: Collection[bytes]) -> dict[bytes, bytes]:
    """The caption file, one of ``found``, of each picture that has one."""
    beside = {p: [split_suffix(p)[0] + e for e in _CAPTIONS] for p in pictures}
    return {p: next(c for c in beside[p] if c in found) for p in pictures if any(c in found for c in beside[p])}


def may_be_caption(path: bytes) -> bool:
    """Whether a picture of the same stem would make this its caption."""
    return path.endswith(_CAPTIONS)


def refused(path: bytes) -> str | None:
    """Why a file of this name is no unit, if it is none and is not a caption either."""
    if split_suffix(path)[1] in formats.SUFFIXES:
        return None
    return "caption-orphan" if path.endswith(_CAPTIONS[0]) else "unsupported-type"


def caption(data: bytes, params: IngestParams) -> str:
    """The text of a caption file. Raises UnitError as ``decode``."""
    return decode(data, params).text.strip()


def invalid(error: UnitError) -> UnitError:
    """Why a caption cannot be read, as the reject of the caption."""
    return UnitError("caption-invalid", f"{error.reason}: {error.detail}")
