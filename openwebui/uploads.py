"""Has uploads read by the extractor (extractor.py), and says what keeps one from being read.

Open WebUI 0.12.4 (slim) refuses documents, and reads text files in its own process. Here every upload goes to the extractor, as
an open file over a Unix socket. What that can't read is a sentence. The page shows it once, and keeps the file in the chat; so
the sentence stands in the place of the file's text, too, and the model can say in its answer what the person overlooked.

Open WebUI has a whole upload in memory to write it to the disk. Here a file costs this process no memory but for its text.

Open WebUI tells whoever deletes a file that it couldn't be deleted, because the slim image has no index to delete it from as well. It is gone by then.

Hooked into open_webui/routers/files.py by hooks.py.
"""

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
from open_webui.private.hooks import expected
from open_webui.retrieval.loaders.main import Loader
from open_webui.storage.provider import LocalStorageProvider

SOCKET = "/var/lib/extractor/socket"
# Seconds; several uploads wait for each other, and one takes half a minute at most.
PATIENCE = 600
UNAVAILABLE = "{name} can't be read at the moment. Wait a minute, and upload it again."

# The parameters of what is replaced.
LOAD = ["self", "filename", "file_content_type", "file_path"]
INDEX = ["request", "form_data", "user", "db"]
STORE = ["file", "filename", "tags"]
DELETE = ["self", "collection_name", "ids", "filter"]


class Unreadable(Exception):
    """What keeps a file from being read, as a sentence."""


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


def load(self, filename, file_content_type, file_path):
    reply = ask(filename, file_content_type, file_path)
    if "problem" in reply:
        raise Unreadable(reply["problem"].replace("{name}", filename))
    scans.keep(file_path, reply.get("pictures", ()))
    return [Document(page_content=reply["text"], metadata={})]


def store(file, filename, tags):
    """Keeps a file, as Open WebUI does, but gives its bytes as those on the disk and not as a copy in memory."""
    path = os.path.join(UPLOAD_DIR, filename)
    try:
        with open(path, "w+b") as kept:
            shutil.copyfileobj(file, kept, 1 << 16)
            if not kept.tell():
                raise ValueError(ERROR_MESSAGES.EMPTY_CONTENT)
            kept.flush()
            return mmap.mmap(kept.fileno(), 0, access=mmap.ACCESS_READ), path
    except Exception:
        # Too long a name makes no file, and has Open WebUI try a shorter one.
        Path(path).unlink(missing_ok=True)
        raise


class NoIndex:
    """In the place of the client of a vector store (open_webui/retrieval/vector/async_client.py)."""

    async def delete(self, collection_name, ids=None, filter=None):
        """Has nothing to delete."""


def install(router):
    """Replaces what keeps a file, what reads it, what calls that and where it is indexed, in open_webui/routers/files.py, given as its namespace; raises when it isn't what it was."""
    expected(LocalStorageProvider.upload_file, STORE)
    expected(Loader.load, LOAD)
    expected(type(router["ASYNC_VECTOR_DB_CLIENT"]).delete, DELETE)
    index = expected(router["index_file"], INDEX)

    async def index_file(request, form_data, user, db):
        try:
            return await index(request, form_data, user, db)
        except Exception as error:
            if isinstance(error.__context__, Unreadable):
                await Files.update_file_data_by_id(form_data.file_id, {"content": f"[{error.__context__}]"}, db=db)
            raise

    LocalStorageProvider.upload_file = staticmethod(store)
    Loader.load = load
    router["index_file"] = index_file
    router["ASYNC_VECTOR_DB_CLIENT"] = NoIndex()
