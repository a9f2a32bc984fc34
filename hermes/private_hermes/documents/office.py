"""Reads Office documents for documents.py, by anydoc, and adds what that leaves out: headers, footers, comments, where a picture
stands, formulas that no program has calculated yet. What stays left out, as hidden rows, is said.

anydoc gives text alone. So some parts of the document are written anew before it reads them: byte by byte, as trees of them don't
fit into the memory. The elements' names are those of ECMA-376 with the prefixes that Word, Excel, PowerPoint, LibreOffice and Google write.
"""

import html
import io
import posixpath
import re
import traceback
import zipfile
import zlib

import anydoc
from common import BROKEN, PROTECTED, TOO_LARGE, UNKNOWN, Problem, about
from lxml import etree

# Bytes of one part that is looked at; of a larger one anydoc's tree doesn't fit into the memory either.
LARGEST = 40 << 20

DRAWING = re.compile(rb"<w:drawing\b.*?</w:drawing>", re.DOTALL)
PICTURE = re.compile(rb"<p:pic\b.*?</p:pic>", re.DOTALL)
PROPERTIES = re.compile(rb'<(wp:docPr|p:cNvPr)\b((?:\s+[\w:]+="[^"]*")*)')
DESCRIPTION = re.compile(rb'\s+(?:descr|name|title)="([^"]*)"')
REFERENCE = re.compile(rb'<w:commentReference\b[^>]*w:id="(\d+)"[^>]*/>')
HIDDEN_TEXT = re.compile(rb"<w:r\b[^>]*>\s*<w:rPr>(?:(?!</w:rPr>).)*<w:vanish\s*/>", re.DOTALL)
ANNOTATION = re.compile(rb"<office:annotation\b.*?</office:annotation>", re.DOTALL)
# A cell with a formula: its attributes, the formula's, the formula, its value. One whose value is an empty text has been calculated.
FORMULA = re.compile(rb'<((?:\w+:)?)c\b([^>]*)>\s*<\1f\b([^>]*?)(?:/>|>([^<]*)</\1f>)\s*(?:<\1v\s*/>|<\1v>([^<]*)</\1v>)?\s*</\1c>')
ROW = re.compile(rb'<(?:\w+:)?row\b[^>]*\shidden="(?:1|true)"[^>]*(?<!/)>')
CELL = re.compile(rb'<(?:\w+:)?c\b[^>]*\sr="([A-Z]+)\d+"')


class Package:
    """The parts of a document, by their names."""

    def __init__(self, data):
        self._archive, self._changed = zipfile.ZipFile(io.BytesIO(data)), {}
        self.names = self._archive.namelist()

    def part(self, name):
        """The bytes of a part, none if it isn't there. Raises `Problem` where it is too large."""
        if name not in self.names:
            return b""
        with self._archive.open(name) as part:
            data = part.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Problem(TOO_LARGE)
        return data

    def tree(self, name):
        return etree.fromstring(self.part(name) or b"<none/>", etree.XMLParser(resolve_entities=False, no_network=True, recover=True))

    def targets(self, name):
        """The parts that a part refers to, by the ids of these references."""
        folder, file = posixpath.split(name)
        relations = self.tree(f"{folder}/_rels/{file}.rels")
        return {one.get("Id"): posixpath.normpath(posixpath.join("/", folder, one.get("Target", ""))).lstrip("/") for one in relations}

    def change(self, name, before, after):
        if after != before:
            self._changed[name] = after

    def bytes(self, data):
        """The document with the changed parts, and without its pictures; `data` where nothing is changed."""
        if not self._changed:
            return data
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name in self.names:
                if "/media/" not in name:
                    archive.writestr(name, self._changed[name] if name in self._changed else self._archive.read(name))
        return file.getvalue()


def text_of(tree, paragraph="{*}p", text="{*}t"):
    """The text of an element in one line, its paragraphs apart; `text` is what it stands in."""
    lines = ("".join(part.text or "" for part in one.iter(text)) if text else "".join(one.itertext()) for one in tree.iter(paragraph))
    return " / ".join(" ".join(line.split()) for line in lines if line.strip())


