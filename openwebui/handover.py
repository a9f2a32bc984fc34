"""Gives Hermes each file that a message comes with, so that it can lie in the sandbox of the person who asks, and tells the model where.

Open WebUI 0.12.4 gives a model the text of documents, and no file. Here those of a chat that Hermes hasn't got are sent to it before the
question is, whatever was read of them (hermes/private_hermes/handover.py): the chat's uploads and the message's pictures, as far as who
asks may read them. One line before the message names their places. A file that can't be sent is named there, too, with the reason: so is
one of a chat that somebody has shared, and shares no more.
"""

import logging
import os
from pathlib import Path

import aiohttp
from open_webui.models.files import Files
from open_webui.private.replacing import replaces
from open_webui.utils.access_control.files import has_access_to_file
from open_webui.utils.headers import include_user_info_headers
from open_webui.utils.misc import update_message_content
from open_webui.utils.session_pool import get_session

# In seconds, for each file.
PATIENCE = 60
OUT_OF_REACH = "the agent can't be reached"
GONE = "it was deleted"
NOT_SHARED = "whose it is doesn't share it with this person"
NOTHING = " (nothing of it stands here)"
# As on Telegram (hermes/private_hermes/attachments.py).
VIDEO = " (you can't see or hear it, but work with it as a file)"

log = logging.getLogger(__name__)


async def call(method, path, user, **more):
    """Hermes' answer to a request that names the person: its JSON, or {"error"} with the reason why there is none."""
    url = f"{os.environ['OPENAI_API_BASE_URL']}{path}"
    headers = include_user_info_headers({"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}, user)
    try:
        session = await get_session()
        async with session.request(method, url, headers=headers, timeout=aiohttp.ClientTimeout(total=PATIENCE), **more) as answer:
            said = await answer.json()
            return said if answer.status == 200 else {"error": said["error"]["message"]}
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        log.exception("Hermes doesn't answer a request beside the chats")
        return {"error": OUT_OF_REACH}


async def pieces(path):
    # In pieces of no told length: Hermes refuses what says that it is over 10 MB, and a file may be a little larger.
    with open(path, "rb") as file:
        while piece := file.read(1 << 16):
            yield piece


async def files_of(metadata, user):
    """The files that come with a message, those of the chat and the message's own pictures: those that its writer may read; and of the others why not."""
    named = [*(metadata.get("files") or []), *((metadata.get("user_message") or {}).get("files") or [])]
    files, refused = [], []
    for id, item in {item["id"]: item for item in named if isinstance(item, dict) and item.get("id")}.items():
        file, name = await Files.get_file_by_id(str(id)), item.get("name") or "a file"
        if not file and item.get("type") in ("file", "image"):
            refused.append(f"{name} isn't there: {GONE}")
        elif file and file.user_id != user.id and not await has_access_to_file(file.id, "read", user):
            refused.append(f"{name} isn't there: {NOT_SHARED}")
        elif file and file.path:
            files.append(file)
    return files, refused


async def places(files, user):
    """For each file its place in the sandbox, or why it has none; those that Hermes hasn't got are sent."""
    asked = await call("POST", "/uploads", user, json={"ids": [file.id for file in files]})
    for file in files:
        # Where it doesn't answer one question, it takes no file either, and each would be waited for.
        said = {"path": asked.get("paths", {}).get(file.id), **({"error": asked["error"]} if "error" in asked else {})}
        if not asked.get("error") and not said["path"] and Path(file.path).is_file():
            name = file.filename.encode(errors="replace").decode()
            said = await call("PUT", f"/uploads/{file.id}", user, params={"name": name}, data=pieces(file.path))
        if said.get("path"):
            kind = ((file.meta or {}).get("content_type") or "").split("/")[0]
            yield said["path"] + (VIDEO if kind == "video" else "" if kind == "image" or (file.data or {}).get("content") else NOTHING)
        else:
            yield f"{file.filename} isn't there: {said.get('error', GONE)}"


@replaces("open_webui.utils.middleware:process_chat_payload")
async def process_chat_payload(original, request, form_data, user, metadata, model):
    form_data, metadata, events, paused = await original(request, form_data, user, metadata, model)
    files, refused = await files_of(metadata, user)
    if files or refused:
        line = f"[Given by the person, and byte for byte in the sandbox: {', '.join([*refused, *[place async for place in places(files, user)]])}]"
        last = next(message for message in reversed(form_data["messages"]) if message["role"] == "user")
        update_message_content(last, line, append=False)
    return form_data, metadata, events, paused
