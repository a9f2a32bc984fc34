"""Brings a file that the agent names in an answer to the person: out of that person's sandbox, and from nowhere else.

The agent writes `MEDIA:/path` at the end of a line, as Hermes' own hints have it, or `[words](sandbox:/path)`, which models know from
elsewhere. Hermes 0.19.0 looks for such a path on the gateway's own disk, where none of the agent's files are but everybody's chats,
and in the page only where an answer isn't streamed. All of that is replaced.

In the page the file's bytes take the place of its name, as data URLs, each with a part of it and in a piece of the stream of its own.
Open WebUI stores them as a file of the person who chats, with a link to it (openwebui/files.py); the place is told along, so that in
the history of later requests, and in Hermes' own, stands what the model wrote. A file that can't be had leaves a sentence, which the
model reads, too.

Elsewhere, as on Telegram, the bytes go through a file of a folder from which alone Hermes' adapters may send.
"""

import asyncio
import base64
import logging
import os
import re
import shutil
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

from . import replaces
from .contract import LINK, part_of_file
from .people import asks, person_of_task
from .progress import Changed
from .registering import context
from .sandbox.everybody import sandbox_of
from .sandbox.limits import HOME
from .sandbox.modal_client import SandboxError

# Bytes of one file, the same as of an upload. What a file of this size costs is in docs/figures.md.
LIMIT = int(os.environ["FILE_LIMIT_MB"]) << 20
# Bytes of a part, a multiple of 3: Open WebUI copies a piece of the stream several times.
PART = 48 << 10
# In one answer, lest one fills the disk.
MAX_FILES = 20

# Not on the disk: what lies here is on its way, and may go after so many seconds.
OUTBOX = Path(os.path.realpath(tempfile.gettempdir())) / "hermes-outbox"
ON_ITS_WAY = 3600

# What the browser shows as a picture, by its first bytes and never by its name: an SVG is a page with scripts.
PICTURES = [(rb"\x89PNG\r\n", "image/png"), (rb"\xff\xd8\xff", "image/jpeg"), (rb"GIF8[79]a", "image/gif"), (rb"RIFF....WEBP", "image/webp")]

# A path with blanks ends with a dot and some letters; otherwise the rest of a sentence would be one.
PLACE = re.compile(
    r"""[`"'*]{0,3}MEDIA:[ \t]*[`"'*]{0,3}(?P<path>~?/(?:\S+?|(?:(?!MEDIA:).)+?\.\w{1,8}))[`"'*]{0,3}[.,;]?\s*?(?=$|[`"'*]{0,3}MEDIA:)"""
    r"""|!?\[[^\[\]\n]*\]\(<?sandbox:(?P<link>/[^)>\n]+)>?\)"""
)


def beginning_of(text):
    """An expression for the beginnings of a text, the empty one included."""
    return f"(?:{re.escape(text[0])}{beginning_of(text[1:])})?" if text else ""


# The end of a line that isn't complete, as far as it may become such a place.
BEGUN = re.compile(
    rf"""(?:[`"'*]{{0,3}}(?:MEDIA:.*|{beginning_of('MEDIA:')})|!|!?\[[^\[\]\n]*(?:\](?:\(<?(?:sandbox:.*|{beginning_of('sandbox:')}))?)?)$"""
)
# Characters of such a place. What has begun before that is none, as a list of numbers without a line's end.
LONGEST = 4096
# A character without a width or a meaning.
JOINER = "\u2060"
NOT_STREAMED = "files come with streamed answers only, so switch streaming on in the settings of this chat"

log = logging.getLogger(__name__)


class Answer:
    """An answer that comes in pieces, in which each file's place is filled.

    `fill` makes pieces of a path and how it was written, texts or what makes them; it raises SandboxError with the reason why not.
    """

    def __init__(self, fill):
        self._fill, self._line, self._passed, self._code, self._files = fill, "", 0, False, 0

    def add(self, text):
        """Takes a piece; gives those that are ready, those of a file apart."""
        for piece in re.findall(r"[^\n]*\n|[^\n]+", text):
            self._line += piece
            if piece.endswith("\n"):
                yield from self.end()
            elif ready := self._line[self._passed : None if self._code else BEGUN.search(self._line, max(self._passed, len(self._line) - LONGEST)).start()]:
                self._passed += len(ready)
                yield ready

    def end(self):
        """Gives what is left of the line."""
        rest, line = self._line[self._passed :], self._line
        self._line, self._passed = "", 0
        if re.match(r"\s*(```|~~~)", line):
            self._code = not self._code
        while not self._code and (found := PLACE.search(rest)):
            if found.start():
                yield rest[: found.start()]
            rest = rest[found.end() :]
            yield from self._filled(found)
        if rest:
            yield rest

    def _filled(self, found):
        self._files += 1
        path = found["path"] or unquote(found["link"])
        if self._files > MAX_FILES:
            return [missing(path, f"this answer has more than {MAX_FILES} files")]
        try:
            return self._fill(re.sub("^~", HOME, path), "MEDIA" if found["path"] else "sandbox")
        except SandboxError as error:
            return [missing(path, str(error))]
        except Exception:
            # As of a full disk; the rest of the answer comes.
            log.exception("A file of an answer can't be sent")
            return [missing(path, "it can't be sent, and the log of the service hermes tells why")]


def filled(text, fill):
    answer = Answer(fill)
    return "".join([*answer.add(text), *answer.end()])


