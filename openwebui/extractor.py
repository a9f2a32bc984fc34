"""Reads documents for Open WebUI: gives their text as Markdown, the pages of a scan, or a sentence that says what to do.

    python3 -I -S extractor.py SOCKET

Open WebUI's slim image reads no documents. uploads.py sends each upload here, over a Unix socket: one message with
`{"name", "type"}` in JSON and the file's descriptor, so that no byte of the file passes through the app's memory. The answer is
`{"text"}`, with "pictures" for a PDF that has none (JPEG, in base64), or `{"problem"}` in JSON, up to the end of the connection; `{name}` in a problem stands for the file's name.

Documents are foreign data, and the libraries that read them are large. So each is read in a child process with limits on memory,
time and what it may do; entrypoint.sh runs this as a user of its own, who has nothing else. The parent imports nothing and
waits: one conversion at a time, and 8 MB while there is none.

The libraries were chosen by reading documents of other projects' test suites (of Apache Tika, python-docx, python-pptx, odfpy)
and of Debian's manuals: docs/figures.md, "Documents".
"""

import base64
import io
import json
import os
import resource
import signal
import socket
import sys
import traceback

# The image's libraries, without its .pth files, which load the app's database. Under -S Python itself may not know their place.
LIBRARIES = "/usr/local/lib/python%d.%d/site-packages" % sys.version_info[:2]
SECONDS = 30
# Of a child's own memory, Python and the libraries included. Open WebUI and tailscaled leave that much of 512 MB.
MEMORY = 128 << 20
PAGES = 300
# Of a PDF without text, which the model is shown as pictures: as many as Hermes passes on (hermes/private_hermes/messages.py), as
# large as the page makes photos, in pixels (Dockerfile).
SHOWN, SIDE = 8, 1568
# Some 150,000 tokens in English. More is refused here, because the model would refuse it at each later message of the chat.
CHARACTERS = 600_000

READ = "PDF, DOCX, XLSX, PPTX, ODT, RTF, EPUB, CSV, HTML and text"
PART = "Save the part that matters as a file of its own, and upload that."
SCAN = "(This document has no text, as a scan has. Its %d pages are shown as pictures, behind the message.)"
TOO_MANY_SHOWN = (
    f"{{name}} has no text, only pictures of its %d pages, and the model can be shown at most {SHOWN}. Save the pages that matter as a "
    "file of their own, or run a text recognition (OCR) over it first."
)
EMPTY = "{name} has no text in it. Upload pictures as pictures."
PROTECTED = "{name} is protected by a password. Save a copy without the password, and upload that."
BROKEN = "{name} can't be read: it is damaged, protected, or not what its name says. Open it in the program that made it, save it anew, and upload that."
UNKNOWN = f"{{name}} is of a kind that can't be read. These can: {READ}. Save it as one of them, and upload that."
TOO_LARGE = f"{{name}} takes too much memory to read. {PART}"
TOO_SLOW = f"{{name}} takes too long to read. {PART}"
TOO_MANY_PAGES = f"{{name}} has %d pages, and at most {PAGES} can be read. {PART}"
TOO_LONG = f"{{name}} has %s characters of text, and the model can take at most {CHARACTERS:,}. {PART}"


class Problem(Exception):
    """What keeps a document from being read, as a sentence for the person who has uploaded it."""


def pdf(file):
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        raise Problem(PROTECTED if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD else BROKEN) from error
    if not len(document):
        raise Problem(BROKEN)
    if len(document) > PAGES:
        raise Problem(TOO_MANY_PAGES % len(document))
    pages, length = [], 0
    for page in document:
        pages.append(page.get_textpage().get_text_bounded().replace("\r\n", "\n").strip())
        length += len(pages[-1])
        page.close()
    if length == 0:
        return drawn(document)
    return "\n\n".join(f"**Page {number}**\n\n{text or '(This page is blank or a picture.)'}" for number, text in enumerate(pages, 1))


def drawn(document):
    """The pages of a PDF as pictures."""
    if len(document) > SHOWN:
        raise Problem(TOO_MANY_SHOWN % len(document))
    pictures = []
    for page in document:
        file = io.BytesIO()
        page.render(scale=SIDE / max(page.get_size())).to_pil().convert("RGB").save(file, "JPEG", quality=80)
        pictures.append(base64.b64encode(file.getvalue()).decode())
        page.close()
    return pictures


def office(data, kind):
    import anydoc

    try:
        return anydoc.to_markdown_bytes(data, kind)
    except anydoc.EncryptedError as error:
        raise Problem(PROTECTED) from error
    except anydoc.ResourceLimitError as error:
        raise Problem(TOO_LARGE) from error
    except anydoc.ConvertError as error:
        raise Problem(BROKEN) from error


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


def markdown(name, content_type, file):
    """The text of a document, or a list of pictures, by what is in it rather than by its name; raises `Problem`."""
    import anydoc

    head = file.read(1024)
    file.seek(0)
    if b"%PDF-" in head:
        return pdf(file)
    data = file.read()
    extension = os.path.splitext(name)[1].lower()
    kind = anydoc.format_from_bytes(data) or anydoc.format_from_extension(extension)
    if kind not in (None, "csv"):
        return office(data, kind)
    if extension in (".html", ".htm", ".xhtml") or "html" in content_type:
        return html(data)
    # A table takes fifty times its size to read, so one that is too long isn't tried.
    text = bounded(plain(data))
    return office(text.encode(), "csv") if kind == "csv" else text


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
    request, descriptors, _, _ = socket.recv_fds(connection, 65_536, 1)
    asked = json.loads(request)
    sys.path.append(LIBRARIES)
    confine()
    try:
        with os.fdopen(descriptors[0], "rb") as file:
            found = markdown(asked["name"], asked["type"] or "", file)
        if isinstance(found, list):
            reply = {"text": SCAN % len(found), "pictures": found}
        elif text := found.strip():
            reply = {"text": bounded(text)}
        else:
            raise Problem(EMPTY)
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
                child = os.fork()
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
                try:
                    # A library that gets no memory ends the process, by one signal or another.
                    if code != 0:
                        send(connection, {"problem": TOO_SLOW if code == -signal.SIGALRM else TOO_LARGE if code < 0 else BROKEN})
                except OSError:
                    pass  # Nobody waits for it any more.


if __name__ == "__main__":
    serve(sys.argv[1])
