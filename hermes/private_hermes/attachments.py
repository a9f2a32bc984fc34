"""Brings files from Telegram into the sender's sandbox, as those of the page (handover.py), and their text to the model.

Hermes 0.19.0 tells the model the path of an attachment on the gateway's disk, where none of its tools looks, and tells it to read that. It puts
a text into the message if it is UTF-8 and short, and says so of others, too. Here each attachment but a voice message is handed over, and
the model reads its path in the sandbox. A text is put into the message, of a long one the beginning and of a large table the head.
Documents are read as in the page, by document_reader.py: what is in them stands in the message, and pages that are more than their text
are shown. Where that fails, the model is told why, or how it reads the file in its sandbox, and what is easily overlooked there.

A picture is shown to the model besides, as in the page: one of a kind that models don't take, or a large one, as JPEG (pictures.py).
Hermes would tell its path on the gateway, too. Of an audio file the words stand in the message, as in the page (voice.py). A video is a
file in the sandbox, as in the page.
"""

import asyncio
import logging
import os
import re
import shutil
import uuid
from pathlib import Path

from gateway.platforms import base
from gateway.platforms.base import MessageType
from hermes_constants import get_hermes_home

from . import handover, pictures, readers, replaces, voice
from .files import LIMIT, PICTURES
from .inbox import is_allowed
from .people import named

# Characters of a text that is put into a message whole, and of the beginning of a longer one; of a table the rows.
WHOLE, TABLE, BEGINNING, ROWS = 100_000, 50_000, 10_000, 50
TABLES = (".csv", ".tsv", ".tab")
# Texts that are read as documents are, for most of them is markup.
MARKUP = (".html", ".htm", ".xhtml")
# What keeps a document from being read by the process that does it. Nothing is said of one of a kind that nothing reads.
REASONS = "it takes too long to read here", "it takes too much memory to read here", ""
# How a document is read in the sandbox, as far as SANDBOX_PACKAGES has it.
READING = {
    ".pdf": "read it with pdftotext -layout; values of forms, notes and what is a picture may be missing there, so look for them, too",
    ".xlsx": "read it with openpyxl; say so if sheets, rows or columns are hidden, or if formulas have no value yet",
    ".docx": "it is a ZIP: its text is word/document.xml, and there are headers, footers and comments beside that",
    ".pptx": "it is a ZIP: its slides are ppt/slides/*.xml, its notes ppt/notesSlides/*.xml",
    ".odt": "it is a ZIP: its text is content.xml",
    ".ods": "it is a ZIP: its cells are content.xml",
    ".eml": "read it with Python's email",
}
# By their names, as a sender may say no kind, or "application/octet-stream".
PICTURE_NAMES = (".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif", ".jp2", ".ico")
# Bytes of a picture that the model is shown as it is.
SMALL = 1 << 20
PICTURE = "you aren't shown it, for {}"
VIDEO = "you can't see or hear it, but work with it as a file"
TOO_LARGE = f"📎 The file is larger than {LIMIT >> 20} MB, or Telegram doesn't say how large it is. Send it in parts, or make a smaller one."
NOT_TAKEN = "📎 What came with the message can't be taken now. Send it again; if that changes nothing, the log of Hermes says why."
NOT_FETCHED = "📎 The file can't be fetched from Telegram now. Send it again."
# What Hermes puts before a document's name in its cache (cache_document_from_bytes in gateway/platforms/base.py); other files lose theirs.
CACHED = "doc_0123456789ab_"

# How it names the picture of a message (agent/image_routing.py).
IMAGE_AT = re.compile(rf"\[Image attached at: {re.escape(str(get_hermes_home()))}/[^\]\n]*\]\n?")

log = logging.getLogger(__name__)
# By the path of an attachment that comes with others: its name, as its sender has it.
names = {}


def text_of(data):
    """A text, whatever program has written it: UTF-8, or as Excel writes it in Western Europe; None if it isn't one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def shown(name, text):
    """What stands of a text in the message, with a sentence about what doesn't."""
    if name.lower().endswith(TABLES):
        if len(text) > TABLE:
            lines = text.rstrip().splitlines()
            text = "\n".join(lines[: ROWS + 1])[:BEGINNING]
            return f"(Of the {len(lines) - 1:,} rows of {name} the first {text.count(chr(10))} stand here. All are in the file: count and compute there.)\n\n{text}"
    elif len(text) > WHOLE:
        return f"(Of the {len(text):,} characters of {name} the first {BEGINNING:,} stand here. All are in the file.)\n\n{text[:BEGINNING]}"
    return f"(Text of {name})\n\n{text}"


