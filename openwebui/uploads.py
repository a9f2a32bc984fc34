"""Gives uploads to the extractor (extractor.py) to read, and says what keeps one from being read.

Open WebUI 0.12.4 (slim) refuses documents, and reads text files in its own process. Here every upload goes to the extractor, as
an open file over a Unix socket. What that can't read is a sentence. The page shows it once, and keeps the file in the chat; so
the sentence stands in the place of the file's text, too, and the model can say in its answer what the person overlooked.

Open WebUI holds a whole upload in memory to write it to the disk. Here a file costs this process no memory but for its text.

Open WebUI tells whoever deletes a file that it couldn't be deleted, because the slim image has no index to delete it from as well. It is gone by then.
"""

import contextlib
import errno
import json
import mmap
import os
import shutil
import socket
from pathlib import Path

from langchain_core.documents import Document
from open_webui.config import UPLOAD_DIR
from open_webui.constants import ERROR_MESSAGES
from open_webui.models.files import Files
from open_webui.private import scans
from open_webui.private.languages import translated
from open_webui.private.replacing import replaces

SOCKET = "/var/lib/extractor/socket"
# Seconds; several uploads wait for each other, and one takes half a minute at most.
PATIENCE = 600
UNAVAILABLE = "{name} can't be read at the moment. Wait a minute, and upload it again."
NO_ROOM = "The disk of this page takes no file now. Tell the admin: if it is full, a larger one is had by webuiDiskGb."


class Unreadable(Exception):
    """What keeps a file from being read, in the language of the page; `in_english` is the same for the model."""

    def __init__(self, problem, name=""):
        # The name is filled in at the end: it may have anything in it.
        super().__init__(translated(problem).replace("{name}", name))
        self.in_english = problem.replace("{name}", name)


def ask(name, content_type, path):
    """What the extractor says of a file: `{"text"}`, with or without "pictures", or `{"problem"}`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection, open(path, "rb") as file:
            connection.settimeout(PATIENCE)
            connection.connect(SOCKET)
            socket.send_fds(connection, [json.dumps({"name": name, "type": content_type}).encode()], [file.fileno()])
            with connection.makefile("rb") as reply:
                return json.load(reply)
    except (OSError, ValueError):
        return {"problem": UNAVAILABLE}


@replaces("open_webui.retrieval.loaders.main:Loader.load")
def load(original, self, filename, file_content_type, file_path):
    reply = ask(filename, file_content_type, file_path)
    if "problem" in reply:
        raise Unreadable(reply["problem"], filename)
    try:
        scans.keep(file_path, reply.get("pictures", ()))
    except OSError as error:
        raise Unreadable(NO_ROOM) from error
    return [Document(page_content=reply["text"], metadata={})]


@replaces("open_webui.storage.provider:LocalStorageProvider.upload_file")
def store(original, file, filename, tags):
    """Keeps a file, as Open WebUI does, but gives its bytes as those on the disk and not as a copy in memory."""
    path = os.path.join(UPLOAD_DIR, filename)
    try:
        with open(path, "w+b") as kept:
            shutil.copyfileobj(file, kept, 1 << 16)
            if not kept.tell():
                raise ValueError(ERROR_MESSAGES.EMPTY_CONTENT)
            kept.flush()
            return mmap.mmap(kept.fileno(), 0, access=mmap.ACCESS_READ), path
    except Exception as error:
        # Too long a name makes no file, and has Open WebUI try a shorter one.
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            raise
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)
        if isinstance(error, OSError):
            # Open WebUI shows its words.
            raise OSError(error.errno, translated(NO_ROOM)) from error
        raise


@replaces("open_webui.retrieval.vector.async_client:AsyncVectorDBClient.delete")
async def delete_from_index(original, self, *arguments, **more):
    """There is nothing to delete."""


@replaces("open_webui.routers.files:index_file")
async def index_file(original, request, form_data, user, db):
    try:
        return await original(request, form_data, user, db)
    except Exception as error:
        if isinstance(error.__context__, Unreadable):
            await Files.update_file_data_by_id(form_data.file_id, {"content": f"[{error.__context__.in_english}]"}, db=db)
        raise
