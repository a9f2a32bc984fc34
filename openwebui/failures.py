"""Tells in the place of the answer that the connection to the agent is lost.

Open WebUI 0.12.4 shows an error of its HTTP client under an answer that Hermes didn't finish ("Response payload is not
completed: <TransferEncodingError: …>"), and "Server Connection Error" where Hermes doesn't run at all. Here both become a
sentence with the way out. It begins as those of hermes/private_hermes/failures.py do, so that Hermes takes it out of the history.

Those sentences come in the answer, and once more as an error, which the page would show below them and in a corner: that is taken out.
Their advice is for the owner; who isn't an admin reads whom to tell in its place. They, and the lines of what the agent does, come in the
language of the page (languages.py).
"""

import json
import logging
import re

from aiohttp import ClientError
from open_webui.private.contract import FAILURE, NO_ANSWER, REFUSED, SIGN
from open_webui.private.languages import BETWEEN, in_english, language, remember, translated
from open_webui.private.replacing import replaces
from starlette.responses import JSONResponse, StreamingResponse

TRY_AGAIN = "Wait a minute, then send the message again. If it happens again, tell the admin: the log of the service %s in Render's dashboard says why."
BROKEN_OFF = f"{FAILURE} The agent has stopped in the middle of the answer, as it does when it is updated. {TRY_AGAIN % 'hermes'}"
OUT_OF_REACH = f"{FAILURE} The agent doesn't run at the moment, as it is while it is updated. {TRY_AGAIN % 'hermes'}"
# Of a sentence that only the owner can follow, and what others read in its place.
OWNERS = re.compile(r"https://openrouter\.ai/settings|modelDefault|pulumi up|openrouterApiKey")
TELL = "Tell the admin of this page."
# What brake.py in Hermes puts below an answer that it has stopped.
STOPPED = f"{SIGN} **Stopped:** "
# What aiohttp raises for a connection that isn't made, or breaks.
LOST = (ClientError, OSError)

log = logging.getLogger(__name__)


def chunks(said):
    """An answer of one sentence, or its end, as lines of a stream."""
    for delta, reason in (({"role": "assistant", "content": said}, None), ({}, "stop")):
        yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': reason}]})}\n\n".encode()
    yield b"data: [DONE]\n\n"


def for_others(said):
    """What others than the owner read of a failure: what the owner would do about it is left out."""
    before, mark, failure = said.partition(FAILURE)
    if not OWNERS.search(failure):
        return said
    sentences = [sentence for sentence in BETWEEN.split(failure) if not OWNERS.search(sentence)]
    return f"{before}{mark}{' '.join([*sentences, TELL])}"


def failure(said, is_admin, language):
    """A piece of an answer in which a failure is told, in words for who reads it."""
    before, _, after = (said if is_admin else for_others(said)).partition(FAILURE)
    return f"{before}{SIGN} **{translated(NO_ANSWER, language)}** {translated(after.strip(), language)}"


def stop(said, language):
    """A piece of an answer that was stopped."""
    before, _, why = said.partition(STOPPED)
    told = translated(f"Stopped: {why}", language)
    return said if told.startswith("Stopped: ") else f"{before}{SIGN} {told}"


def in_words(said, is_admin, language):
    """A text of several lines, as a report, in words for who reads it."""
    return "\n".join(failure(line, is_admin, language) if FAILURE in line else translated(line, language) for line in said.split("\n"))


def changed(line, is_admin, language):
    """A line of a stream, without the error that repeats the answer, and in words for who reads it."""
    if not line.startswith(b"data: {") or not any(part in line for part in (b'"error"', b'"status"', NO_ANSWER.encode(), b"**Stopped:**")):
        return line
    event = json.loads(line[6:])
    if status := (event.get("event") or {}).get("data"):
        what, colon, more = status["description"].partition(": ")
        status["description"] = f"{translated(what, language)}{colon}{more}"
    elif choices := event.get("choices"):
        event.pop("error", None)
        delta = choices[0].get("delta") or {}
        if FAILURE in (delta.get("content") or ""):
            delta["content"] = failure(delta["content"], is_admin, language)
        elif STOPPED in (delta.get("content") or ""):
            delta["content"] = stop(delta["content"], language)
    return b"data: " + json.dumps(event).encode() + b"\n"


async def changed_lines(lines, is_admin, language):
    async for line in lines:
        yield changed(line, is_admin, language)


def refusal(response, language):
    """A refusal of Hermes', which the page shows in the place of the answer."""
    said = json.loads(response.body)
    error = said.get("error") if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    told = translated(message, language) if isinstance(message, str) else message
    return response if told == message else JSONResponse({**said, "error": {**error, "message": told}}, response.status_code)


def as_hermes_knows(message):
    """A message of a history, with what tells of failures in English."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, str) or SIGN not in content:
        return message
    return {**message, "content": in_english(content, NO_ANSWER, REFUSED)}


@replaces("open_webui.routers.openai:stream_wrapper")
async def stream_wrapper(original, response, session=None, passthrough=False):
    lines = original(response, session, passthrough)
    try:
        async for line in lines:
            yield line
    except LOST:
        if passthrough:
            raise
        log.exception("The agent has broken off its answer")
        for line in chunks(f"\n\n{BROKEN_OFF}"):
            yield line
    finally:
        await lines.aclose()


@replaces("open_webui.routers.openai:generate_chat_completion")
async def generate_chat_completion(original, request, form_data, user):
    # Now, as the stream is written later.
    wanted = language.get()
    await remember(user, wanted)
    form_data = {**form_data, "messages": [as_hermes_knows(message) for message in form_data.get("messages") or []]}
    try:
        response = await original(request, form_data, user)
        if hasattr(response, "body_iterator"):
            response.body_iterator = changed_lines(response.body_iterator, user.role == "admin", wanted)
        elif isinstance(response, JSONResponse):
            response = refusal(response, wanted)
        return response
    except Exception as error:
        # Open WebUI raises an error of its own while it handles the one of its client.
        if not form_data.get("stream") or not isinstance(error.__context__, LOST):
            raise
        return StreamingResponse(chunks(failure(OUT_OF_REACH, True, wanted)), media_type="text/event-stream")
