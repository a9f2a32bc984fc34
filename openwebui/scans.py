"""Shows the model a PDF without text, as a scan is: its pages go along as pictures with each message, as the text of other documents does.

extractor.py draws them when the PDF is uploaded, and uploads.py keeps them beside it. Open WebUI 0.12.4 puts the text of a chat's
documents before the last message, in each request anew; here the pictures are put behind it.
"""

import base64
from pathlib import Path

from open_webui.models.files import Files
from open_webui.private.replacing import replaces
from open_webui.utils.access_control.files import has_access_to_file

# What is behind the id with which an upload's name on the disk begins, in that of its pages.
PAGE = ".page-%d.jpg"


def keep(upload, pictures):
    """Keeps the pages of an upload, given by its path, as JPEG in base64."""
    for number, picture in enumerate(pictures, 1):
        Path(upload).with_name(Path(upload).name[:36] + PAGE % number).write_bytes(base64.b64decode(picture))


def pages(folder, id="*"):
    """The paths of the pages that are kept of an upload, or of all, in their order."""
    return sorted(Path(folder).glob(id + PAGE.replace("%d", "*")))


@replaces("open_webui.utils.middleware:chat_completion_files_handler")
async def chat_completion_files_handler(original, request, body, extra_params, user):
    body, flags = await original(request, body, extra_params, user)
    pictures = []
    for item in body.get("metadata", {}).get("files") or []:
        file = await Files.get_file_by_id(str(item.get("id")))
        if file and file.path and (file.user_id == user.id or await has_access_to_file(file.id, "read", user)):
            urls = (f"data:image/jpeg;base64,{base64.b64encode(page.read_bytes()).decode()}" for page in pages(Path(file.path).parent, file.id))
            pictures += [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    if pictures:
        last = next(message for message in reversed(body["messages"]) if message["role"] == "user")
        said = last["content"] if isinstance(last["content"], list) else [{"type": "text", "text": last["content"]}]
        last["content"] = [*said, *pictures]
    return body, flags
