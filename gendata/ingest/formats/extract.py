"""The text of a document by its bytes; runs in a process of its own (see ``documents``), as parsers may crash."""

import contextlib
import importlib.metadata
import re
from typing import Any

from gendata.ingest.formats import encodings, packed
from gendata.ingest.reader import UnitError, one_line
from gendata.ingest.settings import IngestParams

HTML, PDF = "text/html", "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EPUB = "application/epub+zip"

Found = tuple[str, str, dict[str, Any]]
"""Text, media type, meta."""


def answer(data: bytes, suffix: str, params: dict[str, Any]) -> dict[str, Any]:
    """The text, media type and meta of a document, or the reason and detail of its reject."""
    try:
        text, media_type, meta = extract(data, suffix, IngestParams(**params))
    except UnitError as error:
        return {"reason": error.reason, "detail": error.detail}
    except RecursionError:
        return {"reason": "corrupt-document", "detail": "nested too deeply"}
    return {"text": text, "media_type": media_type, "meta": meta}


def extract(data: bytes, suffix: str, params: IngestParams) -> Found:
    """What a document says. What it is, its bytes say; HTML, which begins as it likes, its suffix.

    Raises:
        UnitError: ``empty``, ``not-a-document``, ``corrupt-document``, ``encrypted``, ``zip-bomb``,
            ``xml-entities``, ``no-text``, ``too-large``, or as ``encodings.decode``.
    """
    if not data:
        raise UnitError("empty", "0 bytes")
    text, media_type, meta = _read(data, suffix, params)
    text = _clean(text)
    if not text:
        raise UnitError("no-text", "pictures alone, perhaps" if media_type == PDF else "nothing that could be read")
    if len(text) > params.max_text_chars:
        raise UnitError("too-large", f"{len(text)} characters; ingest.max_text_chars is {params.max_text_chars}")
    return text, media_type, {key: one_line(v) if isinstance(v, str) else v for key, v in meta.items() if v}


def _read(data: bytes, suffix: str, params: IngestParams) -> Found:
    if b"%PDF-" in data[:1024]:
        text, meta = _pdf(data, params)
        return text, PDF, meta
    if data.startswith(b"PK\x03\x04"):
        parts = packed.Parts(data, params)
        if "META-INF/container.xml" in parts:
            text, meta = packed.epub(parts, lambda page: _html(page, main=False)[0])
            return text, EPUB, meta | _by("resiliparse")
        if "[Content_Types].xml" in parts and "_rels/.rels" in parts:
            text, meta = packed.docx(parts)
            return text, DOCX, meta
        raise UnitError("not-a-document", "a zip file, but neither docx nor epub")
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise UnitError("encrypted", "the document has a password")
        raise UnitError("not-a-document", "a file of Office before 2007")
    if suffix not in {".html", ".htm", ".xhtml"}:
        raise UnitError("not-a-document", "the bytes are neither PDF nor a zip file")
    text, meta = _html(data, main=True)
    return text, "application/xhtml+xml" if suffix == ".xhtml" else HTML, meta


_CHARSET = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)


def _html(data: bytes, *, main: bool) -> tuple[str, dict[str, Any]]:
    """The main text of a page without navigation and footers; all of it if not ``main``, or where there is no such."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLParserException, HTMLTree

    source, encoding = _decode_html(data)
    try:
        tree = HTMLTree.parse(source.replace("\0", ""))
    except HTMLParserException:  # any bytes are HTML
        raise MemoryError from None
    author = tree.document.query_selector("meta[name=author]") if tree.document else None
    meta = {"title": tree.title, "author": author.getattr("content") if author else None, "encoding": encoding}
    text = extract_plain_text(tree, main_content=True, alt_texts=False) if main else ""
    return text or extract_plain_text(tree, alt_texts=False), meta | _by("resiliparse")


def _decode_html(data: bytes) -> encodings.Decoded:
    """A page's source: as UTF-8 where it is that, then as it says itself, then as it looks."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    try:
        data.decode()
    except UnicodeDecodeError:
        declared = _CHARSET.search(data[:1024])
        name = map_encoding_to_html5(declared[1].decode(), fallback_utf8=False) if declared else None
        if name is not None:
            with contextlib.suppress(LookupError, UnicodeDecodeError):
                return encodings.Decoded(data.decode(name), name)
    return encodings.decode(data)


def _pdf(data: bytes, params: IngestParams) -> tuple[str, dict[str, Any]]:
    """The text of every page in the order in which it is drawn."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise UnitError("encrypted", "the document has a password") from None
        raise UnitError("corrupt-document", f"PDF: {error}") from None
    try:
        pages: list[str] = []
        left = params.max_text_chars
        for number in range(len(document)):
            pages.append(_pdf_page(document, number))
            left -= len(pages[-1])
            if left < 0:
                raise UnitError("too-large", f"ingest.max_text_chars is {params.max_text_chars}")
        found = document.get_metadata_dict()
        meta = {"title": found.get("Title"), "author": found.get("Author"), "pages": len(document)}
        return "\n\n".join(filter(None, pages)), meta | _by("pypdfium2")
    finally:
        document.close()


def _pdf_page(document: Any, number: int) -> str:
    import pypdfium2

    try:
        page = document[number]
        text: str = page.get_textpage().get_text_range()
    except pypdfium2.PdfiumError as error:
        raise UnitError("corrupt-document", f"PDF: page {number + 1}: {error}") from None
    page.close()  # closes its text page too
    return _HYPHEN.sub("", text).strip()


_HYPHEN = re.compile("[\x02\ufffe]\\s*")
"""What PDFium gives for a hyphen that parts a word at the end of a line."""


def _by(library: str) -> dict[str, str]:
    return {"extractor": f"{library} {importlib.metadata.version(library)}"}


_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def _clean(text: str) -> str:
    """Unix line breaks, no controls or half surrogates, no white space that ends a line, one empty line at most."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = re.sub(r"[ \t\xa0]+\n", "\n", _CONTROLS.sub("", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()
