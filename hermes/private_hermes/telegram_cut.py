"""Keeps what was said of an answer on Telegram that a restart or a crash cuts off.

Hermes 0.19.0 sends an answer there once it is whole, and what the model says before it calls a tool once it does. Here what was said and
isn't sent is kept with the message (inbox.py), every few seconds and when a stop cuts it off. When the message is answered anew its chat is
told that first, and the model hears what it had said, and that tools may have run.

The words are heard where Hermes hands them on. Its callbacks for that, `stream_delta_callback` and `stream_callback`, won't do: with one of
them it takes what is said before a tool for shown, and doesn't send it.
"""

import asyncio
import contextlib
import logging

from agent.agent_runtime_helpers import strip_think_blocks
from agent.redact import redact_sensitive_text
from gateway.platforms.base import _strip_media_directives

from . import replaces, undelivered
from .attachments import place_of
from .costs import spends
from .inbox import box
from .registering import context

# Seconds: what a crash may take of an answer.
EVERY = 5
CUT_OFF = "⚠️ A restart cut this answer off here, so I answer your message anew."
AGAIN = "[An earlier answer to this was cut off by a restart, and tools may have run by then: look at what was done before you do it again.{}]\n"
IT_SAID = " It had said:\n\n{}\n"

log = logging.getLogger(__name__)
# The answers that are being written, by their sessions.
answers = {}


def visible(text):
    """What people see of a text of the model's: neither its thoughts, nor secrets, nor the places of files."""
    return _strip_media_directives(redact_sensitive_text(strip_think_blocks(None, text), force=True)).strip()


class Answer:
    """What is said of the answer to a message, by its number, and isn't sent yet. Its pieces come on other threads."""

    def __init__(self, number):
        self.number, self.pieces, self.sent = number, [], False

    def keep(self):
        """Keeps it on the disk, if that takes it: an answer goes on all the same."""
        try:
            said = visible("".join(self.pieces))
            if said or self.sent:
                box.keep_said(self.number, said)
        except Exception as error:
            log.warning("What an answer has so far can't be kept: %s", error)

    async def keep_on(self):
        while True:
            await asyncio.sleep(EVERY)
            self.keep()


def number_of(event):
    """The number of the message that an event is of, or that it begins with; None of one that isn't in the inbox."""
    return next((number for number in box.begun(int(event.source.chat_id)) if str(box.waiting[number].message.message_id) == event.message_id), None)


def asker(number):
    """Who asks in a message, and in which topic of a group."""
    update = box.waiting[number]
    return update.effective_user.id, update.message.is_topic_message and update.message.message_thread_id


@contextlib.contextmanager
def listening(event, session):
    """While an event is answered."""
    answer = answers[session] = Answer(number_of(event))
    keeping = asyncio.create_task(answer.keep_on())
    try:
        yield
    finally:
        keeping.cancel()
        if answers.get(session) is answer:
            del answers[session]
        # Nothing has cut it off, and its message may still wait, for one that came behind it.
        if not box.frozen and answer.number in box.said:
            with contextlib.suppress(OSError):
                box.keep_said(answer.number, None)


async def tell(adapter, event):
    """Before a message is answered anew: tells its chat what had been said, and the model in the message; once."""
    number = number_of(event)
    if number is None:
        return
    # What comes quickly is put together, behind the first.
    cut = sorted(box.again.intersection(box.begun(int(event.source.chat_id))))
    cut = [other for other in cut if asker(other) == asker(number)]
    if not cut:
        return
    box.again.difference_update(cut)
    had_said = [box.said[other] for other in cut if other in box.said]
    said = "\n\n".join(filter(None, had_said))
    # A command is one by its beginning.
    if not event.is_command():
        event.text = AGAIN.format(IT_SAID.format(said) if said else "") + (event.text or "")
    if had_said:
        # The sentence isn't a part of code that has no end.
        end = "\n```" if said.count("```") % 2 else ""
        token = undelivered.answering.set(event.source)
        try:
            result = await adapter.send(event.source.chat_id, f"{said}{end}\n\n{CUT_OFF}".lstrip(), metadata=place_of(event))
            if not result.success:
                log.warning("What had been said of an answer can't be sent: %s", result.error)
        except Exception:
            log.exception("What had been said of an answer can't be sent")
        finally:
            undelivered.answering.reset(token)


@replaces("run_agent:AIAgent._fire_stream_delta")
def hear(original, self, text):
    original(text)
    if text and (answer := answers.get(self._gateway_session_key)):
        answer.pieces.append(text)


def begin_anew(**more):
    """Called before each turn: what comes behind a message that is answered has one of its own, and what it interrupts isn't sent."""
    if (agent := spends.get()) and (answer := answers.get(agent._gateway_session_key)):
        answer.pieces = []


def before_tool(**more):
    """Called before each tool: Hermes sends what was said before it."""
    if (agent := spends.get()) and (answer := answers.get(agent._gateway_session_key)) and answer.pieces:
        answer.pieces, answer.sent = [], True


@replaces("gateway.run:GatewayRunner._drain_active_agents")
async def drain(original, self, timeout):
    drained = await original(timeout)
    for answer in list(answers.values()):
        answer.keep()
    return drained


def register():
    context.register_hook("pre_llm_call", begin_anew)
    context.register_hook("pre_tool_call", before_tool)