def is_shown(path, kind):
    """Whether a file is a picture that models take, by its first bytes."""
    if not kind.startswith("image/"):
        return False
    try:
        with path.open("rb") as file:
            beginning = file.read(12)
    except OSError:
        return False
    return any(re.match(start, beginning, re.DOTALL) for start, _ in PICTURES)


def shown_to_model(name, kind, cached):
    """A picture as the model is shown it, and why it isn't: its files in Hermes' cache with their kinds. Nothing of what isn't one. Raises OSError."""
    if not kind.startswith("image/") and not name.lower().endswith(PICTURE_NAMES):
        return [], ""
    if is_shown(cached, kind) and (cached.stat().st_size <= SMALL or kind == "image/gif"):
        return [(str(cached), kind)], ""
    try:
        return [(base.cache_image_from_bytes(picture), "image/jpeg") for picture in pictures.jpegs(cached)], ""
    except (pictures.Unreadable, ValueError) as error:
        return [], PICTURE.format(error)


def read(name, kind, cached):
    """What stands in a document, the pictures of its pages as the model is shown them, and why nothing of it is read."""
    extension = re.search(r"\.\w{1,8}\Z|\Z", name.lower(), re.ASCII)[0]
    try:
        said = readers.ask("document_reader.py", cached, REASONS, extension, kind if kind in ("text/html", "message/rfc822") else "")
        pages = [(base.cache_image_from_bytes(picture), "image/jpeg") for picture in said.get("pictures", ())]
    except (OSError, ValueError) as error:
        log.warning("a document can't be read: %s", error)
        return "", [], ""
    text = f"(Text of {name})\n\n{said['text']}" if said.get("text") else ""
    return text, pages, said.get("problem", "").replace("{name}", name).rstrip(".")


def missing(name, kind, refused):
    """What the model is told of a file of which nothing stands in the message."""
    if kind.startswith("video/"):
        return VIDEO
    reading = READING.get(os.path.splitext(name)[1].lower())
    return ", ".join(filter(None, ["nothing of it stands here", refused or reading]))


def name_of(event):
    """The name of a message's file, as its sender has it, or None: a photo has none."""
    return getattr(event.raw_message.effective_attachment, "file_name", None)


def remember(event):
    """Keeps the name of a file that Hermes is about to put together with others."""
    names.update((path, name) for path in event.media_urls if (name := name_of(event)))


def hand_over(event, number, cached, kind, heard):
    """Hands an attachment over; gives its place in the sandbox or why it has none, what stands of it in the message, and as what the model sees it.

    `heard` has of an audio file what is said in it, and why nothing is.
    """
    own = names.pop(str(cached), None) or (name_of(event) if number == 0 else None)
    name = cached.name[len(CACHED) :] if cached.name.startswith("doc_") else own or f"{kind.split('/')[0]}{cached.suffix}"
    if name.lower().endswith(".svg"):
        kind = "text/svg"
    words, refused = heard
    content, seen = f"(What is said in {name})\n\n{words}" if words else "", []
    try:
        if not kind.startswith(("image/", "audio/", "video/")) and (cached.suffix.lower() in base._TEXT_INJECT_EXTENSIONS or kind.startswith("text/")):
            data = cached.read_bytes()
            if (text := text_of(data)) is not None:
                content = "" if name.lower().endswith(MARKUP) else shown(name, text)
                # What Hermes itself has put in, whole.
                known = re.sub(r"[^\w.\- ]", "_", name)
                event.text = (event.text or "").replace(f"[Content of {known}]:\n{data.decode(errors='replace')}", "", 1).strip()
        seen, unseen = shown_to_model(name, kind, cached)
        if not (content or seen or unseen or kind.startswith(("image/", "audio/", "video/"))):
            content, seen, refused = read(name, kind, cached)
        new = handover.root() / f"{uuid.uuid4().hex}.new"
        new.parent.mkdir(mode=0o700, exist_ok=True)
        # Hermes shows the model a picture from its cache.
        (shutil.copyfile if (str(cached), kind) in seen else os.replace)(cached, new)
        id = f"{event.source.platform.value}-{event.source.chat_id}-{event.message_id}-{number}"
        place = handover.keep(named("telegram", str(event.source.user_id)), id, name, new)
        # Of a message that is replied to Hermes tells the path.
        event.text = (event.text or "").replace(str(cached), place)
        pages = f" (you see its {len(seen)} pages)" if len(seen) > 1 and not content else ""
        return place + (pages if content or seen else f" ({unseen or missing(name, kind, refused)})"), content, seen
    except (handover.Refused, OSError) as error:
        log.warning("an attachment can't be kept: %s", error)
        return f"{name} isn't there: {error if isinstance(error, handover.Refused) else handover.NO_ROOM}", content, seen


