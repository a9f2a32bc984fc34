"""Reads documents for Open WebUI: gives their text as Markdown, the pages of a scan, or a sentence that says what to do.

    python3 -I -S extractor.py SOCKET

Open WebUI's slim image reads no documents. uploads.py sends each upload here, over a Unix socket: one message with
`{"name", "type"}` in JSON and the file's descriptor, so that no byte of the file passes through the app's memory. The answer is
`{"text", "pictures"}`, these being pages that are more than their text (JPEG, in base64), or `{"problem"}` in JSON, up to the end of the connection; `{name}` in a problem stands for the file's name.

Documents are foreign data, and the libraries that read them are large. So each is read in a child process with limits on memory,
time and what it may do; entrypoint.sh runs this as a user of its own, who has nothing else. The parent imports nothing and
waits: one conversion at a time, and 8 MB while there is none.

The libraries were chosen by reading documents of other projects' test suites (of Apache Tika, python-docx, python-pptx, odfpy)
and of Debian's manuals: docs/figures.md, "Documents".
"""

import json
import os
import re
import resource
import signal
import socket
import sys
import traceback

# Python doesn't look beside the script by itself, under -I.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
from common import BROKEN, PART, TOO_LARGE, UNKNOWN, Problem

# The image's libraries, without its .pth files, which load the app's database. Under -S Python itself may not know their place.
LIBRARIES = "/usr/local/lib/python%d.%d/site-packages" % sys.version_info[:2]
SECONDS = 30
# Of a child's own memory, Python and the libraries included. Open WebUI and tailscaled leave that much of 512 MB.
MEMORY = 128 << 20
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
TOO_SLOW = f"{{name}} takes too long to read. {PART}"
TOO_LONG = f"{{name}} has %s characters of text, and the model can take at most {CHARACTERS:,}. {PART}"


def html(data):
    import bs4
    import markdownify

    page = bs4.BeautifulSoup(data, "lxml")
    # What isn't shown, and pictures, which would be links that nobody can follow, or megabytes of base64.
    for hidden in page(["script", "style", "template", "noscript", "svg", "img"]):
        hidden.decompose()
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


def confine():
    """What a child may take and do; it is the first that the kernel ends when the container is out of memory."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    for limit, value in (
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    # Ends the process, whatever a library is at: nothing handles it.
    signal.setitimer(signal.ITIMER_REAL, SECONDS)


def answer(connection):
    """Reads one request and answers it."""
    # Who asks for nothing holds nobody up.
    connection.settimeout(SECONDS)
    request, descriptors, _, _ = socket.recv_fds(connection, 65_536, 1)
    asked = json.loads(request)
    sys.path.append(LIBRARIES)
    confine()
    try:
        with os.fdopen(descriptors[0], "rb") as file:
            text, pictures = read(asked["name"], asked["type"] or "", file)
        if not text.strip():
            raise Problem(EMPTY)
        reply = {"text": bounded(cut(text).strip()), "pictures": pictures}
    except Problem as problem:
        reply = {"problem": str(problem)}
    except MemoryError:
        reply = {"problem": TOO_LARGE}
    except Exception:
        traceback.print_exc()
        reply = {"problem": BROKEN}
    send(connection, reply)


def send(connection, reply):
    connection.sendall(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace"))


def refuse(connection, problem):
    try:
        send(connection, {"problem": problem})
    except OSError:
        pass  # Nobody waits for it any more.


def serve(path):
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        # Who may connect is told by the folder's mode.
        os.umask(0)
        listener.bind(path)
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    child = os.fork()
                except OSError:
                    # There is no memory for one.
                    refuse(connection, TOO_LARGE)
                    continue
                if child == 0:
                    code = 1
                    try:
                        answer(connection)
                        code = 0
                    except BaseException:
                        traceback.print_exc()
                    finally:
                        os._exit(code)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                # A library that gets no memory ends the process, by one signal or another.
                if code != 0:
                    refuse(connection, TOO_SLOW if code == -signal.SIGALRM else TOO_LARGE if code < 0 else BROKEN)


if __name__ == "__main__":
    serve(sys.argv[1])
