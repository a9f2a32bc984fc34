"""Answers every message on Telegram, once and in order, whenever Hermes restarts.

Hermes 0.19.0 drops what waits at Telegram when it starts (`drop_pending_updates` in plugins/platforms/telegram/adapter.py), refuses
what comes while it stops, and tells Telegram that a message has arrived long before it has an answer; an answer that can't be sent
at once is dropped, and so is one that is on its way when Hermes stops. Here each message is a file in telegram-inbox/ on the disk
before Telegram hears of it, until its chat has nothing left to do. Hermes gets it once it has started and unless it is about to stop;
what is left over it gets at the next start.

What remains possible: a crash between an answer and the removal of its message answers twice, and a tool that had run before a
crash may run again. A message at which Hermes ends twice is given up, and its chat is told. Work in the background (/background)
isn't a message's. What had been said of an answer by then is kept with its message (telegram_cut.py).

Hermes' own ways to go on after a restart would answer a second time: it marks chats as interrupted and begins a turn of its own in
them (here the marks are taken away before), and sends an answer again that may not have arrived (gateway.delivery_ledger, off in config.yaml).
"""

import asyncio
import contextlib
import json
import logging
import os
import re
import time

from hermes_constants import get_hermes_home
from telegram import Update
from telegram.ext import ApplicationHandlerStop, TypeHandler

from . import replaces
from .telegram_kinds import is_edit, moved, unread

# All in seconds. Telegram itself keeps a message as long (core.telegram.org/bots/api, "Getting updates").
MAX_AGE = 24 * 3600
# Hermes drops an answer when Telegram can't be reached for some 6 s. After a start it believes so until its first poll succeeds, which
# takes up to 10 s. We wait for that.
SEND_PATIENCE = 120
# Until an answer that Telegram didn't take is sent again.
SEND_PAUSE = 5
# Until a disk that is full, or fails, is tried again.
DISK_PATIENCE = 5
MAX_TRIES = 2
# Groups of handlers; Hermes' are in 0.
FIRST, LAST = -1, 1
# How Hermes begins what it says of a stop.
STOP = "⚠️ Gateway "
RESTORED = "My memory is as it was on {}, so I don't know whether I have answered this, and leave it. Send it again if I have not:\n\n"
GIVEN_UP = "I ended twice while I worked on this message, so I leave it. Send it again to have me try once more:\n\n"
HAD_SAID = "\n\nThis I had said by then:\n\n"

log = logging.getLogger(__name__)


def too_old(update):
    return time.time() - update.message.date.timestamp() > MAX_AGE


def is_allowed(user):
    """Whether a user, by id, gets answers."""
    return str(user) in os.environ.get("TELEGRAM_ALLOWED_USERS", "").replace(" ", "").split(",")


def is_wanted(update):
    """Whether it is a message of somebody who gets answers."""
    return bool(update.message and update.effective_user and is_allowed(update.effective_user.id))


