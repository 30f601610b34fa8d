"""Documents made by hand, byte by byte, for tests of what reads them."""

import io
import zipfile

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

PAGE = """<!DOCTYPE html><html><head><title>On bees</title><meta name="author" content="Ann Otator">
<script>var hidden = 1</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/b">Blog</a></li></ul></nav>
<article><h1>Bees</h1><p>Bees are flying insects, known for their r&ocirc;les in pollination &amp; honey.</p></article>
<footer>All rights reserved. Cookie policy.</footer></body></html>"""


def packed(parts, **options):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **options) as file:
        for name, content in parts.items():
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def pdf(*pages, encrypted=False, title="A title"):
    """A PDF with one line of text per page."""
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        f"<</Title({title})/Author(Ann)>>",
    ]
    for i, text in enumerate(pages):
        content = f"BT /F 24 Tf 72 700 Td ({text}) Tj ET" if text else ""
        resources = f"/MediaBox[0 0 612 792]/Contents {6 + 2 * i} 0 R/Resources<</Font<</F 3 0 R>>>>"
        objects += [
            f"<</Type/Page/Parent 2 0 R{resources}>>",
            f"<</Length {len(content)}>>stream\n{content}\nendstream",
        ]
    if encrypted:
        objects.append(f"<</Filter/Standard/V 1/R 2/O<{'41' * 32}>/U<{'42' * 32}>/P -4>>")
    out, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    more = f"/Encrypt {len(objects)} 0 R/ID[<00><00>]" if encrypted else ""
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    return (
        out + f"trailer<</Size {len(objects) + 1}/Root 1 0 R/Info 4 0 R{more}>>\nstartxref\n{out.index('xref')}\n%%EOF"
    ).encode()


def paragraph(text):
    return f'<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def docx(body, prolog=""):
    relation = f'<Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="word/document.xml"/>'
    core = (
        '<c xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A &amp; B</dc:title><dc:creator>Ann</dc:creator></c>'
    )
    return packed(
        {
            "[Content_Types].xml": "<Types/>",
            "_rels/.rels": f"<Relationships>{relation}</Relationships>",
            "word/document.xml": f"{prolog}<w:document {WORD}><w:body>{body}</w:body></w:document>",
            "docProps/core.xml": core,
        }
    )


def epub(chapters, order=None, **more):
    """An epub with a page per chapter, in the order given (of numbers)."""
    items = "".join(f'<item id="c{i}" href="c%20{i}.xhtml" media-type="x"/>' for i in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{i}"/>' for i in order or range(len(chapters)))
    named = '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">A book</dc:title>'
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/p.opf"/></rootfiles></container>',
            "OPS/p.opf": f"<p><metadata>{named}</metadata><manifest>{items}</manifest><spine>{spine}</spine></p>",
            **{f"OPS/c {i}.xhtml": f"<html><body><p>{text}</p></body></html>" for i, text in enumerate(chapters)},
            **more,
        }
    )
