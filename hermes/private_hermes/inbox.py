"""Has every message on Telegram answered, once and in order, whenever Hermes restarts.

Hermes 0.19.0 drops what waits at Telegram when it starts (`drop_pending_updates` in plugins/platforms/telegram/adapter.py), refuses
what comes while it stops, and tells Telegram that a message has arrived long before it has an answer; an answer that can't be sent
at once is dropped, and so is one that is on its way when Hermes stops. Here each message is a file in telegram-inbox/ on the disk
before Telegram hears of it, until its chat has nothing left to do. Hermes gets it once it has started and unless it is about to stop;
what is left over it gets at the next start.

What remains possible: a crash between an answer and the removal of its message answers twice, and a tool that had run before a
crash may run again. A message at which Hermes ends twice is given up, and its chat is told. Work in the background (/background)
isn't a message's.

Hermes' own ways to go on after a restart would answer a second time: it marks chats as interrupted and begins a turn of its own in
them (off here), and sends an answer again that may not have arrived (gateway.delivery_ledger, off in config.yaml).
"""

import asyncio
import json
import logging
import os
import re
import time

from gateway import drain_control
from gateway.config import Platform
from gateway.platforms.base import BasePlatformAdapter
from gateway.run import GatewayRunner
from gateway.session import SessionStore
from hermes_constants import get_hermes_home
from plugins.platforms.telegram.adapter import TelegramAdapter
from telegram import Update
from telegram.ext import Application

from . import expected, replace
from .loops import watch_tasks
from .telegram_kinds import is_edit, mark_forwarded, moved, new_id, unread

# All in seconds. Telegram itself keeps a message as long (core.telegram.org/bots/api, "Getting updates").
MAX_AGE = 24 * 3600
# Hermes drops an answer when Telegram can't be reached for some 6 s, and takes that for so until the first question for messages
# has an answer, up to 10 s after each start.
SEND_PATIENCE = 120
# Until a disk that is full, or fails, is tried again.
DISK_PATIENCE = 5
MAX_TRIES = 2
GIVEN_UP = "I ended twice while I worked on this message, so I leave it. Send it again to have me try once more:\n\n"

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
            except OSError as error:
                # It stays, and is read at the next start.
                log.warning("A message of the inbox can't be read now: %s", error)
            except Exception as error:
                log.warning("A message of the inbox is left out: %s: %s", type(error).__name__, error)
                path.unlink(missing_ok=True)

    def keep(self, update, tries):
        """Raises OSError when the disk doesn't take it; nothing has changed then."""
        new = self.folder / f"{update.update_id}.tmp"
        new.write_text(json.dumps({"tries": tries, "update": update.to_dict()}))
        new.replace(self.folder / f"{update.update_id}.json")
        self.waiting[update.update_id], self.tries[update.update_id] = update, tries

    def remove(self, number):
        del self.waiting[number], self.tries[number]
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

    async def give(self):
        """Hands over what waits, oldest first."""
        if self.started and not self.stopping and self.put:
            for number in sorted(self.waiting):
                if number not in self.given:
                    self.given.add(number)
                    await self.put(self.waiting[number])