class Inbox:
    """The messages that wait for an answer, as files of a folder that survive the process."""

    def __init__(self, folder):
        self.folder = folder
        self.tries = {}  # how often Hermes began with a message, by its update's id
        self.waiting = {}  # the updates themselves
        self.said = {}  # what was said of answers that aren't whole, and wasn't sent (telegram_cut.py)
        self.again = set()  # those that an earlier process has begun with, until their chats are told
        self.restored = {}  # of those that waited when a backup was made: when that was, as people read it (restored.py)
        self.put = None  # puts an update into the queue of the application, once there is one
        self.given = set()  # those that this process has put there
        self.adapter = None
        self.answering = 0  # messages that Hermes is at, until their answers are sent
        self.started = self.stopping = self.frozen = False

    def load(self, bot):
        """Reads what an earlier process has left, but what is too old or can't be read."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.suffix != ".json":
                path.unlink(missing_ok=True)  # cut off while it was written, and so not told to Telegram
                continue
            try:
                kept = json.loads(path.read_text())
                update = Update.de_json(kept["update"], bot)
                if too_old(update):
                    raise ValueError("older than a day")
                self.waiting[update.update_id], self.tries[update.update_id] = update, kept["tries"]
                if "said" in kept:
                    self.said[update.update_id] = kept["said"]
                if "restored" in kept:
                    self.restored[update.update_id] = kept["restored"]
            except OSError as error:
                # It stays, and is read at the next start.
                log.warning("A message of the inbox can't be read now: %s", error)
            except Exception as error:
                log.warning("A message of the inbox is left out: %s: %s", type(error).__name__, error)
                path.unlink(missing_ok=True)

    def keep(self, update, tries, said=None):
        """Raises OSError when the disk doesn't take it; nothing has changed then."""
        number = update.update_id
        new = self.folder / f"{number}.tmp"
        new.write_text(json.dumps({"tries": tries, "update": update.to_dict(), **({} if said is None else {"said": said})}))
        new.replace(self.folder / f"{number}.json")
        self.waiting[number], self.tries[number] = update, tries
        self.said.pop(number, None)
        if said is not None:
            self.said[number] = said

    def keep_said(self, number, said):
        """Keeps what was said of the answer to a message with it, or takes it away (None). Raises as `keep`."""
        if number in self.waiting and self.said.get(number) != said:
            self.keep(self.waiting[number], self.tries[number], said)

    def remove(self, number):
        del self.waiting[number], self.tries[number]
        self.said.pop(number, None)
        self.again.discard(number)
        try:
            (self.folder / f"{number}.json").unlink(missing_ok=True)
        except OSError as error:
            log.warning("A message that is answered stays in the inbox, and is answered again at the next start: %s", error)

    def begun(self, chat):
        """Those of a chat that Hermes has begun with."""
        return [number for number, update in self.waiting.items() if update.message.chat_id == chat and number in self.given and self.tries[number]]

    def busy(self, chat):
        """Whether something of a chat is collected, waits or is answered. Keys have the chat's id as a part, but those of albums."""
        adapter = self.adapter
        places = (adapter._active_sessions, adapter._pending_messages, adapter._pending_text_batches, adapter._pending_photo_batches)
        if any(event.source.chat_id == str(chat) for event in adapter._media_group_events.values()):
            return True
        return any(str(chat) in re.split(r"[^\d-]+", str(key)) for place in places for key in place)

    def settle(self, chat, numbers):
        """Removes messages of a chat, unless it still has something to do or Hermes was cut off."""
        if not self.frozen and (self.stopping or not self.busy(chat)):
            for number in set(numbers) & set(self.waiting):
                self.remove(number)

    @contextlib.contextmanager
    def answers(self, chat):
        """While Hermes is at a message of a chat. What it has begun with there is removed afterwards."""
        # While Hermes stops it lets go what waits behind this one.
        begun = self.begun(chat)
        self.answering += 1
        try:
            yield
        finally:
            self.answering -= 1
        self.settle(chat, begun if self.stopping else self.begun(chat))

    async def give(self):
        """Hands over what waits, oldest first."""
        if self.started and not self.stopping and self.put:
            for number in sorted(self.waiting):
                if number not in self.given:
                    self.given.add(number)
                    await self.put(self.waiting[number])


box = Inbox(get_hermes_home() / "telegram-inbox")


