"""Reads PDFs for documents.py: what each page says, what people have filled in, noted and stamped on it, and a picture of a page of
which that isn't all, as of a scan, also with a line of text on it, and of a signature.

By pypdfium2 (https://pdfium.googlesource.com/pdfium/+/refs/heads/main/public/, fpdf_annot.h and fpdf_formfill.h).
"""

import base64
import io
from ctypes import POINTER, c_float, cast, create_string_buffer

import pypdfium2
from common import BROKEN, PART, PROTECTED, TOO_MANY_SHOWN, Problem, about, scan
from contract import MOST_PICTURES, SIDE
from pypdfium2 import raw

PAGES = 300
# A page with no more text than that may have its text in a picture, if pictures cover half of it. A scan whose text was recognized has more.
LITTLE = 400
# A page's objects that are looked at: each word may be one.
OBJECTS = 2000

TOO_MANY_PAGES = f"{{name}} has %d pages, and at most {PAGES} can be read. {PART}"

# What nobody sees, and what only leads elsewhere or belongs to another note.
UNSEEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
NO_NOTES = (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP)
BUTTONS = (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON)
# Bits of a field's flags (ISO 32000-1, tables 226 and 228).
PASSWORD = 1 << 13


def string(get, *arguments):
    """A text that a function of pdfium writes into a buffer, as UTF-16."""
    length = get(*arguments, None, 0)
    buffer = create_string_buffer(max(length, 2))
    get(*arguments, cast(buffer, POINTER(raw.FPDF_WCHAR)), length)
    return buffer.raw.decode("utf-16-le", "replace").split("\0")[0].replace("\r\n", "\n").replace("\r", "\n").strip()


