"""Reads one document that somebody sent, in a process of its own, as the page does it: by documents/, the same files as in its image.

    python3 -I -S document_reader.py LIBRARIES EXTENSION KIND <document >{"text", "pictures"} or {"problem"}

EXTENSION is that of its name, with the dot, and KIND what the sender takes it for. What is of a kind that nothing reads has no text.
Before the first byte is decoded, this process gives up what picture_reader.py gives up: it can open no file then. So what the libraries
would load later is loaded before, by reading something of each kind. The limits of memory and time are those of the page. Run by
attachments.py; nothing imports it.
"""

import codecs
import contextlib
import encodings.aliases
import io
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# In bytes; as openwebui/extractor.py has it.
MEMORY = 128 << 20
HTML = b"<p>\xc3\xa4 <b>b</b></p><ul><li>c</li></ul><table><tr><td>d</td></tr></table>"
MAIL = b"""From: a <a@example.com>
Date: Sun, 03 May 2026 10:00:00 +0200
Subject: =?utf-8?q?b?=
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

"""


def load(documents, head):
    """Has what reads a document load all that it needs; PDFs need none of the others, and memory is short."""
    from PIL import Image

    for name in set(encodings.aliases.aliases.values()):
        # Some are of other systems.
        with contextlib.suppress(LookupError):
            codecs.lookup(name)
    Image.new("RGB", (1, 1)).save(io.BytesIO(), "JPEG")
    if b"%PDF-" in head:
        import pdf  # noqa: F401

        return
    import office

    Image.init()
    for name, data in (("a.csv", b"a;b\n1;2\n"), ("a.html", HTML), ("a.eml", MAIL + HTML), ("a.txt", "ä".encode("latin-1") * 30), ("a.png", b"")):
        documents.reply(name, "", io.BytesIO(data))
    office.etree.fromstring(b"<a/>", office.etree.XMLParser(resolve_entities=False, no_network=True, recover=True))


def main():
    libraries, extension, kind = sys.argv[1:]
    sys.path += [os.path.join(HERE, "documents"), HERE, libraries]
    import common
    import documents
    import picture_reader

    file = sys.stdin.buffer
    head = file.read(1024)
    file.seek(0)
    load(documents, head)
    picture_reader.confine(MEMORY)
    reply = documents.reply(f"file{extension}", kind, file)
    print(json.dumps({"text": "", "pictures": []} if reply.get("problem") == common.UNKNOWN else reply))


if __name__ == "__main__":
    main()