async def watch(app):
    """Keeps each update of an application before it is handled; to be called before it asks for some."""
    if getattr(app.update_queue, "is_watched", False):
        return
    put = app.update_queue.put
    if not box.put:
        box.load(app.bot)

    async def keep_and_put(update):
        if not isinstance(update, Update) or not is_wanted(update):
            return await put(update)
        if too_old(update):
            return
        # Telegram sends again what it wasn't told of.
        while update.update_id not in box.waiting:
            try:
                box.keep(update, 0)
            except (TypeError, ValueError) as error:
                log.warning("A message of Telegram can't be kept, and is left out: %s", error)
                return
            except OSError as error:
                # Telegram hears nothing of it until it is kept, and keeps it meanwhile. An error would end the task that asks for messages.
                log.warning("A message of Telegram waits, for the disk doesn't take it: %s", error)
                await asyncio.sleep(DISK_PATIENCE)
        await box.give()

    app.add_handler(TypeHandler(Update, begin), group=FIRST)
    app.add_handler(TypeHandler(Update, end), group=LAST)
    # python-telegram-bot puts an update there, and only then tells Telegram that it has arrived (telegram/ext/_updater.py).
    app.update_queue.put, app.update_queue.is_watched, box.put = keep_and_put, True, put
    await box.give()


async def begin(update, context):
    """Comes before Hermes' own handlers, which have an update unless this raises ApplicationHandlerStop."""
    if is_edit(update):
        raise ApplicationHandlerStop
    if update.message and (new := update.message.migrate_to_chat_id):
        await asyncio.to_thread(moved, str(update.message.chat_id), str(new))
    number = update.update_id
    if number not in box.waiting:
        return
    if box.stopping:
        raise ApplicationHandlerStop
    chat = update.message.chat_id
    if box.tries[number] >= MAX_TRIES:
        at, said = box.restored.get(number), box.said.get(number)
        box.remove(number)
        told = (RESTORED.format(at) if at else GIVEN_UP) + (update.message.text or "")[:1000]
        await box.adapter.send(str(chat), f"{told}{HAD_SAID}{said}" if said else told)
        raise ApplicationHandlerStop
    if update.message.chat_id > 0 and (said := unread(update.message)):
        box.remove(number)
        await box.adapter.send(str(chat), said)
        raise ApplicationHandlerStop
    if box.tries[number]:
        box.again.add(number)
    try:
        box.keep(update, box.tries[number] + 1, box.said.get(number))
    except OSError as error:
        # Only how often it was tried isn't known after a crash.
        box.tries[number] += 1
        log.warning("The disk doesn't take that a message is being answered: %s", error)


async def end(update, context):
    """Comes after Hermes' own handlers."""
    # Nothing came of it, as of what is said in a group and not to the bot, or it was a command and is done.
    if update.update_id in box.waiting and not box.stopping:
        box.settle(update.message.chat_id, box.begun(update.message.chat_id))


def take_marks(store):
    """Takes the marks of chats away in which Hermes would go on by itself."""
    try:
        for session in store.list_sessions():
            store.clear_resume_pending(session.session_key)
    except Exception:
        # As of a full disk: a message may be answered twice then.
        log.exception("What Hermes would go on with can't be forgotten")


async def when_started(runner):
    """Hands over what waits, once Hermes has started. Until then it keeps what comes in memory; its hook gateway:startup comes earlier."""
    while not runner._running or runner._startup_restore_in_progress:
        await asyncio.sleep(0.1)
    box.started = True
    await box.give()


@replaces("gateway.run:arm_shutdown_watchdog")
def stop_begins(original, *arguments, **more):
    box.stopping = True
    return original(*arguments, **more)


@replaces("gateway.run:GatewayRunner._drain_active_agents")
async def drain(original, self, timeout):
    end = time.monotonic() + timeout
    agents, timed_out = await original(timeout)
    # An agent that has its answer counts no more. Next, Hermes would cut off what sends it, and the message be answered again.
    while box.answering and not timed_out and time.monotonic() < end:
        await asyncio.sleep(0.1)
    # What Hermes cuts off now stays in the inbox.
    box.frozen = timed_out or box.answering > 0
    return agents, timed_out


def is_news_of_a_stop(chat, said):
    """Whether it is what Hermes says of a stop, to somebody who has no task: otherwise the first user hears of each."""
    return box.stopping and str(said).startswith(STOP) and not box.busy(int(chat))
