import json
import random
import time
from pathlib import Path

import pytest
from documents import PAGE, docx, epub, packed, paragraph, pdf

from gendata.ingest import IngestParams, SourceParams
from gendata.ingest.formats import documents
from gendata.ingest.reader import UnitError
from gendata.items import content_id

FOLDER = SourceParams("folder", "real", "data")
P = IngestParams()
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.fixture
def put(project):
    (project / "data").mkdir()

    def _put(**contents):
        for name, content in contents.items():
            stem, _, suffix = name.rpartition("_")
            (project / "data" / f"{stem}.{suffix}").write_bytes(content)

    return _put


@pytest.fixture(autouse=True)
def no_child_is_left():
    """Children are started by the test that is about them."""
    yield
    documents._apart.close()


def reason(data, suffix, **limits):
    with pytest.raises(UnitError) as caught:
        documents.read(f"a{suffix}", data, IngestParams(**limits))
    return caught.value.reason


def test_every_format_is_read(put, run):
    contents = {
        "page_html": PAGE.encode(),
        "paper_pdf": pdf("The first page", "The second page"),
        "letter_docx": docx(paragraph("Dear &amp; near") + paragraph("Yours")),
        "book_epub": epub(["One", "Two", "Three"], order=[1, 0, 2]),
    }
    put(**contents)
    result = run(FOLDER)
    assert not result.rejects
    texts = {row["uri"]: row["text"] for row in result.items}
    assert texts["page.html"] == "Bees\n\nBees are flying insects, known for their rôles in pollination & honey."
    assert texts["paper.pdf"] == "The first page\n\nThe second page"
    assert texts["letter.docx"] == "Dear & near\nYours"
    assert texts["book.epub"] == "Two\n\nOne\n\nThree"
    types = {row["uri"]: row["media_type"] for row in result.items}
    assert types == {
        "page.html": "text/html",
        "paper.pdf": "application/pdf",
        "letter.docx": DOCX,
        "book.epub": "application/epub+zip",
    }
    for name, content in contents.items():
        row = result.item(name.replace("_", "."))
        assert (row["modality"], row["id"], row["data"]) == ("text", content_id(row["text"]), None)
        assert row["file_sha256"] == content_id(content)


def test_meta_says_title_author_pages_and_extractor():
    found = {
        suffix: documents.read(f"a{suffix}", data, P).meta
        for suffix, data in {
            ".html": PAGE.encode(),
            ".pdf": pdf("x"),
            ".docx": docx(paragraph("x")),
            ".epub": epub("x"),
        }.items()
    }
    by = {suffix: meta.pop("extractor").split()[0] for suffix, meta in found.items() if "extractor" in meta}
    assert by == {".html": "resiliparse", ".pdf": "pypdfium2", ".epub": "resiliparse"}
    assert found == {
        ".html": {"title": "On bees", "author": "Ann Otator"},
        ".pdf": {"title": "A title", "author": "Ann", "pages": 1},
        ".docx": {"title": "A & B", "author": "Ann"},
        ".epub": {"title": "A book"},
    }  # fmt: skip


def test_docx_has_tables_breaks_and_no_deleted_or_doubled_text():
    rows = [["a", "b"], ["", "c"]]
    cells = ["".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in row) for row in rows]
    body = (
        paragraph("before")
        + f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"
        + "<w:p><w:r><w:t>one</w:t><w:br/><w:t>two</w:t><w:tab/><w:t>three</w:t></w:r></w:p>"
        + "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:moveFrom><w:t>away</w:t></w:moveFrom></w:p>"
        + "<w:p><x xmlns='m'><w:t>box</w:t></x><Fallback xmlns='m'><w:t>box</w:t></Fallback></w:p>"
    )
    text = documents.read("a.docx", docx(body), P).text
    assert text == "before\na\tb\n\tc\none\ntwo\tthree\n\nbox"


