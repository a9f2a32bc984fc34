"""Reads documents: gives their text as Markdown, the pages of a scan, or a sentence that says what to do.

The page has it done by extractor.py, and Telegram by hermes/private_hermes/document_reader.py. The same files stand in both images: this one,
common.py, mail.py, office.py, pdf.py and pictures.py. A unit test compares them.

The libraries were chosen by reading documents of other projects' test suites (of Apache Tika, python-docx, python-pptx, odfpy)
and of Debian's manuals: docs/figures.md, "Documents".
"""

import os
import re
import traceback

from common import BROKEN, PART, TOO_LARGE, UNKNOWN, Problem

TIFF = (b"II*\0", b"MM\0*")
# Those that the page doesn't scale down itself come here (page.js).
PICTURES = (".tif", ".tiff", ".bmp", ".avif", ".jp2", ".ico", ".png", ".jpg", ".jpeg", ".gif", ".webp")
# Some 150,000 tokens in English. More is refused here, because the model would refuse it at each later message of the chat.
CHARACTERS = 600_000
# Characters of a table that is shown whole, and of a larger one the rows and characters at its head: each later message of the chat would
# carry the rest, and the whole lies in the sandbox.
TABLE, ROWS, HEAD = 50_000, 50, 10_000
# Tables in Markdown.
TABLES = re.compile(r"(?:^\|.*(?:\n|\Z))+", re.MULTILINE)

EMPTY = "{name} has no text in it. Upload pictures as pictures."
TOO_LONG = f"{{name}} has %s characters of text, and the model can take at most {CHARACTERS:,}. {PART}"


def html(data):
    import bs4
    import markdownify

    page = bs4.BeautifulSoup(data, "lxml")
    # What isn't shown, and pictures, which would be links that nobody can follow, or megabytes of base64.
    for hidden in page(["script", "style", "template", "noscript", "svg", "img"]):
        hidden.decompose()
    # It has a line of its own.
    if page.title:
        page.title.name = "p"
    return markdownify.MarkdownConverter(heading_style="ATX").convert_soup(page)


def plain(data):
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        raise Problem(UNKNOWN)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        import charset_normalizer

        guess = charset_normalizer.from_bytes(data[:100_000]).best()
        return data.decode(guess.encoding if guess else "cp1252", "replace")


def read(name, content_type, file):
    """The text of a document and the pictures that belong to it, by what is in it rather than by its name; raises `Problem`."""
    head = file.read(1024)
    file.seek(0)
    if b"%PDF-" in head:
        import pdf

        return pdf.read(file)
    extension = os.path.splitext(name)[1].lower()
    if extension in PICTURES or head.startswith(TIFF):
        import pictures

        return pictures.read(file)
    import anydoc
    import office

    data = file.read()
    kind = anydoc.format_from_bytes(data) or anydoc.format_from_extension(extension)
    if kind not in (None, "csv"):
        return office.read(data, kind), []
    if extension in (".html", ".htm", ".xhtml") or "html" in content_type:
        return html(data), []
    if extension == ".eml" or content_type == "message/rfc822":
        import mail

        return mail.read(data, html), []
    text = plain(data)
    if kind != "csv" and extension not in (".tsv", ".tab"):
        return bounded(text), []
    # A table takes fifty times its size to read, so of one that is large only the head is.
    note = ""
    if len(text) > TABLE:
        note, text = beginning(text.splitlines(True), text.rstrip().count("\n"), 1)
    return note + office.read(text.encode(), "csv"), []


def beginning(lines, rows, above):
    """What is said above the head of a large table, and that head; `above` are the lines above its rows."""
    shown, length = [], 0
    for line in lines:
        if len(shown) > above and (len(shown) >= ROWS + above or length > HEAD):
            break
        shown.append(line)
        length += len(line)
    return f"(Of the {rows:,} rows of this table the first {len(shown) - above} stand here. All are in the file: count and compute there.)\n\n", "".join(shown)


def cut(text):
    """A text with the heads of its large tables in the place of the whole ones; of smaller ones, too, where it is too long for the model."""

    def shorter(found):
        return found[0] if len(found[0]) <= most else "".join(beginning(found[0].splitlines(True), found[0].rstrip().count("\n") - 1, 2))

    for most in (TABLE, HEAD):
        text = TABLES.sub(shorter, text)
        if len(text) <= CHARACTERS:
            break
    return text


def bounded(text):
    if len(text) > CHARACTERS:
        raise Problem(TOO_LONG % f"{len(text):,}")
    return text


def reply(name, content_type, file):
    """What is said of a document: `{"text", "pictures"}`, these being pages that are more than their text (JPEG, in base64), or `{"problem"}`."""
    try:
        text, pictures = read(name, content_type, file)
        if not text.strip():
            raise Problem(EMPTY)
        return {"text": bounded(cut(text).strip()), "pictures": pictures}
    except Problem as problem:
        return {"problem": str(problem)}
    except MemoryError:
        return {"problem": TOO_LARGE}
    except Exception:
        traceback.print_exc()
        return {"problem": BROKEN}
