"""Stores the files of an answer, which come in it as data URLs, as files of the person who chats.

Open WebUI 0.12.4 does so with pictures alone, under a name of its own (`convert_markdown_base64_images` in open_webui/utils/files.py,
called for each piece of a stream). Here any file is kept under the name that Hermes gives it (hermes/private_hermes/files.py), once
its last part has come, and a link takes its place. The part after # keeps what the model wrote, so that Hermes can restore it in later
requests.

On the disk the file has no name, and nothing but a picture has a type: whatever a page or a drawing from the sandbox holds, Open WebUI
serves it as bytes to keep or as plain text, and no browser runs it as a part of the page.
"""

import asyncio
import base64
import logging
import tempfile
import time
import uuid
from urllib.parse import unquote

from open_webui.models.chats import Chats
from open_webui.models.files import FileForm, Files
from open_webui.private.contract import PART, link_of_file
from open_webui.private.languages import translated
from open_webui.private.replacing import replaces
from open_webui.storage.provider import Storage

NOT_STORED = "[{} isn't here: it can't be stored. The log of the service open-webui in Render's dashboard tells why.]"
# Files of which more is to come, by whose they are and Hermes' id: when it began, how many parts have come, and those.
coming = {}
# In seconds, after which no more of it comes: the answer was stopped.
GIVEN_UP = 3600

log = logging.getLogger(__name__)


def add(key, part, parts, content):
    """Takes a part of a file, in their order; gives the file, without a name on the disk, when it was the last one."""
    if part == 1:
        for old in [key for key, (begun, *_) in coming.items() if time.monotonic() - begun > GIVEN_UP]:
            coming.pop(old)[2].close()
        coming[key] = (time.monotonic(), 0, tempfile.TemporaryFile())
    begun, taken, file = coming.pop(key)
    if part != taken + 1:
        raise ValueError(f"part {part} after part {taken}")
    file.write(content)
    if part == parts:
        return file
    coming[key] = (begun, part, file)


async def store(name, kind, file, metadata, user):
    """Makes a file of a person; gives its id. It belongs to the chat, so that who may read that may read it."""
    id = str(uuid.uuid4())
    size = file.tell()
    file.seek(0)
    _, path = await asyncio.to_thread(Storage.upload_file, file, id, {})
    meta = {"name": name, "content_type": kind, "size": size, "data": {"from": "sandbox"}}
    await Files.insert_new_file(user.id, FileForm(id=id, filename=name, path=path, meta=meta))
    if metadata.get("chat_id") and metadata.get("message_id"):
        await Chats.insert_chat_files(metadata["chat_id"], metadata["message_id"], [id], user.id)
    return id


@replaces("open_webui.utils.files:convert_markdown_base64_images")
async def with_links(original, request, content, metadata, user):
    """A piece of an answer with a link in the place of each file that is complete, and nothing in the place of other parts."""
    pieces, end = [], 0
    for found in PART.finditer(content):
        picture, text, kind, name, source, file_id, part, parts, encoded = found.groups()
        link = ""
        try:
            if file := add((user.id, file_id), int(part), int(parts), base64.b64decode(encoded)):
                with file:
                    id = await store(unquote(name), kind, file, metadata, user)
                link = link_of_file(text, picture, id, source)
        except Exception:
            log.exception("A file of an answer can't be stored")
            link = translated(NOT_STORED.format(text)) if part == parts else ""
        pieces += [content[end : found.start()], link]
        end = found.end()
    return "".join([*pieces, content[end:]])