def field(form, annotation, fields):
    """Adds the value of a form's field to those of its page, by its name; tells whether it is a signature, which one has to see."""
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    name = string(raw.FPDFAnnot_GetFormFieldName, form, annotation)
    label = string(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or name or "(no name)"
    if kind == raw.FPDF_FORMFIELD_SIGNATURE:
        signed = raw.FPDFAnnot_HasKey(annotation, b"V")
        fields[name] = f"{label}: {'(signed)' if signed else '(not signed)'}"
        return signed
    if kind in BUTTONS:
        # Several of one name are one choice.
        if raw.FPDFAnnot_IsChecked(form, annotation):
            value = string(raw.FPDFAnnot_GetFormFieldExportValue, form, annotation)
            fields[name] = f"{label}: ticked" + ("" if value in ("", "Yes", "On", "1") else f" ({value})")
        else:
            fields.setdefault(name, f"{label}: not ticked")
    elif kind != raw.FPDF_FORMFIELD_PUSHBUTTON:
        options = range(raw.FPDFAnnot_GetOptionCount(form, annotation))
        chosen = [string(raw.FPDFAnnot_GetOptionLabel, form, annotation, option) for option in options if raw.FPDFAnnot_IsOptionSelected(form, annotation, option)]
        value = ", ".join(chosen) or string(raw.FPDFAnnot_GetFormFieldValue, form, annotation)
        if value and raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & PASSWORD:
            value = "(hidden)"
        fields[name] = f"{label}: {value or '(empty)'}"
    return False


def note(kind, annotation):
    """What somebody has written on a page, as a line, or None."""
    said, author = (string(raw.FPDFAnnot_GetStringValue, annotation, key) for key in (b"Contents", b"T"))
    if kind == raw.FPDF_ANNOT_STAMP:
        said = f"Stamp: {said or string(raw.FPDFAnnot_GetStringValue, annotation, b'Name')}"
    elif kind == raw.FPDF_ANNOT_FREETEXT:
        said = said and f"Typed onto the page: {said}"
    elif kind == raw.FPDF_ANNOT_FILEATTACHMENT:
        said = f"Attached file, left out: {said}"
    elif said:
        said = f"Comment{author and f' of {author}'}: {said}"
    return said or None


def written(page, form):
    """What people have put onto a page, as Markdown, and whether some of it has to be seen."""
    fields, notes, seen = {}, [], False
    for index in range(raw.FPDFPage_GetAnnotCount(page)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        if raw.FPDFAnnot_GetFlags(annotation) & UNSEEN or kind in NO_NOTES:
            pass
        elif kind == raw.FPDF_ANNOT_WIDGET:
            seen |= bool(form and field(form, annotation, fields))
        else:
            seen |= kind in (raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_INK)
            notes.append(note(kind, annotation))
        raw.FPDFPage_CloseAnnot(annotation)
    parts = [("Form fields", fields.values()), ("Notes", [said for said in notes if said])]
    return "".join(f"\n\n{title}:\n\n" + "\n".join(f"- {line}" for line in lines) for title, lines in parts if lines), seen


def covered(page):
    """Which part of a page its pictures cover, 1 being all of it; None where it has nothing on it."""
    count, covered = raw.FPDFPage_CountObjects(page), 0
    box = [c_float() for _ in range(4)]
    for index in range(min(count, OBJECTS)):
        shown = raw.FPDFPage_GetObject(page, index)
        kind = raw.FPDFPageObj_GetType(shown)
        # Some programs put each picture into a form of its own.
        inside = (raw.FPDFFormObj_GetObject(shown, part) for part in range(min(raw.FPDFFormObj_CountObjects(shown), 10))) if kind == raw.FPDF_PAGEOBJ_FORM else ()
        if kind == raw.FPDF_PAGEOBJ_IMAGE or any(raw.FPDFPageObj_GetType(part) == raw.FPDF_PAGEOBJ_IMAGE for part in inside):
            raw.FPDFPageObj_GetBounds(shown, *box)
            left, bottom, right, top = (edge.value for edge in box)
            covered += abs((right - left) * (top - bottom))
    width, height = page.get_size()
    return covered / max(width * height, 1) if count else None


def draw(page):
    """A page as a JPEG, in base64."""
    file = io.BytesIO()
    page.render(scale=SIDE / max(*page.get_size(), 1)).to_pil().convert("RGB").save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode()


def numbers(pages):
    return ("page " if len(pages) == 1 else "pages ") + ", ".join(str(page) for page in pages)


def read(file):
    """The text of a PDF and the pictures that belong to it, in base64; raises `Problem`."""
    try:
        document = pypdfium2.PdfDocument(file)
        # Before the first page is loaded, or their fields aren't drawn.
        document.init_forms()
    except pypdfium2.PdfiumError as error:
        raise Problem(PROTECTED if error.err_code == raw.FPDF_ERR_PASSWORD else BROKEN) from error
    if not len(document):
        raise Problem(BROKEN)
    if len(document) > PAGES:
        raise Problem(TOO_MANY_PAGES % len(document))
    texts, pictures, shown, partly = [], [], [], []
    for number, page in enumerate(document, 1):
        text = page.get_textpage().get_text_bounded().replace("\r\n", "\n").strip()
        notes, seen = written(page, document.formenv)
        part = covered(page)
        if seen or (part is not None and not text) or (part or 0) > 0.5 and len(text) < LITTLE:
            shown.append(number)
        elif part:
            partly.append(number)
        texts.append((text, notes))
        page.close()
    if len(shown) > MOST_PICTURES and not any(text or notes for text, notes in texts):
        raise Problem(TOO_MANY_SHOWN % len(document))
    for number in shown[:MOST_PICTURES]:
        page = document[number - 1]
        pictures.append(draw(page))
        page.close()
    if len(pictures) == len(document) and not any(text or notes for text, notes in texts):
        return scan(len(pictures)), pictures
    if not pictures and not any(text or notes for text, notes in texts):
        return "", []

    def page_of(number, text, notes):
        if number in shown[:MOST_PICTURES]:
            where = f"(Picture {shown.index(number) + 1} of {len(pictures)} of this document, behind the message, shows this page.)"
            text = f"{text}\n\n{where}".strip()
        empty = "(This page is a picture that isn't shown.)" if number in shown else "(There is no text on this page.)"
        return f"**Page {number}**\n\n{text or empty}{notes}"

    notes = []
    if shown[MOST_PICTURES:]:
        notes.append(f"The model can be shown {MOST_PICTURES} pictures of pages: not shown are those of {numbers(shown[MOST_PICTURES:])}.")
    if partly:
        notes.append(f"Pictures on {numbers(partly)} aren't shown.")
    if names := [document.get_attachment(index).get_name() for index in range(document.count_attachments())]:
        notes.append(f"Attached files are left out: {', '.join(names)}.")
    if document.get_formtype() == raw.FORMTYPE_XFA_FULL:
        notes.append("What is filled into this form is left out: only Adobe's programs show forms of this kind (XFA).")
    return about(notes) + "\n\n".join(page_of(number, *texts[number - 1]) for number in range(1, len(texts) + 1)), pictures