@pytest.mark.parametrize("encoding", ["iso-8859-2", "windows-1251", "shift_jis", "utf-16"])
def test_the_encoding_of_a_page(encoding):
    text = {"iso-8859-2": "zażółć gęślą jaźń", "windows-1251": "Съешь ещё этих булок", "shift_jis": "日本語の文"}
    words = text.get(encoding, "naïve 日本")
    page = f'<html><head><meta charset="{encoding}"></head><body><p>{words}</p></body></html>'.encode(encoding)
    item = documents.read("a.htm", page, P)
    assert item.text == words
    assert item.meta["encoding"]


def test_a_short_page_and_one_without_a_main_part_are_kept():
    for page, text in {"<p>x": "x", "only text": "only text", "<nav>Home</nav>": "Home"}.items():
        assert documents.read("a.html", page.encode(), P).text == text


def test_what_a_file_is_its_bytes_say():
    item = documents.read("a.docx", pdf("really a PDF"), P)
    assert (item.media_type, item.meta["extension"]) == ("application/pdf", ".docx")


ENTITIES = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


def test_rejects_have_reasons():
    locked = bytearray(packed({"[Content_Types].xml": "x", "_rels/.rels": "x"}))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(mark) + at] |= 1
    cases = [
        (b"", ".pdf", "empty"),
        (pdf(""), ".pdf", "no-text"),
        (pdf("x", encrypted=True), ".pdf", "encrypted"),
        (pdf("x")[:200], ".pdf", "corrupt-document"),
        (b"text", ".pdf", "not-a-document"),
        (b"<html><script>x()</script></html>", ".html", "no-text"),
        (b"<p>\xff\xfe\x00\x01\x02" + bytes(range(256)), ".html", "unknown-encoding"),
        (docx(""), ".docx", "no-text"),
        (docx(paragraph("x"))[:-30], ".docx", "corrupt-document"),
        (docx("<w:p>"), ".docx", "corrupt-document"),
        (bytes(locked), ".docx", "encrypted"),
        (packed({"a": "b"}), ".docx", "not-a-document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), ".docx", "encrypted"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ".docx", "not-a-document"),
        (docx(paragraph("&b;"), ENTITIES), ".docx", "xml-entities"),
        (docx(paragraph("&a;"), EXTERNAL), ".docx", "xml-entities"),
        (epub(["x"], order=[0, 7]), ".epub", "corrupt-document"),
        (epub(["x"], **{"META-INF/rights.xml": "<x/>"}), ".epub", "encrypted"),
        (epub(["x"], **{"OPS/p.opf": "<p><itemref idref='../../../etc/passwd'/></p>"}), ".epub", "corrupt-document"),
    ]  # fmt: skip
    assert [(s, reason(data, s)) for data, s, _ in cases] == [(s, expected) for _, s, expected in cases]


def test_bombs_are_found_before_they_are_unpacked():
    heavy = docx(paragraph("x" * 3_000_000))
    assert reason(heavy, ".docx") == "zip-bomb"  # by its ratio
    assert reason(heavy, ".docx", max_document_ratio=10_000, max_document_bytes=1_000_000) == "zip-bomb"
    assert len(documents.read("a.docx", heavy, IngestParams(max_document_ratio=10_000)).text) == 3_000_000
    assert reason(heavy, ".docx", max_document_ratio=10_000, max_text_chars=100) == "too-large"


def test_a_part_that_is_larger_than_it_says_is_not_unpacked_further():
    data = bytearray(docx(paragraph("x" * 100_000)))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        found = data.index(b"word/document.xml", 0 if mark[2] == 3 else data.index(b"PK\x01\x02"))
        begin = data.rindex(mark, 0, found)
        data[begin + at : begin + at + 4] = (50).to_bytes(4, "little")
    assert reason(bytes(data), ".docx") == "corrupt-document"


def test_deep_nesting_costs_no_stack():
    deep = docx("<a>" * 100_000 + paragraph("x") + "</a>" * 100_000)
    assert documents.read("a.docx", deep, IngestParams(max_document_ratio=10_000)).text == "x"


def test_what_takes_too_long_is_stopped_and_the_next_is_read():
    begin = time.monotonic()
    assert reason(b"<div>" * 100_000 + b"x", ".html", document_seconds=1) == "document-timeout"
    assert time.monotonic() - begin < 30
    assert documents.read("a.html", b"next", P).text == "next"


def test_what_takes_too_much_memory_is_stopped_and_the_next_is_read():
    assert reason(b"<p>a<b>b</b>" * 3_000_000, ".html", document_memory=256 << 20) == "document-too-large"
    assert documents.read("a.html", b"next", P).text == "next"


def test_a_child_that_dies_costs_no_document_but_the_one_that_kills_it():
    documents.read("a.html", b"first", P)
    (child,) = documents._apart._idle
    child.watched.process.kill()  # as the kernel does when memory is short
    assert documents.read("a.html", b"second", P).text == "second"


def test_many_documents_are_read_by_few_processes_in_order(put, run):
    put(**{f"{i:03}_html": f"<p>page {i}</p>".encode() for i in range(60)}, bad_pdf=b"%PDF-1.4")
    result = run(FOLDER)
    assert [row["text"] for row in result.items] == [f"page {i}" for i in range(60)]
    assert result.reasons() == {"bad.pdf": "corrupt-document"}
    assert 1 <= len(documents._apart._idle) <= 2  # run has two workers
    assert result.items == run(FOLDER, IngestParams(workers=1)).items


def test_a_text_beside_an_image_is_its_caption_and_a_page_is_none(put, run, image):
    put(a_png=image(), a_txt=b"caption", a_html=b"<p>page", a_py=b"code = 1\n")
    result = run(FOLDER)
    assert {row["uri"]: row["text"] for row in result.items} == {
        "a.png": "caption",
        "a.html": "page",
        "a.py": "code = 1\n",
    }
    assert result.item("a.py")["media_type"] == "text/x-python"


def test_limits_are_checked():
    for name in ("max_document_bytes", "max_document_ratio", "document_seconds", "document_memory"):
        with pytest.raises(ValueError, match=name):
            IngestParams(**{name: 0})


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 40))):
        at = rng.randrange(len(data))
        if rng.random() < 0.2:
            del data[at : at + rng.choice((1, 10, 100))]
        else:
            data[at : at + 1] = rng.randbytes(rng.choice((1, 1, 4)))
        data = data or bytearray(b"x")
    return bytes(data)