def marked(found):
    """A drawing that says it is a picture, and which: anydoc gives its description as text."""
    data = found[0]
    if b"<pic:pic" not in data and not data.startswith(b"<p:pic"):
        return data

    def described(properties):
        said = dict(re.findall(rb'\s(descr|name|title)="([^"]*)"', properties[2])).get(b"descr", b"")
        mark = b"(Picture, not shown" + (b": " + said if said else b"") + b")"
        return b"<" + properties[1] + DESCRIPTION.sub(b"", properties[2]) + b' name="" descr="' + mark + b'"'

    return PROPERTIES.sub(described, data, count=1)


def listed(title, lines):
    return f"\n\n{title}:\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def plural(count, word):
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def docx(package):
    body = package.part("word/document.xml")
    comments = {one.get(f"{{{one.nsmap['w']}}}id"): one for one in package.tree("word/comments.xml").iter("{*}comment")}
    said = [f"Comment {id}, {value(one, 'author')}: {text_of(one)}" for id, one in comments.items()]
    package.change("word/document.xml", body, REFERENCE.sub(rb"<w:t> (comment \1) </w:t>", DRAWING.sub(marked, body)))
    edges = [text_of(package.tree(name)) for name in package.names if re.fullmatch(r"word/(header|footer)\d*\.xml", name)]
    notes = []
    if re.search(rb"<w:(ins|del)\s", body):
        notes.append("Tracked changes are shown as if they were accepted.")
    if HIDDEN_TEXT.search(body):
        notes.append("Some of the text is hidden in the document, and people don't see it.")
    return notes, listed("Headers and footers", dict.fromkeys(filter(None, edges))) + listed("Comments", said)


def reference(element):
    """The id by which an element refers to a part."""
    return next((found for key, found in element.items() if key.startswith("{") and etree.QName(key).localname == "id"), None)


def value(element, name):
    """An attribute, whatever its namespace."""
    return next((found for key, found in element.items() if etree.QName(key).localname == name), "")


def pptx(package):
    said, hidden, targets = [], [], package.targets("ppt/presentation.xml")
    slides = [targets.get(reference(one)) for one in package.tree("ppt/presentation.xml").iter("{*}sldId")]
    for number, name in enumerate(slides, 1):
        data = package.part(name)
        package.change(name, data, PICTURE.sub(marked, data))
        if re.search(rb'<p:sld\b[^>]*\sshow="(?:0|false)"', data):
            hidden.append(str(number))
        for target in package.targets(name).values():
            for one in package.tree(target).iter("{*}cm") if "/comments/" in target else ():
                said.append(f"Slide {number}: {' '.join(''.join(one.itertext()).split())}")
    notes = [f"These slides are hidden when the others are shown: {', '.join(hidden)}."] if hidden else []
    return notes, listed("Comments", said)


def formulas(data, recalculated):
    """A sheet in which formulas without a value stand as text. Some programs write 0 for each, and have them calculated when they are opened."""

    def shown(found):
        prefix, attributes, of_formula, formula, calculated = found.groups(default=b"")
        if b't="str"' in attributes or calculated and not (recalculated and calculated == b"0"):
            return found[0]
        text = b"=" + formula if formula else b"=\xe2\x80\xa6"
        attributes = re.sub(rb'\st="\w*"', b"", attributes)
        return b'<%bc%b t="inlineStr"><%bis><%bt>%b</%bt></%bis></%bc>' % (prefix, attributes, prefix, prefix, text, prefix, prefix, prefix)

    return FORMULA.sub(shown, data)


