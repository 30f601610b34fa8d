"""Plain texts, also source code: kept exactly as they are, but for the encoding (see ``encodings``)."""

from collections.abc import Mapping
from typing import Any

from gendata.ingest.formats import encodings
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

TYPES: Mapping[str, str] = {
    ".txt": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".rst": "text/x-rst",
    ".adoc": "text/asciidoc",
    ".org": "text/x-org",
    ".tex": "text/x-tex",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".c": "text/x-c",
    ".h": "text/x-c",
    ".cc": "text/x-c++",
    ".cpp": "text/x-c++",
    ".hpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".css": "text/css",
    ".go": "text/x-go",
    ".hs": "text/x-haskell",
    ".ini": "text/x-ini",
    ".java": "text/x-java",
    ".jl": "text/x-julia",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".kt": "text/x-kotlin",
    ".lua": "text/x-lua",
    ".php": "text/x-php",
    ".pl": "text/x-perl",
    ".ps1": "text/x-powershell",
    ".py": "text/x-python",
    ".pyi": "text/x-python",
    ".r": "text/x-r",
    ".rb": "text/x-ruby",
    ".rs": "text/x-rust",
    ".scala": "text/x-scala",
    ".sh": "text/x-sh",
    ".sql": "text/x-sql",
    ".swift": "text/x-swift",
    ".toml": "application/toml",
    ".ts": "text/x-typescript",
    ".tsx": "text/x-typescript",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""File name extension to the media type: of plain text no other sign of it is in the bytes. Nothing is parsed."""


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """A text and nothing else; ``meta.encoding`` where that is not UTF-8. Raises UnitError as ``decode``."""
    text, encoding = decode(data, params)
    meta: dict[str, Any] = {} if encoding is None else {"encoding": encoding}
    return Item(
        modality="text",
        uri=uri,
        media_type=TYPES[split_suffix(uri.encode())[1]],
        text=text,
        file_sha256=content_id(data),
        meta=meta,
    )


def decode(data: bytes, params: IngestParams) -> encodings.Decoded:
    """Bytes to text. Raises UnitError: ``invalid-utf8``, ``unknown-encoding``, ``empty`` or ``too-large``."""
    found = encodings.decode(data)
    if not found.text.strip():
        raise UnitError("empty", f"{len(data)} bytes, no text")
    if len(found.text) > params.max_text_chars:
        detail = f"{len(found.text)} characters; ingest.max_text_chars is {params.max_text_chars}"
        raise UnitError("too-large", detail)
    return found