def fuzz(seconds, seed):
    rng = random.Random(seed)
    seeds = {
        ".html": PAGE.encode(),
        ".pdf": pdf("one", "two"),
        ".docx": docx(paragraph("one") + paragraph("two")),
        ".epub": epub(["one", "two"]),
    }
    end, outcomes, crashed = time.monotonic() + seconds, set(), []
    while time.monotonic() < end:
        for suffix, data in seeds.items():
            broken = mutated(rng, data)
            try:
                item = documents.read(f"a{suffix}", broken, IngestParams(document_seconds=10))
            except UnitError as error:
                outcomes.add(error.reason)
                if error.reason == "document-crashed":
                    crashed.append((suffix, broken))
            else:
                assert item.text.strip()
                json.dumps(item.row("s", "real", None)).encode()
                outcomes.add("read")
    assert not crashed
    return outcomes


def test_mutated_documents():
    assert {"read", "corrupt-document"} <= fuzz(2, seed=3)


@pytest.mark.soak
def test_mutated_documents_at_length():
    fuzz(600, seed=random.randrange(2**32))


def test_pages_about_the_same_text_give_the_same_bytes_again(put, run):
    put(a_html=PAGE.encode(), b_pdf=pdf("x"), c_docx=docx(paragraph("y")), d_epub=epub("z"))
    run(FOLDER)
    files = sorted(Path("artifacts/ingest/s").rglob("*.parquet"))
    first = [path.read_bytes() for path in files]
    documents._apart.close()
    run(FOLDER, IngestParams(workers=4))
    assert [path.read_bytes() for path in files] == first
