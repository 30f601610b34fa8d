"""Which files are units and which belong to another: the rules of every source that consists of files.

Beside an image, ``stem.caption`` or else ``stem.txt`` is its caption (white space at both ends cut off) and no item of
its own; where both are there, the .txt is an ordinary text.
"""

from collections.abc import Collection, Sequence

from gendata.ingest import formats
from gendata.ingest.formats.texts import decode
from gendata.ingest.listing import find
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import CAPTION, SIDECAR, UNIT, Entry, UnitError
from gendata.ingest.settings import IngestParams
from gendata.items import decode_uri, encode_uri

_CAPTIONS = (b".caption", b".txt")  # the first that is there is the caption


def is_media(path: bytes) -> bool:
    """Whether a text beside a file of this name is its caption."""
    return split_suffix(path)[1] in formats.MEDIA


def captions(pictures: Collection[bytes], found: Collection[bytes]) -> dict[bytes, bytes]:
    """The caption file, one of ``found``, of each picture that has one."""
    beside = {p: [split_suffix(p)[0] + e for e in _CAPTIONS] for p in pictures}
    return {p: next(c for c in beside[p] if c in found) for p in pictures if any(c in found for c in beside[p])}


def sidecar_of(medium: bytes) -> bytes:
    """The file that may say what else is known of an image or audio."""
    return split_suffix(medium)[0] + b".json"


def companions(entries: Sequence[Entry], at: int, entry: Entry) -> tuple[Entry | None, Entry | None]:
    """Caption and sidecar of the entry at this place, if it is an image or audio that has them."""
    path = decode_uri(entry.uri)
    if entry.role != UNIT or not is_media(path) or not _has_namesakes(entries, at, entry.uri):
        return None, None

    def beside(name: bytes, role: str) -> Entry | None:
        other = find(entries, encode_uri(name), at)
        return entries[other] if other is not None and entries[other].role == role else None

    stem = split_suffix(path)[0]
    caption = next(filter(None, (beside(stem + ending, CAPTION) for ending in _CAPTIONS)), None)
    return caption, beside(sidecar_of(path), SIDECAR)


def _has_namesakes(entries: Sequence[Entry], at: int, uri: str) -> bool:
    """Whether other files differ in their ending alone. As the entries are sorted, one of them is next to it."""
    stem = uri[: uri.rindex(".") + 1]
    return any(entries[i].uri.startswith(stem) for i in (at - 1, at + 1) if 0 <= i < len(entries))


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