def number_of(letters):
    """The number of a column: 1 for A."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def letters_of(number):
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def hidden_in(data):
    """What is hidden in a sheet, as words."""
    rows = len(ROW.findall(data))
    hidden = [one for one in re.findall(rb"<(?:\w+:)?col\b[^>]*>", data) if re.search(rb'\shidden="(?:1|true)"', one)]
    used = max(map(number_of, set(CELL.findall(data))), default=0) if hidden else 0
    columns = []
    for one in hidden:
        first, last = (int(re.search(rb'\s%b="(\d+)"' % name, one)[1]) for name in (b"min", b"max"))
        columns += [letters_of(number) for number in range(first, min(last, used) + 1)]
    return ([plural(rows, "row")] if rows else []) + ([f"{plural(len(columns), 'column')} ({', '.join(columns)})"] if columns else [])


def xlsx(package):
    workbook, targets = package.tree("xl/workbook.xml"), package.targets("xl/workbook.xml")
    recalculated = any(value(one, "fullCalcOnLoad") in ("1", "true") for one in workbook.iter("{*}calcPr"))
    notes, said, uncalculated = [], [], False
    for sheet in workbook.iter("{*}sheet"):
        name = sheet.get("name", "")
        part = targets.get(reference(sheet))
        if sheet.get("state", "visible") != "visible":
            notes.append(f"The sheet “{name}” is hidden and left out.")
            continue
        if not part:
            continue
        data = package.part(part)
        shown = formulas(data, recalculated)
        package.change(part, data, shown)
        uncalculated |= shown != data
        if hidden := hidden_in(data):
            notes.append(f"Of the sheet “{name}”, {' and '.join(hidden)} are hidden and left out.")
        for target in package.targets(part).values():
            for one in package.tree(target).iter("{*}comment") if "/comments" in target else ():
                # The newer kind has a text for older programs in front of it.
                said.append(f"{name}, {one.get('ref')}: {re.sub('^.Threaded comment.*?Comment:', '', text_of(one, '{*}text')).strip()}")
    if uncalculated:
        notes.append("Formulas that no program has calculated yet stand as =….")
    for kind, pattern in (("chart", r"xl/charts/chart\d+\.xml"), ("picture", r"xl/media/.*")):
        if count := sum(bool(re.fullmatch(pattern, name)) for name in package.names):
            notes.append(f"Not shown: {plural(count, kind)}.")
    return notes, listed("Notes of cells", said)


def open_document(package):
    content, comments = package.part("content.xml"), []

    def comment(found):
        comments.append(re.sub(rb"<[^>]*>", b" ", found[0]))
        return b" (comment %d) " % len(comments)

    package.change("content.xml", content, ANNOTATION.sub(comment, content))
    tree = package.tree("styles.xml")
    edges = [text_of(one, text=None) for kind in ("header", "footer") for one in tree.iter(f"{{*}}{kind}")]
    said = [f"Comment {number}: {' '.join(html.unescape(text.decode('utf-8', 'replace')).split())}" for number, text in enumerate(comments, 1)]
    return [], listed("Headers and footers", dict.fromkeys(filter(None, edges))) + listed("Comments", said)


READERS = {"docx": docx, "pptx": pptx, "xlsx": xlsx, "odt": open_document, "ods": open_document, "odp": open_document}
NOT_LOOKED_FOR = "Headers, footers, comments and what is hidden couldn't be looked for."


def read(data, kind):
    """The text of a document of a kind of anydoc's; raises `Problem`."""
    notes, more = [], ""
    if kind in READERS:
        try:
            package = Package(data)
            notes, more = READERS[kind](package)
            data = package.bytes(data)
        # One that is damaged is refused by anydoc.
        except (zipfile.BadZipFile, zlib.error, RuntimeError, LookupError, ValueError, TypeError, etree.LxmlError):
            traceback.print_exc()
            notes, more = [NOT_LOOKED_FOR], ""
    try:
        text = anydoc.to_markdown_bytes(data, kind)
    except anydoc.EncryptedError as error:
        raise Problem(PROTECTED) from error
    except anydoc.ResourceLimitError as error:
        raise Problem(TOO_LARGE) from error
    except anydoc.UnsupportedError as error:
        raise Problem(UNKNOWN) from error
    except anydoc.ConvertError as error:
        raise Problem(BROKEN) from error
    return about(notes) + text + more if text.strip() or more else ""
