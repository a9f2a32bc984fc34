"""Turns speech into text: OpenRouter transcribes it, with the gateway's key and the model VOICE_MODEL.

The page gets a route beside the chats, POST /v1/audio/transcriptions behind the same bearer, which takes what Open WebUI sends (multipart,
as at OpenAI). A voice message on Telegram becomes a message with its words before Hermes has it: Hermes 0.19.0 would hand one that can't be
transcribed to the model, as a note, and asks other services than OpenRouter.

A recording goes out as it came, for OpenRouter takes whatever browsers and Telegram record, so that nothing is decoded here. Its first
bytes tell the format; the page names every recording of the voice mode .wav. It lies in a file that is gone when it has been sent, and is
encoded in pieces, so that it takes no memory to speak of.
"""

import asyncio
import base64
import json
import logging
import mmap
import os
import re
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from aiohttp import web
from gateway.platforms import api_server
from gateway.platforms.base import MessageType

from . import costs, replaces
from .contract import RECORDING, RECORDING_TOO_LARGE
from .inbox import is_allowed
from .internet import TooLong, post

# Takes JSON with the recording in base64 (openrouter.ai/docs/guides/overview/multimodal/stt).
API = "https://openrouter.ai/api/v1/audio/transcriptions"
MODEL = os.environ["VOICE_MODEL"]
# Seconds of a recording, as far as it says how long it is.
LONGEST = 600
# Seconds to wait for the text; a minute of speech takes a second or two.
SECONDS = 45
# How many are sent at a time, and how many may wait besides.
AT_ONCE, WAITING = 4, 16
# Bytes of an answer; ten minutes of speech have some 10,000 characters.
MAX_ANSWER = 200_000
# Bytes that are encoded at a time, a multiple of 3.
PIECE = 48 << 10

# By the first bytes; the names are those of OpenRouter's documentation.
KINDS = [
    (rb"\x1aE\xdf\xa3", "webm"), (rb"OggS", "ogg"), (rb"RIFF....WAVE", "wav"), (rb"....ftyp", "m4a"), (rb"fLaC", "flac"),
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "mp3"), (rb"\xff[\xf0\xf1\xf8\xf9]", "aac"),
]
# The beginning of a cluster of WebM: its id and size, then the id, the size and the bytes of its time, in ms.
CLUSTER = re.compile(rb"\x1fC\xb6u.{1,8}?\xe7([\x81-\x84])(.{4})", re.DOTALL)
# What models write where there are no words: [BLANK_AUDIO], (music), *sighs*, ♪.
NO_WORDS = re.compile(r"\[[^\]]*\]|\([^)]*\)|\*[^*]*\*|<[^>]*>")

OFF = "Nothing turns speech into text here. Write instead; the owner of this deployment may switch it on by the setting voiceModel."
TOO_LONG = f"The recording is longer than {LONGEST // 60} minutes. Make a shorter one."
NOT_AUDIO = "This isn't a recording that can be read. WebM, Ogg, WAV, MP3, M4A, FLAC and AAC can."
NOTHING_SAID = "Nothing was said in the recording, or it couldn't be understood. Check the microphone, and record it again."
BUSY = "Too many recordings come at once. Try again in a moment."
LATE = f"OpenRouter didn't answer within {SECONDS} seconds. Try again, or make a shorter recording."
OUT_OF_REACH = "OpenRouter can't be reached at the moment. Try again in a minute."
OUT_OF_ORDER = "OpenRouter, which turns speech into text, is out of order. Try again in a minute; https://status.openrouter.ai tells whether others have it, too."
# The statuses are those of openrouter.ai/docs, "Errors and Debugging", and of its SDK's createTranscription.
REASONS = {
    400: "OpenRouter doesn't take this recording. Record it again; if that doesn't help, the owner of this deployment sets voiceModel to another model.",
    401: "OpenRouter doesn't take the key of this deployment. Its owner has to put a valid one into the setting openrouterApiKey, then run pulumi up.",
    402: "OpenRouter refuses: the credit is used up, or the limit of the key. The owner of this deployment raises it at https://openrouter.ai/settings/credits.",
    404: "OpenRouter has no such model for speech. The owner of this deployment sets voiceModel to one of https://openrouter.ai/models?output_modalities=transcription.",
    413: RECORDING_TOO_LARGE,
    429: "OpenRouter has too much to do at the moment. Try again in a minute.",
}

logger = logging.getLogger(__name__)
pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="voice")
places = threading.BoundedSemaphore(AT_ONCE + WAITING)


class Refused(Exception):
    """There is no text; says why, as a sentence for whoever has spoken. `status` is the route's."""

    def __init__(self, sentence, status=400):
        super().__init__(sentence)
        self.status = status


def length(data, kind):
    """Seconds that a recording says it takes, to half a minute; 0 if it doesn't say. A WAV of so many bytes is short."""
    if kind == "ogg" and b"OpusHead" in data[:200]:
        # The last page tells how many samples there were, of which a second has 48,000 (RFC 7845).
        last = data.rfind(b"OggS")
        return int.from_bytes(data[last + 6 : last + 14], "little") / 48_000
    if kind == "webm":
        return max((int.from_bytes(begins[: size[0] & 15]) / 1000 for size, begins in CLUSTER.findall(data)), default=0)
    return 0


