"""Telegram: what happens to a message there, and to what is sent, around Hermes' own adapter.

Hermes makes this class in the place of its own, for its plugin isn't loaded once the platform is registered
(gateway/platform_registry.py).
"""

import asyncio
import collections
import logging
import time

from gateway import run as gateway
from gateway.platform_registry import PlatformEntry, platform_registry
from gateway.platforms.base import SendResult, classify_send_error
from plugins.platforms.telegram import adapter

from . import attachments, inbox, telegram_cut, undelivered, voice
from .files import LIMIT
from .inbox import box
from .loops import watch_tasks
from .telegram_kinds import mark_forwarded, moved, new_id

log = logging.getLogger(__name__)
# The last that were addressed to the bot.
albums = collections.deque(maxlen=100)


class Telegram(adapter.TelegramAdapter):
    def __init__(self, config):
        super().__init__(config)
        self._max_doc_bytes = LIMIT
        self._starts, box.adapter = None, self

    def set_session_store(self, session_store):
        # Hermes gives it before it connects, and looks for the marks after that.
        inbox.take_marks(session_store)
        super().set_session_store(session_store)

    async def _start_polling_once(self, app, *, drop_pending_updates, error_callback):
        await inbox.watch(app)
        if not self._starts:
            self._starts = asyncio.create_task(inbox.when_started(gateway._gateway_runner_ref()))
        await super()._start_polling_once(app, drop_pending_updates=False, error_callback=error_callback)
        watch_tasks()

    def _build_message_event(self, *arguments, **more):
        event = super()._build_message_event(*arguments, **more)
        # Before Hermes looks whether it is a command, and puts what is written quickly together.
        mark_forwarded(event)
        return event

    def _should_process_message(self, message, **more):
        # In a group the caption, and so the mention, stands at one file of an album alone.
        addressed, album = super()._should_process_message(message, **more), message.media_group_id
        if addressed and album:
            albums.append(album)
        return addressed or album in albums

    # What comes together becomes one message, with the names of the first alone.
    def _enqueue_photo_event(self, batch_key, event):
        attachments.remember(event)
        super()._enqueue_photo_event(batch_key, event)

    async def _queue_media_group_event(self, media_group_id, event):
        attachments.remember(event)
        await super()._queue_media_group_event(media_group_id, event)

    async def _handle_sticker(self, msg, event):
        await attachments.show_sticker(msg.sticker, event)

    async def handle_message(self, event):
        try:
            # Both answer by themselves what can't be done.
            goes_on = await attachments.go_on(self, event) and await voice.go_on(self, event)
        except Exception:
            log.exception("What came with a message can't be taken")
            await self.send(event.source.chat_id, attachments.NOT_TAKEN, metadata=attachments.place_of(event))
            return
        if goes_on and not box.stopping:
            # Of a photo or a file Hermes has put the caption in the place of what was marked.
            mark_forwarded(event)
            await telegram_cut.tell(self, event)
            # Telegram may have taken its time.
            if not box.stopping:
                await super().handle_message(event)

    async def _process_message_background(self, event, session_key):
        undelivered.answering.set(event.source)
        with telegram_cut.listening(event, session_key), box.answers(int(event.source.chat_id)):
            await super()._process_message_background(event, session_key)

    async def _send_with_retry(self, chat_id, *arguments, **more):
        result = await super()._send_with_retry(chat_id, *arguments, **more)
        await undelivered.look(self, str(chat_id), result)
        return result

    async def _send_with_dm_topic_reply_anchor_retry(self, *arguments, reset_media=None, **more):
        # Of a file, which Hermes gives up at the first failure.
        end = time.monotonic() + inbox.SEND_PATIENCE
        while True:
            try:
                return await super()._send_with_dm_topic_reply_anchor_retry(*arguments, reset_media=reset_media, **more)
            except Exception as error:
                if not undelivered.passes(classify_send_error(error)) or time.monotonic() > end:
                    raise
            await asyncio.sleep(inbox.SEND_PAUSE)
            if reset_media:
                reset_media()

    async def send(self, chat_id, content, *arguments, **more):
        if inbox.is_news_of_a_stop(chat_id, content):
            return SendResult(success=True)
        end = time.monotonic() + inbox.SEND_PATIENCE
        while self._send_path_degraded and time.monotonic() < end:
            await asyncio.sleep(1)
        result = await super().send(chat_id, content, *arguments, **more)
        while not result.success and undelivered.passes(result.error_kind) and time.monotonic() < end:
            await asyncio.sleep(inbox.SEND_PAUSE)
            result = await super().send(chat_id, content, *arguments, **more)
        if new := new_id(result):
            await asyncio.to_thread(moved, str(chat_id), new)
            return await super().send(new, content, *arguments, **more)
        return result


def make(config):
    """Makes one as `_build_adapter` of the plugin does."""
    made = Telegram(config)
    made._notifications_mode = adapter._resolve_notifications_mode()
    return made


class Plugin:
    """What the plugin registers itself by."""

    def register_platform(self, **fields):
        platform_registry.register(PlatformEntry(**{**fields, "adapter_factory": make}))


def register():
    adapter.register(Plugin())
