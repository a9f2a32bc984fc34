"""Writes documents into the folder given as argument, for what reads them (openwebui/extractor.py): the smallest of each kind that
says "The word is <name of the kind>", and what must be refused.

They are made, so they don't prove that what other programs write is read: docs/figures.md tells of documents that others made.
"""

import os
import sqlite3
import sys
import zipfile
import zlib

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def write(name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def package(name, parts, mimetype=None):
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr("mimetype", mimetype, zipfile.ZIP_STORED)
        for part, data in parts.items():
            archive.writestr(part, data)


def pdf(name, pages, trailer="", image="null"):
    """A PDF whose pages show these texts, or nothing, or what is drawn by bytes, with the image as I."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", None, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", image]
    kids = []
    for text in pages:
        content = text.decode() if isinstance(text, bytes) else f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> /XObject << /I 4 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    data, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(data)
    data += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    write(name, data + f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n")


OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def ooxml(name, main, kind, parts, relations=()):
    """An Office document whose main part is `main`; `relations` are pairs of a type and a target that it has."""
    content = f"application/vnd.openxmlformats-officedocument.{kind}.main+xml"
    lines = [f'<Relationship Id="r{n}" Type="{OFFICE}/{type}" Target="{target}"/>' for n, (type, target) in enumerate(relations)]
    at, file = main.split("/")
    package(
        name,
        {
            "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Default Extension="xml" ContentType="application/xml"/><Override PartName="/{main}" ContentType="{content}"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="m" Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>',
            f"{at}/_rels/{file}.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{"".join(lines)}</Relationships>',
            **parts,
        },
    )


def docx(name, text):
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'
    ooxml(name, "word/document.xml", "wordprocessingml.document", {"word/document.xml": body})


def xlsx(name, rows):
    sheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = "".join("<row>" + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in row) + "</row>" for row in rows)
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{sheet}" xmlns:r="{OFFICE}"><sheets><sheet name="One" sheetId="1" r:id="r0"/></sheets></workbook>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{sheet}"><sheetData>{cells}</sheetData></worksheet>',
    }
    ooxml(name, "xl/workbook.xml", "spreadsheetml.sheet", parts, [("worksheet", "worksheets/sheet1.xml")])


def said(kind):
    return f"The word is {kind}"


docx("a.docx", said("docx"))
xlsx("a.xlsx", [["Key", "Value"], [said("xlsx"), "1"]])
drawing = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
ooxml(
    "a.pptx",
    "ppt/presentation.xml",
    "presentationml.presentation",
    {
        "ppt/presentation.xml": f'<p:presentation {drawing} xmlns:r="{OFFICE}"><p:sldIdLst><p:sldId id="256" r:id="r0"/></p:sldIdLst></p:presentation>',
        "ppt/slides/slide1.xml": f"<p:sld {drawing}><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>{said('pptx')}</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
    },
    [("slide", "slides/slide1.xml")],
)
open_document = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
package(
    "a.odt",
    {"content.xml": f"<office:document-content {open_document}><office:body><office:text><text:p>{said('odt')}</text:p></office:text></office:body></office:document-content>"},
    "application/vnd.oasis.opendocument.text",
)
package(
    "a.epub",
    {
        "META-INF/container.xml": '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles><rootfile full-path="b.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
        "b.opf": '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>',
        "c.xhtml": f'<html xmlns="http://www.w3.org/1999/xhtml"><body><p>{said("epub")}</p></body></html>',
    },
    "application/epub+zip",
)
write("a.rtf", rf"{{\rtf1\ansi {said('rtf')}\par}}")
pdf("a.pdf", [said("pdf"), ""])
write("a.csv", f"Key;Größe\n{said('csv')};2\n".encode("latin-1"))
write("a.html", f"<script>hidden()</script><h1>Title</h1><table><tr><th>Key</th></tr><tr><td>{said('html')}</td></tr></table>")
write("a.txt", f"Größe: {said('txt')}\n".encode("latin-1"))

xlsx("wide.xlsx", [[f"column {number}" for number in range(200)]] * 2)
# Red above and blue below, and the other way round.
halves = [f"{above} rg 0 396 612 396 re f {below} rg 0 0 612 396 re f".encode() for above, below in (("1 0 0", "0 0 1"), ("0 0 1", "1 0 0"))]
pdf("scan.pdf", halves)
pdf("book.pdf", [""] * 9)
# Eight pages of A4 in colour, with 300 dots per inch: 26 MB each.
dots = zlib.compress(b"\xff\x80\0" * (2480 * 3508), 1).hex()
page = f"<< /Subtype /Image /Width 2480 /Height 3508 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter [/ASCIIHexDecode /FlateDecode] /Length {len(dots)} >>"
pdf("paper.pdf", [b"q 612 0 0 792 0 0 cm /I Do Q"] * 8, image=f"{page}\nstream\n{dots}\nendstream")
pdf("locked.pdf", ["x"], f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{'00' * 32}> /U <{'00' * 32}> /P -4 >> /ID [<00> <00>]")
pdf("pages.pdf", ["x"] * 500)
docx("whole.docx", said("whole"))
write("broken.docx", open(os.path.join(folder, "whole.docx"), "rb").read()[:300])
# Six hundred megabytes in two.
with zipfile.ZipFile(os.path.join(folder, "bomb.docx"), "w", zipfile.ZIP_DEFLATED) as archive:
    with zipfile.ZipFile(os.path.join(folder, "whole.docx")) as whole:
        for part in whole.namelist():
            if part != "word/document.xml":
                archive.writestr(part, whole.read(part))
    with archive.open("word/document.xml", "w", force_zip64=True) as part:
        part.write(b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>')
        for _ in range(600):
            part.write(b"<w:p><w:r><w:t>bomb</w:t></w:r></w:p>" * 28_000)
        part.write(b"</w:body></w:document>")
# No archive, and a tree of some hundred megabytes for what reads it.
write("tree.html", "<b>x</b>" * 240_000)
write("half.txt", "All work and no play. " * 23_000)
write("long.txt", "All work and no play. " * 40_000)
write("program.exe", b"MZ\0\0" * 100)

# What is worked with in the sandbox: a table of 30,000 rows, an archive with a file, a database with a row.
write("rows.csv", "number,square,name,town\n" + "".join(f"{n},{n * n},Person {n},Town\n" for n in range(30_000)))
package("a.zip", {"in/it.txt": said("zip")})
if not os.path.exists(os.path.join(folder, "a.db")):
    with sqlite3.connect(os.path.join(folder, "a.db")) as database:
        database.execute("create table words as select ? as word", [said("db")])