def body(file, size, kind, language):
    """A request in pieces; its first is how long it is."""
    question = {"model": MODEL, **({"language": language} if language else {}), "input_audio": {"format": kind, "data": ""}}
    begin, end = json.dumps(question).encode()[:-3], b'"}}'
    yield len(begin) + -(-size // 3) * 4 + len(end)
    yield begin
    file.seek(0)
    while piece := file.read(PIECE):
        yield base64.b64encode(piece)
    yield end


def text_of(file, language=""):
    """What is said in a recording, an open file on a disk. Waits for OpenRouter; raises Refused."""
    if MODEL == "none":
        raise Refused(OFF, 404)
    size = os.fstat(file.fileno()).st_size
    if size > RECORDING:
        raise Refused(RECORDING_TOO_LARGE, 413)
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else memoryview(b"") as data:
        kind = next((kind for start, kind in KINDS if re.match(start, data, re.DOTALL)), None)
        if not kind:
            raise Refused(NOT_AUDIO, 415)
        if length(data, kind) > LONGEST:
            raise Refused(TOO_LONG, 413)
    request = body(file, size, kind, language if re.fullmatch("[a-z]{2}", language or "") else "")
    headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}", "Content-Type": "application/json", "Content-Length": str(next(request))}
    try:
        status, answer = post(API, SECONDS, MAX_ANSWER, headers=headers, content=request)
        if status == 200:
            said = json.loads(answer)
            costs.add(costs.cost_of(said.get("usage") or {}), "voice")
            text = said["text"].strip()
            if not re.search(r"\w", NO_WORDS.sub("", text)):
                raise Refused(NOTHING_SAID, 422)
            return text
    except httpx.TimeoutException:
        raise Refused(LATE, 504) from None
    except httpx.HTTPError:
        raise Refused(OUT_OF_REACH, 502) from None
    except (TooLong, ValueError, KeyError, TypeError, AttributeError):
        raise Refused(OUT_OF_ORDER, 502) from None
    logger.warning("OpenRouter answers %s to a recording", status)
    raise Refused(REASONS.get(status) or (OUT_OF_ORDER if status >= 500 else REASONS[400]), 502)


async def in_turn(file, language=""):
    return await asyncio.get_running_loop().run_in_executor(pool, text_of, file, language)


async def receive(request, file):
    """Writes the recording of a form into a file; gives the language that the form names, or ""."""
    language, found = "", False
    try:
        async for part in await request.multipart():
            if part.name == "language":
                language = (await part.read_chunk())[:16].decode()
            elif part.name == "file":
                found = True
                while piece := await part.read_chunk(PIECE):
                    if file.tell() + len(piece) > RECORDING:
                        raise Refused(RECORDING_TOO_LARGE, 413)
                    file.write(piece)
    except (AssertionError, AttributeError, ValueError):
        found = False
    if not found:
        raise Refused("Send the recording as the part “file” of a form (multipart/form-data).")
    file.flush()
    return language


async def route(request):
    try:
        if not places.acquire(blocking=False):
            raise Refused(BUSY, 429)
        try:
            with tempfile.TemporaryFile() as file:
                language = await receive(request, file)
                return web.json_response({"text": await in_turn(file, language)})
        finally:
            places.release()
    except Refused as refused:
        return web.json_response(api_server._openai_error(str(refused)), status=refused.status)


async def spoken(event):
    """What is said in a voice message, whose file is gone then. Raises Refused."""
    # Hermes fetches none that is over 20 MB.
    if not event.media_urls:
        raise Refused(RECORDING_TOO_LARGE)
    [path] = event.media_urls
    try:
        with open(path, "rb") as file:
            return await in_turn(file)
    finally:
        Path(path).unlink(missing_ok=True)


ROUTES = [("POST", "/v1/audio/transcriptions", route)]


@replaces("tools.transcription_tools:transcribe_audio")
def transcribe(original, file_path, model=None):
    """Hermes calls it for a voice message that somebody replies to."""
    try:
        with open(file_path, "rb") as file:
            return {"success": True, "transcript": text_of(file), "provider": "openrouter"}
    except Refused as refused:
        return {"success": False, "transcript": "", "error": str(refused)}
    finally:
        Path(file_path).unlink(missing_ok=True)


async def go_on(adapter, event):
    """Puts the words of a voice message into it, and says whether there are some, or it is another message."""
    if event.message_type != MessageType.VOICE:
        return True
    # Hermes asks who it is only later, and a stranger's words would be paid for.
    if not is_allowed(event.source.user_id):
        for path in event.media_urls:
            Path(path).unlink(missing_ok=True)
        return False
    # It can't be fetched, and Hermes has said so (_surface_media_cache_failure in plugins/platforms/telegram/adapter.py).
    if not event.media_urls and "they have been asked to retry" in (event.text or ""):
        return False
    place = {"thread_id": event.source.thread_id} if event.source.thread_id else None
    try:
        text = await spoken(event)
    except Refused as refused:
        await adapter.send(event.source.chat_id, f"🎙️ {refused}", metadata=place)
        return False
    # Who has spoken sees what was understood.
    await adapter.send(event.source.chat_id, f"🎙️ “{text}”", metadata=place)
    event.message_type, event.media_urls, event.media_types = MessageType.TEXT, [], []
    event.text = "\n\n".join(filter(None, [event.text, text]))
    return True
