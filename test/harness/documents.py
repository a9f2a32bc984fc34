"""Writes documents into the folder given as argument, for what reads them (openwebui/extractor.py): the smallest of each kind that
says "The word is <name of the kind>", and what must be refused.

They are made, so they don't prove that what other programs write is read: docs/figures.md tells of documents that others made.
"""

import email.message
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


def pdf(name, pages, trailer="", image="null", annotations=(), catalog=""):
    """A PDF whose pages show these texts, or nothing, or what is drawn by bytes, with the image as I; the first has the annotations on it.

    `catalog` stands in the document's; `%d` in it is the number of the first annotation.
    """
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", None, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", image]
    first = len(objects) + 1
    objects += [f"<< /Type /Annot /Rect [100 100 300 120] {annotation} >>" for annotation in annotations]
    objects[0] = objects[0].replace(" >>", f" {catalog.replace('%d', str(first))} >>")
    noted = "/Annots [" + " ".join(f"{first + index} 0 R" for index in range(len(annotations))) + "]"
    kids = []
    for text in pages:
        content = text.decode() if isinstance(text, bytes) else f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> /XObject << /I 4 0 R >> >> {'' if kids else noted} >>"
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


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def docx(name, text, parts=None, relations=()):
    """One with this text, or with this body as XML, and with further parts."""
    body = text if text.startswith("<") else f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"
    parts = {"word/document.xml": f'<w:document {WORD} xmlns:r="{OFFICE}"><w:body>{body}</w:body></w:document>', **(parts or {})}
    ooxml(name, "word/document.xml", "wordprocessingml.document", parts, relations)


