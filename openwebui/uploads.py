"""Has uploads read by the extractor (extractor.py), and says what keeps one from being read.

Open WebUI 0.12.4 (slim) refuses documents, and reads text files in its own process. Here every upload goes to the extractor, as
an open file over a Unix socket: it costs this process no memory but for the text. What the extractor can't read is a sentence. The page
shows it once, and keeps the file in the chat; so the sentence stands in the place of the file's text, too, and the model can
say in its answer what the person overlooked.

Hooked into open_webui/routers/files.py by hooks.py.
"""

import json
import socket

from langchain_core.documents import Document
from open_webui.models.files import Files
from open_webui.private.hooks import expected
from open_webui.retrieval.loaders.main import Loader

SOCKET = "/var/lib/extractor/socket"
# Seconds; several uploads wait for each other, and one takes half a minute at most.
PATIENCE = 600
UNAVAILABLE = "{name} can't be read at the moment. Wait a minute, and upload it again."

# The parameters of what is replaced.
LOAD = ["self", "filename", "file_content_type", "file_path"]
INDEX = ["request", "form_data", "user", "db"]


class Unreadable(Exception):
    """What keeps a file from being read, as a sentence."""


def ask(name, content_type, path):
    """What the extractor says of a file: `{"text"}` or `{"problem"}`."""
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
    return [Document(page_content=reply["text"], metadata={})]


def install(router):
    """Replaces what reads a file and what calls that, in open_webui/routers/files.py, given as its namespace; raises when they aren't what they were."""
    expected(Loader.load, LOAD)
    index = expected(router["index_file"], INDEX)

    async def index_file(request, form_data, user, db):
        try:
            return await index(request, form_data, user, db)
        except Exception as error:
            if isinstance(error.__context__, Unreadable):
                await Files.update_file_data_by_id(form_data.file_id, {"content": f"[{error.__context__}]"}, db=db)
            raise

    Loader.load = load
    router["index_file"] = index_file
