"""What the readers of documents.py share: what keeps a document from being read, and what is said of parts that are left out."""

from contract import MOST_PICTURES

READ = "PDF, DOCX, XLSX, PPTX, DOC, XLS, PPT, ODT, ODS, RTF, EPUB, EML, CSV, HTML and text"
IN_SANDBOX = "The agent can work with it in its sandbox."
PART = f"{IN_SANDBOX} To have it read at once, save the part that matters as a file of its own, and upload that."
PROTECTED = "{name} is protected by a password. Save a copy without the password, and upload that."
BROKEN = "{name} can't be read: it is damaged, protected, or not what its name says. Open it in the program that made it, save it anew, and upload that."
TOO_MANY_SHOWN = (
    f"{{name}} has no text, only pictures of its %d pages, and the model can be shown at most {MOST_PICTURES}. Save the pages that matter as a "
    "file of their own, or ask the agent to run a text recognition (OCR) over it in its sandbox."
)
UNKNOWN = f"{{name}} is of a kind that can't be read. These can: {READ}. {IN_SANDBOX}"
TOO_LARGE = f"{{name}} takes too much memory to read. {PART}"
TOO_SLOW = f"{{name}} takes too long to read. {PART}"


class Problem(Exception):
    """What keeps a document from being read, as a sentence for the person who has uploaded it; `{name}` stands for the file's name."""


def scan(pages):
    """The text of a document of so many pages that are shown as pictures."""
    shown = "It is shown as a picture" if pages == 1 else f"Its {pages} pages are shown as pictures"
    return f"(This document has no text, as a scan has. {shown}, behind the message.)"


def about(sentences):
    """What stands before a document's text, so that the model doesn't take a part for the whole; nothing where there is nothing to say."""
    return f"({' '.join(sentences)})\n\n" if sentences else ""
