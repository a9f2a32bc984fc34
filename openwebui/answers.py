"""Keeps what an answer holds while it is written, so that little of it is lost when Open WebUI ends in the middle.

Open WebUI 0.12.4 has a running answer in memory and stores it once it is whole: a stop or a crash leaves an empty message that seems
to be on its way for ever. Here it is stored every few seconds. A stop waits for it for a while; what isn't whole by then, or at a
crash, gets a sentence below.

leftovers.py makes the app call what is for its start and its stop.
"""

import asyncio
import logging
import time

from open_webui import tasks
from open_webui.internal.db import get_async_db_context
from open_webui.models.chat_messages import ChatMessage
from open_webui.models.chats import Chats
from open_webui.private.contract import FAILURE
from open_webui.private.failures import TRY_AGAIN
from open_webui.private.replacing import replaces
from sqlalchemy import select

# In seconds: what a crash may take of an answer; how long a stop waits, which leaves enough of APP_GRACE in entrypoint.sh.
EVERY = 5
PATIENCE = 20
STOPPED = f"{FAILURE} The page's service has stopped in the middle of the answer, as it does when it is updated. {TRY_AGAIN % 'open-webui'}"

log = logging.getLogger(__name__)


async def store(chat_id, message_id, output, done):
    await Chats.upsert_message_to_chat_by_id_and_message_id(chat_id, message_id, {"done": done, "output": output}, touch=False)


async def store_if_possible(*answer):
    """As `store`. Without room on the disk an answer goes on all the same, the other ones are stored, and the app starts and stops."""
    try:
        await store(*answer)
    except Exception:
        log.exception("What an answer has so far can't be stored")


def as_ended(output):
    """The parts of an answer that nothing will be added to, with the sentence below."""
    parts = [{**part, "status": "incomplete"} if part.get("status") == "in_progress" else part for part in output or []]
    said = {"type": "output_text", "text": f"\n\n{STOPPED}" if parts else STOPPED}
    return [*parts, {"type": "message", "id": "stopped", "status": "completed", "role": "assistant", "content": [said]}]


async def end_unfinished():
    """At the start: ends the answers that a crash has left."""
    async with get_async_db_context() as database:
        unfinished = (
            await database.execute(
                select(ChatMessage.chat_id, ChatMessage.id, ChatMessage.output).where(ChatMessage.role == "assistant", ChatMessage.done.is_(False))
            )
        ).all()
    for chat_id, id, output in unfinished:
        await store_if_possible(chat_id, id.removeprefix(f"{chat_id}-"), as_ended(output), True)


async def end_running():
    """At the stop: waits for the answers that are being written, then ends them as they are."""
    if tasks.tasks:
        await asyncio.wait(tasks.tasks.values(), timeout=PATIENCE)
    running = list(tasks.response_streams.values())
    cut = list(tasks.tasks.values())
    for task in cut:
        task.cancel()
    await asyncio.gather(*cut, return_exceptions=True)
    for answer in running:
        await store_if_possible(answer["chat_id"], answer["message_id"], as_ended(answer["output"]), True)


# When an answer that is running was stored last, by its task.
stored = {}


@replaces("open_webui.utils.middleware:save_response_stream")
async def save_response_stream(original, redis, task_id, chat_id, message_id, output):
    now = time.monotonic()
    if task_id in tasks.tasks and now - stored.get(task_id, -EVERY) >= EVERY:
        for ended in stored.keys() - tasks.tasks.keys():
            del stored[ended]
        stored[task_id] = now
        await store_if_possible(chat_id, message_id, output, False)
    return await original(redis, task_id, chat_id, message_id, output)