def xlsx(name, rows):
    cells = "".join("<row>" + "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in row) + "</row>" for row in rows)
    workbook(name, {"One": f"<sheetData>{cells}</sheetData>"})


HIDDEN = ' state="hidden"'


def workbook(name, sheets, parts=None, calculation=""):
    """One with these sheets by name, as XML; those whose name begins with an underscore are hidden."""
    listed = "".join(f'<sheet name="{one}" sheetId="{n + 1}" r:id="r{n}"{HIDDEN * (one[0] == "_")}/>' for n, one in enumerate(sheets))
    parts = {
        "xl/workbook.xml": f'<workbook {SHEET} xmlns:r="{OFFICE}"><sheets>{listed}</sheets>{calculation}</workbook>',
        **{f"xl/worksheets/sheet{n + 1}.xml": f"<worksheet {SHEET}>{body}</worksheet>" for n, body in enumerate(sheets.values())},
        **(parts or {}),
    }
    ooxml(name, "xl/workbook.xml", "spreadsheetml.sheet", parts, [("worksheet", f"worksheets/sheet{n + 1}.xml") for n in range(len(sheets))])


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
write("a.html", f"<title>A page</title><script>hidden()</script><h1>Title</h1><table><tr><th>Key</th></tr><tr><td>{said('html')}</td></tr></table>")
write("a.txt", f"Größe: {said('txt')}\n".encode("latin-1"))

xlsx("wide.xlsx", [[f"column {number}" for number in range(200)]] * 2)
# Red above and blue below, and the other way round.
halves = [f"{above} rg 0 396 612 396 re f {below} rg 0 0 612 396 re f".encode() for above, below in (("1 0 0", "0 0 1"), ("0 0 1", "1 0 0"))]
pdf("scan.pdf", halves)
pdf("book.pdf", halves[:1] * 9)
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
write("rows.tsv", "number\ttown\n" + "".join(f"{n}\tTown\n" for n in range(8_000)))
xlsx("rows.xlsx", [["number", "town", "more"], *([str(n), "Town", "and more"] for n in range(8_000))])
package("a.zip", {"in/it.txt": said("zip")})
if not os.path.exists(os.path.join(folder, "a.db")):
    with sqlite3.connect(os.path.join(folder, "a.db")) as database:
        database.execute("create table words as select ? as word", [said("db")])

# What a person sees in a document besides its text.
widget = "/Subtype /Widget /T (%s) /F 4"
filled = [
    f"{widget % 'Name'} /FT /Tx /V (Ada Lovelace)",
    f"{widget % 'Plate'} /FT /Tx /TU (Licence plate) /V <FEFF005A0048002000340037003100310020274C>",
    f"{widget % 'Resident'} /FT /Btn /V /Yes /AS /Yes /AP << /N << /Yes null /Off null >> >>",
    f"{widget % 'Parked'} /FT /Btn /AS /Off /AP << /N << /Yes null /Off null >> >>",
    f"{widget % 'Zone'} /FT /Ch /Ff 131072 /Opt [[(i) (Inner)] [(o) (Outer)]] /V (o) /I [1]",
    f"{widget % 'Code'} /FT /Tx /Ff 8192 /V (secret)",
    f"{widget % 'Send'} /FT /Btn /Ff 65536",
    "/Subtype /Widget /T (Trap) /F 2 /FT /Tx /V (unseen)",
]
fields = f"/AcroForm << /Fields [{' '.join(f'{5 + index} 0 R' for index in range(len(filled)))}] /DA (/F1 12 Tf) /DR << /Font << /F1 3 0 R >> >> >>"
pdf("form.pdf", ["Application"], annotations=filled, catalog=fields)
pdf("scanned form.pdf", halves[:1], annotations=filled[:1], catalog="/AcroForm << /Fields [5 0 R] /DA (/F1 12 Tf) /DR << /Font << /F1 3 0 R >> >> >>")
notes = [
    "/Subtype /FreeText /DA (/F1 12 Tf) /Contents (Typed with a phone)",
    "/Subtype /Highlight /QuadPoints [100 120 300 120 100 100 300 100] /T (Ida) /Contents (Is this right?)",
    "/Subtype /Text /F 2 /Contents (unseen)",
    "/Subtype /Link /Contents (unseen)",
]
pdf("notes.pdf", ["Contract"], annotations=notes)
pdf("stamped.pdf", ["Invoice", "Terms"], annotations=["/Subtype /Stamp /Name /Approved"])
line = "BT /F1 12 Tf 72 20 Td (Scanned with a phone) Tj ET"
scanned = b"q 612 0 0 792 0 0 cm /I Do Q "
dot = "<< /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /ASCIIHexDecode /Length 7 >>\nstream\n0000FF>\nendstream"
pdf("footer.pdf", [scanned + line.encode()] * 2, image=dot)
pdf("letter.pdf", ["Dear Ada", *halves, ""])
pdf("logo.pdf", [b"q 60 0 0 60 0 700 cm /I Do Q BT /F1 12 Tf 72 600 Td (Letter with a logo) Tj ET", "More"], image=dot)
pdf("long scan.pdf", ["Cover", *halves[:1] * 10])
recognized = "(All work and no play makes a dull text.) Tj T* " * 30
pdf("recognized.pdf", [scanned + f"BT /F1 12 Tf 14 TL 3 Tr 72 700 Td {recognized}ET".encode()], image=dot)

drawn = "http://schemas.openxmlformats.org/drawingml/2006"
picture = (
    f'<w:r><w:drawing><wp:inline xmlns:wp="{drawn}/wordprocessingDrawing"><wp:docPr id="1" name="Picture 1" descr="A red square"/><a:graphic xmlns:a="{drawn}/main"><a:graphicData uri="{drawn}/picture">'
    f'<pic:pic xmlns:pic="{drawn}/picture"><pic:nvPicPr><pic:cNvPr id="0" name="x.png"/></pic:nvPicPr><pic:blipFill><a:blip r:embed="r9"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r>'
)
docx(
    "seen.docx",
    '<w:p><w:r><w:t>The price is 100 EUR</w:t></w:r><w:r><w:commentReference w:id="3"/></w:r><w:ins w:id="7"><w:r><w:t>, all in</w:t></w:r></w:ins></w:p>'
    f"<w:p>{picture}</w:p><w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>vanished</w:t></w:r></w:p>",
    {
        "word/comments.xml": f'<w:comments {WORD}><w:comment w:id="3" w:author="Ida"><w:p><w:r><w:t>Too much</w:t></w:r></w:p></w:comment></w:comments>',
        "word/header1.xml": f"<w:hdr {WORD}><w:p><w:r><w:t>CONFIDENTIAL</w:t></w:r></w:p></w:hdr>",
        "word/footer1.xml": f"<w:ftr {WORD}><w:p><w:r><w:t>Draft of May</w:t></w:r></w:p></w:ftr>",
        "word/media/x.png": b"",
    },
    [("comments", "comments.xml"), ("header", "header1.xml"), ("footer", "footer1.xml")],
)


EMPTY, ROW_HIDDEN = ' t="str"', ' hidden="1"'


def row(number, *cells, hidden=False):
    """A row of texts, of formulas with or without a value, as `=1+1|2`, and of numbers."""
    found = ""
    for letter, cell in zip("ABCDEFGH", cells):
        formula, _, value = str(cell).partition("|")
        if formula.startswith("="):
            found += f'<c r="{letter}{number}"{EMPTY * (value == "empty")}><f>{formula[1:]}</f><v>{value.removesuffix("empty")}</v></c>'
        else:
            found += f'<c r="{letter}{number}" t="inlineStr"><is><t>{cell}</t></is></c>' if isinstance(cell, str) else f'<c r="{letter}{number}"><v>{cell}</v></c>'
    return f'<row r="{number}"{ROW_HIDDEN * hidden}>{found}</row>'


rows = row(1, "Item", "Net", "Total", "Secret") + row(2, "one", 10, "=B2*2|20", "s") + row(3, "two", 20, "=B3*2", "s", hidden=True)
rows += row(4, "three", 30, '=IF(B4&lt;9,"a","b")', "s") + row(5, "four", 0, '=""|empty', "s") + row(6, "Sum", "=SUM(B2:B5)", "", "s")
workbook(
    "seen.xlsx",
    {"Costs": f'<cols><col min="4" max="16384" hidden="1"/></cols><sheetData>{rows}</sheetData>', "_Rates": f"<sheetData>{row(1, 'secret')}</sheetData>"},
    {
        "xl/worksheets/_rels/sheet1.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="c" Type="{OFFICE}/comments" Target="../comments1.xml"/></Relationships>',
        "xl/comments1.xml": f'<comments {SHEET}><commentList><comment ref="B2" authorId="0"><text><t>Ask Ida</t></text></comment></commentList></comments>',
    },
)
# As programs write it that leave the calculation to Excel.
zeros = row(1, "Net", "Total") + row(2, 10, "=A2*2|0") + row(3, 0, "=A3+1|1")
workbook("zeros.xlsx", {"Costs": f"<sheetData>{zeros}</sheetData>"}, calculation='<calcPr fullCalcOnLoad="1"/>')

shapes = f'<p:sp><p:txBody><a:p><a:r><a:t>%s</a:t></a:r></a:p></p:txBody></p:sp><p:pic><p:nvPicPr><p:cNvPr id="4" name="x.png" descr="A chart"/></p:nvPicPr><p:blipFill><a:blip xmlns:r="{OFFICE}" r:embed="r9"/></p:blipFill></p:pic>'
slide = f"<p:sld {drawing} %s><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
ooxml(
    "seen.pptx",
    "ppt/presentation.xml",
    "presentationml.presentation",
    {
        "ppt/presentation.xml": f'<p:presentation {drawing} xmlns:r="{OFFICE}"><p:sldIdLst><p:sldId id="256" r:id="r0"/><p:sldId id="257" r:id="r1"/></p:sldIdLst></p:presentation>',
        "ppt/slides/slide1.xml": slide % ("", "Plan"),
        "ppt/slides/slide2.xml": slide % ('show="0"', "Backup"),
        "ppt/slides/_rels/slide1.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="c" Type="{OFFICE}/comments" Target="../comments/comment1.xml"/></Relationships>',
        "ppt/comments/comment1.xml": f"<p:cmLst {drawing}><p:cm authorId='0'><p:text>Too long</p:text></p:cm></p:cmLst>",
    },
    [("slide", "slides/slide1.xml"), ("slide", "slides/slide2.xml")],
)
annotation = '<office:annotation><dc:creator xmlns:dc="http://purl.org/dc/elements/1.1/">Ida</dc:creator><text:p>Too much</text:p></office:annotation>'
style = 'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"'
package(
    "seen.odt",
    {
        "content.xml": f"<office:document-content {open_document}><office:body><office:text><text:p>The price{annotation} is 100 EUR</text:p></office:text></office:body></office:document-content>",
        "styles.xml": f"<office:document-styles {open_document} {style}><office:master-styles><style:master-page style:name='S'><style:header><text:p>CONFIDENTIAL</text:p></style:header></style:master-page></office:master-styles></office:document-styles>",
    },
    "application/vnd.oasis.opendocument.text",
)

mail = email.message.EmailMessage()
mail["From"], mail["Subject"], mail["Date"] = "Zoë Müller <zoe@example.com>", "Grüße – Rechnung", "Sun, 03 May 2026 10:00:00 +0200"
mail.set_content("Liebe Ada,\ndie Prüfung ist vorbei.", cte="base64")
mail.add_alternative("<p>not this one</p>", subtype="html")
mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Rechnung März.pdf")
write("a.eml", mail.as_bytes())
write("page.eml", "From: zoe@example.com\nSubject: =?iso-8859-1?q?Gr=FC=DFe?=\nContent-Type: text/html; charset=x-none\n\n<h1>Größe</h1><style>p {}</style>".encode("cp1252"))
write("a.tsv", "Key\tSize\nThe word is tsv\t1,5\n")
write("mail.msg", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
# As a fax, page by page; and pictures of kinds that models don't take. Where Pillow is, as where they are read.
try:
    from PIL import Image
except ImportError:
    sys.exit()
white, black = (Image.new("1", (2480, 3508), colour) for colour in (1, 0))
white.save(os.path.join(folder, "fax.tif"), save_all=True, append_images=[black], compression="group4")
for kind in ("avif", "bmp"):
    Image.new("RGB", (800, 600), "red").save(os.path.join(folder, f"red.{kind}"))
