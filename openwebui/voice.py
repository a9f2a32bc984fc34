"""Asks Hermes to turn speech into text, and keeps none of it.

Open WebUI 0.12.4 can ask any service that transcribes as OpenAI does, and so Hermes (AUDIO_STT_ENGINE, which entrypoint.sh sets). But it
keeps each recording and its text for ever, asks a second time when it was refused, and puts words of its own before the reason. All of that
is replaced. A recording of any size it would have in memory; here its size is looked at first. An audio file that somebody uploads
to a chat becomes text in the same way.

Without a voice Open WebUI shows an admin the buttons all the same. Here the page's style hides them.
"""

import os
from pathlib import Path

import aiohttp
from fastapi import HTTPException
from open_webui.config import CACHE_DIR
from open_webui.env import STATIC_DIR
from open_webui.private.contract import RECORDING, RECORDING_TOO_LARGE
from open_webui.private.languages import translated
from open_webui.private.replacing import replaces
from open_webui.utils.session_pool import get_session

# In seconds; Hermes waits for OpenRouter for 45, and some recordings wait for others.
PATIENCE = 300
RECORDINGS = Path(CACHE_DIR) / "audio" / "transcriptions"
OFF = "Nothing turns speech into text here. The owner of this deployment may switch it on by the setting voiceModel."
OUT_OF_REACH = "The agent can't be reached at the moment, so nothing turns speech into text. Try again in a minute."

# Microphone and voice mode of the message's line.
HIDDEN = """
#voice-input-button,
#message-input-container button.bg-black:not([id]) {
  display: none !important;
}
"""


@replaces("open_webui.routers.audio:_transcribe_openai")
async def transcribe(original, request, file_path, filename, languages, file_dir, id, user=None):
    form = aiohttp.FormData()
    if language := next(filter(None, languages), None):
        form.add_field("language", language)
    url, headers = f"{os.environ['OPENAI_API_BASE_URL']}/audio/transcriptions", {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    try:
        with open(file_path, "rb") as file:
            form.add_field("file", file, filename=filename)
            session = await get_session()
            async with session.post(url, data=form, headers=headers, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as answer:
                said = await answer.json()
        if answer.status == 200:
            return {"text": said["text"]}
        status, reason = answer.status, said["error"]["message"]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError):
        status, reason = 502, OUT_OF_REACH
    finally:
        # An upload stays, as any other.
        if Path(file_path).parent == RECORDINGS:
            Path(file_path).unlink(missing_ok=True)
    raise HTTPException(status, translated(reason))


@replaces("open_webui.routers.audio:_transcribe_whisper")
async def refuse(original, *arguments):
    raise HTTPException(404, translated(OFF))


@replaces("open_webui.routers.audio:transcription")
async def transcription(original, request, file, language=None, user=None):
    if file.size > RECORDING:
        raise HTTPException(413, translated(RECORDING_TOO_LARGE))
    return await original(request, file, language, user)


def register(audio):
    """Makes the route of open_webui/routers/audio/__init__.py, given as its module, call what is replaced."""
    # What a crash has left.
    for recording in RECORDINGS.glob("*"):
        recording.unlink()
    if os.environ.get("AUDIO_STT_ENGINE") != "openai":
        # Open WebUI puts the file there anew at each start.
        with open(STATIC_DIR / "custom.css", "a") as style:
            style.write(HIDDEN)

    [old] = [route for route in audio.router.routes if route.path == "/transcriptions"]
    audio.router.routes.remove(old)
    audio.router.add_api_route("/transcriptions", audio.transcription, methods=["POST"])
