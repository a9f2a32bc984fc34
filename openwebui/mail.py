"""Reads mails (.eml) for documents.py as a person sees them: who wrote what to whom, the text, and what is attached, by name."""

import email
import email.policy

from common import about

HEADERS = ("From", "To", "Cc", "Date", "Subject")


def text_of(part, html):
    """The text of a part, in the character set that it names or, where there is no such one, in one of the two that are likely."""
    data = part.get_payload(decode=True) or b""
    try:
        text = data.decode(part.get_content_charset("utf-8"))
    except (LookupError, UnicodeDecodeError):
        text = data.decode("cp1252", "replace")
    return html(text) if part.get_content_subtype() == "html" else text


def name_of(part):
    """The name of an attached file; a mail in a mail is called by its subject."""
    if part.get_content_type() == "message/rfc822":
        return f"{part.get_payload(0)['Subject'] or 'a mail'} (a mail)"
    return part.get_filename()


def read(data, html):
    """The text of a mail, as Markdown; `html` reads a text of that kind."""
    mail = email.message_from_bytes(data, policy=email.policy.default)
    bodies = [mail.get_body(preferencelist=(kind,)) for kind in ("plain", "html")]
    text = next((text for text in (text_of(body, html).strip() for body in bodies if body) if text), "")
    inside = {id(part) for body in bodies if body for part in body.walk()}
    names = []

    def look(part):
        if id(part) not in inside and (name := name_of(part)):
            names.append(name)
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            for one in part.iter_parts():
                look(one)

    look(mail)
    lines = [f"{name}: {' '.join(str(mail[name]).split())}" for name in HEADERS if mail[name]]
    return about([f"Attached, and not read here: {', '.join(names)}."] if names else []) + "\n".join(lines) + "\n\n" + text
