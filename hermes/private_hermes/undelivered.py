"""Tells somebody of an answer on Telegram that can't be delivered, as of a job's report (runs.py).

Hermes 0.19.0 gives an answer up when Telegram fails for a quarter of a minute, a file at the first failure, and an answer to a chat that
has blocked or removed the bot with a line in its log. Here it is sent again for `SEND_PATIENCE`. After that the first user is told, without
the answer, which is somebody's: once for each chat, until an answer has arrived there. A restart forgets whom it was told of.
"""

import contextvars
import logging

from .places import FIRST, resolve

# Whose message is being answered: its source, as Hermes has it.
answering = contextvars.ContextVar("answering", default=None)
# What goes by (classify_send_error in gateway/platforms/base.py). A time-out isn't here: what was sent may have arrived.
PASSING = ("transient", "rate_limited")
# ops/render.ts looks for these in Render's log.
UNDELIVERED = "An answer in the chat %s can't be delivered: %s"
DELIVERED = "Answers in the chat %s are delivered again"
FIRST_TOLD = (
    "An answer on Telegram to {whom} couldn't be delivered: {error}\n\nIf the bot was blocked or removed there, only they can change that. "
    "You aren't told again until an answer has arrived in that chat."
)

log = logging.getLogger(__name__)
# Chats in which the last answer was lost.
lost = set()


def passes(kind):
    """Whether what kept a part of an answer from being sent goes by; by Hermes' kind of it."""
    return bool(answering.get()) and kind in PASSING


async def look(adapter, chat, result):
    """Tells of an answer that was lost, once; `result` is what sending it has come to at last."""
    if result.success:
        if chat in lost:
            lost.discard(chat)
            log.warning(DELIVERED, chat)
    elif chat not in lost:
        lost.add(chat)
        log.error(UNDELIVERED, chat, result.error)
        source, first = answering.get(), [target["chat_id"] for target in resolve({"deliver": FIRST})]
        name = source and (source.chat_name or source.user_name)
        if first and first[0] != chat:
            await adapter.send(first[0], FIRST_TOLD.format(whom=f"{name} ({chat})" if name else chat, error=result.error))
