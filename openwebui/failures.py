"""Has a lost connection to the agent say what it is, in the place of the answer.

Open WebUI 0.12.4 shows an error of its HTTP client under an answer that Hermes didn't finish ("Response payload is not
completed: <TransferEncodingError: …>"), and "Server Connection Error" where Hermes doesn't run at all. Here both become a
sentence with the way out. It begins as those of hermes/private_hermes/failures.py do, so that Hermes takes it out of the history.
"""

import json
import logging

from aiohttp import ClientError
from open_webui.private.replacing import replaces
from starlette.responses import StreamingResponse

MARK = "⚠️ **No answer from the model.**"
TRY_AGAIN = "Wait a minute, then send the message again. If it happens again, the log of the service hermes in Render's dashboard tells why."
BROKEN_OFF = f"{MARK} The agent has stopped in the middle of the answer, as it does when it is updated. {TRY_AGAIN}"
OUT_OF_REACH = f"{MARK} The agent doesn't run at the moment, as it is while it is updated. {TRY_AGAIN}"
# What aiohttp raises for a connection that isn't made, or breaks.
LOST = (ClientError, OSError)

log = logging.getLogger(__name__)


def chunks(said):
    """An answer of one sentence, or its end, as lines of a stream."""
    for delta, reason in (({"role": "assistant", "content": said}, None), ({}, "stop")):
        yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': reason}]})}\n\n".encode()
    yield b"data: [DONE]\n\n"


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
    try:
        return await original(request, form_data, user)
    except Exception as error:
        # Open WebUI raises an error of its own while it handles the one of its client.
        if not form_data.get("stream") or not isinstance(error.__context__, LOST):
            raise
        return StreamingResponse(chunks(OUT_OF_REACH), media_type="text/event-stream")