def install():
    inbox = Inbox(get_hermes_home() / "telegram-inbox")
    expected(TelegramAdapter, "_build_message_event", BUILD)
    expected(TelegramAdapter, "_start_polling_once", "(self, app, *, drop_pending_updates: bool, error_callback) -> None")

    def create_adapter(self, platform, config):
        adapter = create(self, platform, config)
        if platform == Platform.TELEGRAM and adapter:
            inbox.adapter = adapter
            # On this one object, for Hermes loads the class of a plugin under a name of its own.
            start = adapter._start_polling_once

            async def start_polling(app, *, drop_pending_updates, error_callback):
                await watch(app)
                await start(app, drop_pending_updates=False, error_callback=error_callback)
                watch_tasks()

            adapter._start_polling_once = start_polling
            send = adapter.send

            async def send_when_connected(chat_id, *arguments, **more):
                for _ in range(SEND_PATIENCE):
                    if not adapter._send_path_degraded:
                        break
                    await asyncio.sleep(1)
                result = await send(chat_id, *arguments, **more)
                if new := new_id(result):
                    await asyncio.to_thread(moved, str(chat_id), new)
                    return await send(new, *arguments, **more)
                return result

            adapter.send = send_when_connected
            build = adapter._build_message_event

            def build_event(*arguments, **more):
                event = build(*arguments, **more)
                # Before Hermes looks whether it is a command, and puts what is written quickly together.
                mark_forwarded(event)
                return event

            adapter._build_message_event = build_event
        return adapter

    create = replace(GatewayRunner, "_create_adapter", create_adapter, "(self, platform: gateway.config.Platform, config: Any) -> Optional[gateway.platforms.base.BasePlatformAdapter]")

    async def watch(app):
        if getattr(app.update_queue, "is_watched", False):
            return
        put = app.update_queue.put
        if not inbox.put:
            inbox.load(app.bot)

        async def keep_and_put(update):
            if not isinstance(update, Update) or not is_wanted(update):
                return await put(update)
            if too_old(update):
                return
            # Telegram sends again what it wasn't told of.
            while update.update_id not in inbox.waiting:
                try:
                    inbox.keep(update, 0)
                except (TypeError, ValueError) as error:
                    log.warning("A message of Telegram can't be kept, and is left out: %s", error)
                    return
                except OSError as error:
                    # Telegram hears nothing of it until it is kept, and keeps it meanwhile. An error would end the task that asks for messages.
                    log.warning("A message of Telegram waits, for the disk doesn't take it: %s", error)
                    await asyncio.sleep(DISK_PATIENCE)
            await inbox.give()

        # python-telegram-bot puts an update there, and only then tells Telegram that it has arrived (telegram/ext/_updater.py).
        app.update_queue.put, app.update_queue.is_watched, inbox.put = keep_and_put, True, put
        await inbox.give()

    async def process_update(self, update):
        if is_edit(update):
            return
        if isinstance(update, Update) and update.message and (new := update.message.migrate_to_chat_id):
            await asyncio.to_thread(moved, str(update.message.chat_id), str(new))
        number = getattr(update, "update_id", None)
        if number not in inbox.waiting:
            return await process(self, update)
        if inbox.stopping:
            return
        chat = update.message.chat_id
        if inbox.tries[number] >= MAX_TRIES:
            inbox.remove(number)
            await inbox.adapter.send(str(chat), GIVEN_UP + (update.message.text or "")[:1000])
            return
        if update.message.chat_id > 0 and (said := unread(update.message)):
            inbox.remove(number)
            await inbox.adapter.send(str(chat), said)
            return
        try:
            inbox.keep(update, inbox.tries[number] + 1)
        except OSError as error:
            # Only how often it was tried isn't known after a crash.
            inbox.tries[number] += 1
            log.warning("The disk doesn't take that a message is being answered: %s", error)
        await process(self, update)
        # Nothing came of it, as of what is said in a group and not to the bot, or it was a command and is done.
        if not inbox.stopping:
            inbox.settle(chat, inbox.begun(chat))

    process = replace(Application, "process_update", process_update, "(self, update: object) -> None")

    async def handle_message(self, event):
        if self is inbox.adapter:
            if inbox.stopping:
                return
            # Of a photo or a file Hermes has put the caption in the place of what was marked.
            mark_forwarded(event)
        await handle(self, event)

    handle = replace(BasePlatformAdapter, "handle_message", handle_message, "(self, event: gateway.platforms.base.MessageEvent) -> None")

    async def process_message(self, event, session_key):
        if self is not inbox.adapter:
            return await process_event(self, event, session_key)
        chat = int(event.source.chat_id)
        # While Hermes stops it lets go what waits behind this one.
        begun = inbox.begun(chat)
        inbox.answering += 1
        try:
            await process_event(self, event, session_key)
        finally:
            inbox.answering -= 1
        inbox.settle(chat, begun if inbox.stopping else inbox.begun(chat))

    process_event = replace(BasePlatformAdapter, "_process_message_background", process_message, "(self, event: gateway.platforms.base.MessageEvent, session_key: str) -> None")

    async def finish_start(self):
        await finish(self)
        inbox.started = True
        await inbox.give()

    finish = replace(GatewayRunner, "_finish_startup_restore", finish_start, "(self) -> None")

    async def notify(self):
        inbox.stopping = True
        await notify_active(self)

    notify_active = replace(GatewayRunner, "_notify_active_sessions_of_shutdown", notify, "(self) -> None")

    async def drain(self, timeout):
        end = time.monotonic() + timeout
        agents, timed_out = await drain_agents(self, timeout)
        # An agent that has its answer counts no more. Next, Hermes would cut off what sends it, and the message be answered again.
        while inbox.answering and not timed_out and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return agents, timed_out

    drain_agents = replace(GatewayRunner, "_drain_active_agents", drain, "(self, timeout: float) -> tuple[typing.Dict[str, typing.Any], bool]")

    def interrupt(self, reason):
        inbox.frozen = True
        interrupt_all(self, reason)

    interrupt_all = replace(GatewayRunner, "_interrupt_running_agents", interrupt, "(self, reason: str) -> None")

    # Who has no task hears nothing of a restart: otherwise the first user does, each time.
    replace(drain_control, "drain_notification_suppressed", lambda *, home=None: True, "(*, home: 'Optional[Path]' = None) -> 'bool'")
    replace(SessionStore, "suspend_recently_active", lambda self, max_age_seconds=120: 0, "(self, max_age_seconds: int = 120) -> int")
    replace(SessionStore, "mark_resume_pending", lambda self, session_key, reason="": False, "(self, session_key: str, reason: str = 'restart_timeout') -> bool")


BUILD = "(self, message: telegram._message.Message, msg_type: gateway.platforms.base.MessageType, update_id: Optional[int] = None) -> gateway.platforms.base.MessageEvent"
