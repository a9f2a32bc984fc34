"""Takes long messages and chats with many pictures, which Hermes 0.19.0 cuts or refuses.

Texts: Hermes cuts each text part at 65,536 characters (`MAX_NORMALIZED_TEXT_LENGTH` in gateway/platforms/api_server.py). Open
WebUI puts the text of an upload first and the question last, so the question was what went. Here the limit of a whole
request is the only one.

Pictures: Open WebUI sends all pictures of a chat again with each message, and Hermes refuses a request above 10 MB
(`MAX_REQUEST_BYTES`), so that a chat with enough of them never answered again. Here the older pictures are left out while the
request is read, which also bounds the memory that it takes, and the bill; the model is told so in the picture's place. So is a picture
of a kind that models don't take: a provider would refuse it with each later message of its chat.
"""

import base64
import re
from collections import deque

from aiohttp import web
from gateway.platforms import api_server

from . import replaces
from .contract import MOST_PICTURES
from .files import PICTURES

# The bytes of pictures that one request keeps, in base64. One that is larger by itself is left out, too. As the page sends them, a photo has
# some 2,500 tokens (width * height / 750, Anthropic's documentation).
KEPT_PICTURES = 8_000_000
# What a request has besides pictures.
MAX_TEXT = api_server.MAX_REQUEST_BYTES

# What stands before a picture, up to its opening quotation mark. The same within a text, as of a style sheet, has a backslash before
# each mark; and a mark without one that ends a string is never followed by a letter.
PICTURE = re.compile(rb'[{,\s]"(?:image_)?url"\s*:\s*"(?=data:image/)')
# More bytes than such a beginning has, unless somebody puts many blanks into it; then it passes as text.
BEGINNING = 64
# What a JSON string has up to its end, or to an escape that isn't whole yet.
INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
LEFT_OUT = "data:image/left-out,"
NOTE = {
    "type": "text",
    "text": "[A picture stood here and was left out, because this chat has too many pictures, or too large ones. If it is needed, ask for it again.]",
}


OTHER_KIND = "[A picture stood here and was left out: it isn't PNG, JPEG, GIF or WebP, and models take no others. If it is needed, ask for it as one of them.]"


class TooLong(Exception):
    """A request has more than `MAX_TEXT` bytes besides its pictures."""


async def read_without_old_pictures(chunks):
    """Reads a request from an async iterator of bytes; gives it with `LEFT_OUT` in the place of the pictures that are too many.

    Raises `TooLong`.
    """
    segments, kept, kept_bytes, text_bytes = [], deque(), 0, 0
    waiting, picture = bytearray(), None

    def add_text(data):
        nonlocal text_bytes
        text_bytes += len(data)
        if text_bytes > MAX_TEXT:
            raise TooLong
        segments.append(bytes(data))

    async for chunk in chunks:
        waiting += chunk
        while True:
            if picture is None:
                found = PICTURE.search(waiting)
                # One may come in two pieces.
                ready = found.end() if found else max(0, len(waiting) - BEGINNING)
                add_text(waiting[:ready])
                del waiting[:ready]
                if not found:
                    break
                picture = bytearray()
            end = INSIDE.match(waiting).end()
            # One that is too large by itself is not even collected.
            if len(picture) <= KEPT_PICTURES:
                picture += waiting[:end]
            del waiting[:end]
            if not waiting.startswith(b'"'):
                break
            if len(picture) > KEPT_PICTURES:
                segments.append(LEFT_OUT.encode())
            else:
                kept.append(len(segments))
                kept_bytes += len(picture)
                segments.append(bytes(picture))
            picture = None
            while kept_bytes > KEPT_PICTURES or len(kept) > MOST_PICTURES:
                oldest = kept.popleft()
                kept_bytes -= len(segments[oldest])
                segments[oldest] = LEFT_OUT.encode()
    add_text(waiting if picture is None else picture + waiting)
    return b"".join(segments)


def as_taken(part):
    """A part of a message as models take it: a picture with the kind that it is, or a note in its place."""
    if not isinstance(part, dict) or part.get("type") not in ("image_url", "input_image"):
        return part
    picture = part.get("image_url")
    url = picture.get("url") if isinstance(picture, dict) else picture
    if not isinstance(url, str) or not url.startswith("data:image/"):
        return part
    if url.startswith(LEFT_OUT):
        return NOTE
    head, _, data = url.partition(",")
    try:
        # Twelve bytes, as many as tell a kind, whatever its name says.
        beginning = base64.b64decode(data[:16])
    except ValueError:
        beginning = b""
    kind = next((kind for start, kind in PICTURES if re.match(start, beginning, re.DOTALL)), None)
    if not kind or not head.endswith(";base64"):
        return {"type": "text", "text": OTHER_KIND}
    if head == f"data:{kind};base64":
        return part
    url = f"data:{kind};base64,{data}"
    return {**part, "image_url": {**picture, "url": url} if isinstance(picture, dict) else url}


def with_taken(content):
    """The content of a message with the pictures that models take."""
    return [as_taken(part) for part in content] if isinstance(content, list) else content


@replaces("gateway.platforms.api_server:MAX_NORMALIZED_TEXT_LENGTH")
def text_limit(original):
    return MAX_TEXT


@replaces("gateway.platforms.api_server:body_limit_middleware")
async def limit(original, request, handler):
    if request.method != "POST" or not request.path.endswith("/chat/completions"):
        return await original(request, handler)
    # Checks the key before the body is read. Hermes checks it afterwards.
    if refusal := request.app["api_server_adapter"]._check_auth(request):
        return refusal
    try:
        # Where aiohttp keeps a body that was read (Request.read in its web_request.py).
        request._read_bytes = await read_without_old_pictures(request.content.iter_any())
    except TooLong:
        message = f"The text of this chat is over {MAX_TEXT // 1_000_000} MB. Begin a new chat, or leave files out."
        return web.json_response(api_server._openai_error(message, code="body_too_large"), status=413)
    return await handler(request)