def hand_all_over(event, heard):
    kinds = [*event.media_types, *[""] * len(event.media_urls)]
    done = [hand_over(event, number, Path(path), kind, heard.get(path, ("", ""))) for number, (path, kind) in enumerate(zip(event.media_urls, kinds))]
    seen = [picture for *_, pictures_of_one in done for picture in pictures_of_one]
    event.media_urls, event.media_types = [path for path, _ in seen], [kind for _, kind in seen]
    event.message_type = MessageType.PHOTO if seen else MessageType.TEXT
    line = f"[Given by the person, and byte for byte in the sandbox: {', '.join(place for place, *_ in done)}]"
    event.text = "\n\n".join(filter(None, [line, *(content for _, content, _ in done), event.text]))


async def words_of(path):
    """What is said in an audio file, and why nothing is."""
    try:
        with open(path, "rb") as file:
            return await voice.in_turn(file), ""
    except voice.Refused as refused:
        return "", f"its words can't be had: {str(refused).rstrip('.')}"
    except OSError:
        return "", ""


async def show_sticker(sticker, event):
    """Has the model see a sticker in the message itself. Hermes asks a model for a description first, in a second call, and keeps it."""
    event.text = f"[The person sent a sticker{f', {sticker.emoji}' if sticker.emoji else ''}.]"
    if not (sticker.is_animated or sticker.is_video):
        try:
            data = await (await sticker.get_file()).download_as_bytearray()
            event.media_urls, event.media_types = [base.cache_image_from_bytes(bytes(data), ".webp")], ["image/webp"]
            event.message_type = MessageType.PHOTO
        except Exception as error:
            log.warning("a sticker can't be fetched: %s", type(error).__name__)


def place_of(event):
    """Where an answer goes within a chat, as Hermes has it."""
    return {"thread_id": event.source.thread_id} if event.source.thread_id else None


async def fetch_picture(event, document):
    """Takes a document that Hermes has refused as a picture, and so dropped, with its caption, as a file."""
    data = await (await document.get_file()).download_as_bytearray()
    path = base.cache_document_from_bytes(bytes(data), document.file_name or "picture")
    event.media_urls, event.media_types, event.text = [path], ["image/other"], event.raw_message.caption or ""


def attached(event):
    """What Telegram says of the file of a message, if it is one that may be too large or of an odd kind."""
    return next((sent for kind in ("document", "video", "audio") if (sent := getattr(event.raw_message, kind, None))), None)


async def go_on(adapter, event):
    """Hands the attachments of a message over, and says whether there is something to answer."""
    if not is_allowed(event.source.user_id) or event.message_type == MessageType.VOICE or getattr(event.raw_message, "sticker", None):
        return True
    if not event.media_urls and (sent := attached(event)):
        # Hermes has said so to who has sent it.
        if "they have been asked to retry" in (event.text or ""):
            return False
        place = place_of(event)
        if (sent.file_size or LIMIT + 1) > LIMIT:
            await adapter.send(event.source.chat_id, TOO_LARGE, metadata=place)
            return False
        if document := event.raw_message.document:
            try:
                await fetch_picture(event, document)
            except Exception as error:
                log.warning("a document can't be fetched: %s", type(error).__name__)
                await adapter.send(event.source.chat_id, NOT_FETCHED, metadata=place)
                return False
    if event.media_urls:
        heard = {path: await words_of(path) for path, kind in zip(event.media_urls, event.media_types) if kind.startswith("audio/")}
        await asyncio.to_thread(hand_all_over, event, heard)
    return True


def without_path(part):
    """A part of a message to the model, without the paths of the gateway that Hermes puts below a text."""
    return {**part, "text": IMAGE_AT.sub("", part["text"]).rstrip()} if part.get("type") == "text" else part


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, user_message, *arguments, **more):
    if self.platform == "telegram" and isinstance(user_message, list):
        user_message = [without_path(part) for part in user_message]
    return original(user_message, *arguments, **more)
