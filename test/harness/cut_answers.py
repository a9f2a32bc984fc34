"""Proves what is kept and told of an answer that is cut off, where a whole Hermes would have to be stopped at a certain word.

    python cut_answers.py    # in Hermes' image, with the gateway's environment

Ends with 1 and a line for the first thing that isn't so.
"""

import asyncio
import json
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

from gateway.platforms.base import MessageEvent
from private_hermes import inbox, restored, telegram_cut
from telegram import Update
from telegram.ext import ApplicationHandlerStop

THREAD = 77
folder = Path(tempfile.mkdtemp()) / "telegram-inbox"
folder.mkdir()


def expect(what, actual, wanted):
    if actual != wanted:
        sys.exit(f"{what}: {actual!r}, and not {wanted!r}")


def update(number, user=5, topic=None, text="a question"):
    chat = {"id": -9, "type": "supergroup", "title": "Friends"}
    more = {"message_thread_id": topic, "is_topic_message": True} if topic else {}
    sender = {"id": user, "is_bot": False, "first_name": "Ada"}
    now = int(datetime.now(timezone.utc).timestamp())
    return Update.de_json({"update_id": number, "message": {"message_id": 100 + number, "date": now, "chat": chat, "from": sender, "text": text, **more}}, None)


def event(number, text="a question", topic=None):
    return MessageEvent(text=text, message_id=str(100 + number), source=SimpleNamespace(chat_id="-9", thread_id=topic))


def box_of(*updates):
    """An inbox in the place of Hermes' own, which has begun with these."""
    box = inbox.box = telegram_cut.box = inbox.Inbox(folder)
    for path in folder.iterdir():
        path.unlink()
    for one in updates:
        box.keep(one, 1)
        box.given.add(one.update_id)
    return box


def kept(number):
    return json.loads((folder / f"{number}.json").read_text()).get("said")


class Chat:
    """What an adapter has sent."""

    def __init__(self):
        self.sent = []

    async def send(self, chat, text, metadata=None):
        self.sent.append((text, (metadata or {}).get("thread_id")))
        return SimpleNamespace(success=True)


async def nothing(*arguments):
    return {}, False


def said_by_a_stop(box, *pieces):
    """What is on the disk when a stop ends in the middle of an answer, of which these were said; what it raises goes on."""

    async def cut():
        with telegram_cut.listening(event(1), "session"):
            agent = SimpleNamespace(_gateway_session_key="session")
            for piece in pieces:
                telegram_cut.hear(lambda text: None, agent, piece)
            await telegram_cut.drain(nothing, None, 0)
            box.frozen = True

    asyncio.run(cut())
    return kept(1)


def told(box, of, *again):
    """What a chat and the model are told before the answer to an event."""
    box.again.update(again)
    chat = Chat()
    asyncio.run(telegram_cut.tell(chat, of))
    return chat.sent, of.text


# What people see, and nothing else.
expect("words", said_by_a_stop(box_of(update(1)), "The ", "sum", " is"), "The sum is")
expect("thoughts", said_by_a_stop(box_of(update(1)), "<th", "ink>I guess</think>", "Four"), "Four")
expect("thoughts without an end", said_by_a_stop(box_of(update(1)), "<think>", "I guess"), None)
secret = "sk-or-v1-" + "0123456789abcdef" * 4
expect("a secret", secret in said_by_a_stop(box_of(update(1)), "It is ", secret), False)
expect("a file", said_by_a_stop(box_of(update(1)), "Here:\n", "MEDIA:/root/", "chart.png"), "Here:")
expect("nothing", said_by_a_stop(box_of(update(1))), None)

# The newest stands; a second try that has said nothing takes nothing away.
box = box_of(update(1))
box.keep_said(1, "first")
expect("a second try without a word", said_by_a_stop(box), "first")
expect("a second try", said_by_a_stop(box, "second"), "second")

# What was said before a tool is sent by then, and what is sent isn't told again. What somebody has interrupted is never sent.
async def with_tool():
    with telegram_cut.listening(event(1), "session"):
        agent = SimpleNamespace(_gateway_session_key="session")
        token = telegram_cut.spends.set(agent)
        telegram_cut.begin_anew()
        telegram_cut.hear(lambda text: None, agent, "What is interrupted")
        telegram_cut.begin_anew()
        telegram_cut.hear(lambda text: None, agent, "I look.")
        await telegram_cut.drain(nothing, None, 0)
        before = kept(1)
        telegram_cut.before_tool(tool_name="terminal", args={})
        telegram_cut.spends.reset(token)
        await telegram_cut.drain(nothing, None, 0)
        during = kept(1)
        telegram_cut.hear(lambda text: None, agent, "It is 4")
        await telegram_cut.drain(nothing, None, 0)
        inbox.box.frozen = True
        return before, during, kept(1)


