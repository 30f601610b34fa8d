"""Documents (HTML, PDF, docx, epub): their text, read in processes of their own, so that no parser can harm the run."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gendata.apart import Apart, CrashedError, Limits
from gendata.ingest.formats.extract import DOCX, EPUB, HTML, PDF, answer
from gendata.ingest.paths import split_suffix
from gendata.ingest.reader import UnitError
from gendata.ingest.settings import IngestParams
from gendata.items import Item, content_id

TYPES: Mapping[str, str] = {
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": "application/xhtml+xml",
    ".pdf": PDF,
    ".docx": DOCX,
    ".epub": EPUB,
}
"""File name extension to the media type that it promises."""

_apart = Apart(answer)


def read(uri: str, data: bytes, params: IngestParams) -> Item:
    """The text of a document; ``meta`` has its title, author, pages, encoding and extractor, where known.

    Raises:
        UnitError: as ``extract.extract``; ``document-timeout``, ``document-too-large`` (in memory) or
            ``document-crashed``.
    """
    suffix = split_suffix(uri.encode())[1]
    found = _answer(data, suffix, params)
    if "reason" in found:
        raise UnitError(found["reason"], found["detail"])
    meta = found["meta"] | ({} if found["media_type"] == TYPES[suffix] else {"extension": suffix})
    return Item(
        modality="text",
        uri=uri,
        media_type=found["media_type"],
        text=found["text"],
        file_sha256=content_id(data),
        meta=meta,
    )


def _answer(data: bytes, suffix: str, params: IngestParams) -> dict[str, Any]:
    limits = Limits(params.document_seconds, params.document_memory)
    try:
        return dict(_apart(data, suffix, asdict(params), limits=limits))
    except CrashedError as error:
        reason, detail = {
            "timeout": ("document-timeout", f"ingest.document_seconds is {params.document_seconds}"),
            "memory": ("document-too-large", f"ingest.document_memory is {params.document_memory} bytes"),
            "crash": ("document-crashed", str(error)),
        }[error.cause]
        raise UnitError(reason, detail) from None