def name_of(path):
    """A file's name as it can stand in Markdown, in a header and in a path."""
    name = re.sub(r"[^\w .,()+=@&%#'~;–—‘’“”„«»…·°§€£-]", "_", os.path.basename(path.rstrip("/")))
    stem, end = os.path.splitext(name.strip(" .'"))
    return f"{stem[:80]}{end[:20]}" or "file"


def missing(path, reason):
    return f"[{name_of(path)} isn't here: {reason.rstrip('.')}.]"


def read(person, path):
    """A file of a person's sandbox, as an open file on the disk here, and what is to be said of it. Raises SandboxError with the reason why not."""
    file = tempfile.TemporaryFile()
    note = sandbox_of(person).read_file(path, LIMIT, file)
    return file, f"[{name_of(path)}: {note}]\n" if note else ""


def for_page(person):
    """Fills the place of a file with its bytes in parts, as openwebui/files.py takes them; each is made when it is sent."""

    def fill(path, written):
        # It waits on the disk, for as long as a part of it isn't sent.
        file, note = read(person, path)
        kind = next((kind for start, kind in PICTURES if re.match(start, os.pread(file.fileno(), 20, 0), re.DOTALL)), None)
        name, source, id, parts = name_of(path), f"{written}:{quote(path)}", uuid.uuid4(), -(-file.tell() // PART)

        def part(number):
            encoded = base64.b64encode(os.pread(file.fileno(), PART, number * PART)).decode()
            return part_of_file(name, kind, source, id, number + 1, parts, encoded)

        return [*filter(None, [note]), *(partial(part, number) for number in range(parts))]

    return fill


def for_chat(person):
    """Fills the place of a file with the path of one in the outbox, as Hermes' adapters take it."""

    def fill(path, written):
        content, note = read(person, path)
        OUTBOX.mkdir(mode=0o700, exist_ok=True)
        for folder in OUTBOX.glob("*"):
            if folder.stat().st_mtime < time.time() - ON_ITS_WAY:
                shutil.rmtree(folder, ignore_errors=True)
        # Nobody else's answer can name it. Without what would end the path for Hermes (_normalize_media_tag_path in base.py).
        file = OUTBOX / uuid.uuid4().hex / (re.sub(r"[\s']", "_", name_of(path)).rstrip(",;)") or "file")
        file.parent.mkdir(mode=0o700)
        content.seek(0)
        with content, file.open("wb") as copy:
            shutil.copyfileobj(content, copy)
        return [f"{note}MEDIA:{file}"]

    return fill


def of_outbox(path):
    """The path of a file that may be sent, or None."""
    file = Path(os.path.normpath(str(path).strip()))
    # In this order, so that nothing else on the disk is even looked for.
    return str(file) if file.parent.parent == OUTBOX and file.is_file() else None


def as_written(content):
    """A message with the places of files as the model wrote them."""
    if isinstance(content, list):
        return [{**part, "text": as_written(part["text"])} if isinstance(part, dict) and isinstance(part.get("text"), str) else part for part in content]
    if not isinstance(content, str) or "/api/v1/files/" not in content:
        return content
    return LINK.sub(lambda found: f"[{found[1]}](sandbox:{found[3]})" if found[2] == "sandbox" else f"MEDIA:{unquote(found[3])}", content)


def with_files(pieces):
    """The pieces of an answer, with the files that are made as they are taken out."""
    return Changed(pieces, lambda piece: piece() if callable(piece) else piece)


def without_places(result):
    """The result of a turn in which Hermes finds no place of a file any more: it would read it on the gateway (`_resolve_media_to_data_urls` in api_server.py)."""
    return {**result, "final_response": (result.get("final_response") or "").replace("MEDIA:", f"MEDIA{JOINER}:")}


async def run_agent(original, *arguments, stream_delta_callback=None, **more):
    if not stream_delta_callback:
        result, usage = await original(*arguments, **more)
        # Not the bytes, for nobody would take them out of the text again.
        said = filled(result.get("final_response") or "", lambda path, written: [missing(path, NOT_STREAMED)])
        return without_places({**result, "final_response": said}), usage

    answer, late = Answer(for_page(asks.get()[0])), []

    def write(pieces):
        for piece in pieces:
            stream_delta_callback(piece)

    def on_delta(delta):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            write(answer.end() if delta is None else answer.add(delta))
        else:
            # Not from the agent's thread, as what failures.py adds: a file would be waited for where everybody's chats run.
            late.append(delta)

    result, usage = await original(*arguments, stream_delta_callback=on_delta, **more)

    def finish():
        for delta in late:
            write(answer.add(delta))
        write(answer.end())

    await asyncio.to_thread(finish)
    return without_places(result), usage


def at_the_end(response_text, session_id, platform, **more):
    """The text of an answer elsewhere than in the page, with its files; None if nothing of it is another.

    Called at the end of each turn, once the answer is in the history, on the thread by which people.py knows whose it is.
    """
    if platform == "api_server":
        return None
    person = person_of_task(session_id)
    text = filled(response_text, for_chat(person))
    if platform == "cron" and (note := sandbox_of(person).take_note()):
        # After a job nobody asks for a next command, which would tell it.
        text = f"{text}\n\n{note}"
    return text if text != response_text else None


@replaces("gateway.platforms.base:validate_media_delivery_path")
def media_path(original, path):
    return of_outbox(path)


def register():
    context.register_hook("transform_llm_output", at_the_end)
