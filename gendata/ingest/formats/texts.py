"""Plain texts: kept exactly as they are."""

from collections.abc import Mapping

from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

TYPES: Mapping[str, str] = {".txt": "text/plain", ".md": "text/markdown"}
"""File name extension to the media type."""


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """A text and nothing else. Raises UnitError as ``decode``."""
    media_type = TYPES[split_suffix(uri.encode())[1]]
    return Item(
        modality="text", uri=uri, media_type=media_type, text=decode(data, params), file_sha256=content_id(data)
    )


def decode(data: bytes, params: IngestParams) -> str:
    """Bytes to text. Raises UnitError: ``invalid-utf8``, ``empty`` or ``too-large``."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise UnitError("invalid-utf8", f"byte {error.start}: {error.reason}") from None
    if not text.strip():
        raise UnitError("empty", f"{len(data)} bytes, no text")
    if len(text) > params.max_text_chars:
        raise UnitError("too-large", f"{len(text)} characters; ingest.max_text_chars is {params.max_text_chars}")
    return text