box_of(update(1))
expect("around a tool", asyncio.run(with_tool()), ("I look.", "", "It is 4"))

# A disk that takes nothing costs that alone.
box = box_of(update(1))
box.folder = folder / "nowhere"
expect("a disk that takes nothing", (said_by_a_stop(box, "words"), box.said), (None, {}))
box.folder = folder
expect("the same with room again", said_by_a_stop(box, "words"), "words")

# What is still being sent when a stop waits no longer stays in the inbox.
box = box_of(update(1))
for sending in (0, 1):
    box.answering = sending
    asyncio.run(inbox.drain(nothing, None, 0.2))
    expect(f"what is left of {sending} that are sent", box.frozen, bool(sending))

# An answer that has ended leaves nothing: neither with its message, when that still waits, nor a file of one that is answered.
async def ends(answered):
    with telegram_cut.listening(event(1), "session"):
        telegram_cut.hear(lambda text: None, SimpleNamespace(_gateway_session_key="session"), "words")
        await telegram_cut.drain(nothing, None, 0)
        if answered:
            inbox.box.remove(1)
            await telegram_cut.drain(nothing, None, 0)
    expect("answers that are written", telegram_cut.answers, {})
    telegram_cut.hear(lambda text: None, SimpleNamespace(_gateway_session_key="session"), "too late")
    return [path.name for path in folder.iterdir()], inbox.box.said


for answered, wanted in ((True, []), (False, ["1.json"])):
    box_of(update(1))
    expect(f"an answer that has ended, answered: {answered}", asyncio.run(ends(answered)), (wanted, {}))
expect("the same", kept(1), None)

# Who is told: the chat once, in its topic, of its own alone; code is closed before the sentence.
CUT = telegram_cut.CUT_OFF
box = box_of(update(1), update(2, user=6), update(3, topic=THREAD))
for number in (1, 2, 3):
    box.keep_said(number, f"words of {number}\n```\ncode")
sent, text = told(box, event(1), 1, 2, 3)
expect("the chat", sent, [(f"words of 1\n```\ncode\n```\n\n{CUT}", None)])
expect("the model", (text.startswith("[An earlier answer"), "words of 1" in text, "words of 2" in text, text.endswith("\na question")), (True, True, False, True))
expect("the same once more", told(box, event(1)), ([], "a question"))
expect("another's", [place for _, place in told(box, event(3, topic=THREAD))[0]], [THREAD])
expect("those who weren't told", box.again, {2})

# Nothing was said: the model hears that tools may have run. All was sent: the chat hears that it was cut off.
sent, text = told(box_of(update(1)), event(1), 1)
expect("nothing said", (sent, "tools may have run" in text, "had said" in text), ([], True, False))
box = box_of(update(1))
box.keep_said(1, "")
expect("all sent", told(box, event(1), 1)[0], [(CUT, None)])

# A command stays one, and an event of nobody's message is let alone.
expect("a command", told(box_of(update(1, text="/retry")), event(1, "/retry"), 1), ([], "/retry"))
expect("no message", told(box_of(update(1)), event(8), 1), ([], "a question"))


# What comes behind it is put together with it: told once, before both.
box = box_of(update(1), update(2))
box.keep_said(2, "words of 2")
expect("two at once", told(box, event(1), 1, 2)[0], [(f"words of 2\n\n{CUT}", None)])

# Given up, or on a disk that came back: the words are in that message.
class Bot:
    send = Chat.send

    def __init__(self):
        self.sent = []


async def gives_up(box):
    box.adapter = Bot()
    try:
        await inbox.begin(box.waiting[1], None)
    except ApplicationHandlerStop:
        return [text for text, _ in box.adapter.sent], [path.name for path in folder.iterdir()]


for at in (None, "Monday, 1 June, 10:00 UTC"):
    box = box_of(update(1))
    box.keep_said(1, "words of 1")
    box.keep(box.waiting[1], inbox.MAX_TRIES, box.said[1])
    if at:
        restored.get_hermes_home = lambda: folder.parent
        restored.note_messages(at)
    again = inbox.box = telegram_cut.box = inbox.Inbox(folder)
    again.load(None)
    (text,), left = asyncio.run(gives_up(again))
    expect("given up", (at or "ended twice") in text and text.endswith("a question\n\nThis I had said by then:\n\nwords of 1"), True)
    expect("what is left", left, [])
