"""Telegram: what happens to a message there, and to what is sent, around Hermes' own adapter.

Hermes makes this class in the place of its own, for its plugin isn't loaded once the platform is registered
(gateway/platform_registry.py).
"""

import asyncio

from gateway.platform_registry import PlatformEntry, platform_registry
from plugins.platforms.telegram import adapter

from . import attachments, inbox, voice
from .files import LIMIT
from .inbox import box
from .loops import watch_tasks
from .telegram_kinds import mark_forwarded, moved, new_id


class Telegram(adapter.TelegramAdapter):
    def __init__(self, config):
        super().__init__(config)
        self._max_doc_bytes = LIMIT
        box.adapter = self

    async def _start_polling_once(self, app, *, drop_pending_updates, error_callback):
        await inbox.watch(app)
        await super()._start_polling_once(app, drop_pending_updates=False, error_callback=error_callback)
        watch_tasks()

    def _build_message_event(self, *arguments, **more):
        event = super()._build_message_event(*arguments, **more)
        # Before Hermes looks whether it is a command, and puts what is written quickly together.
        mark_forwarded(event)
        return event

    async def handle_message(self, event):
        # The first two answer by themselves what can't be done.
        if await attachments.go_on(self, event) and await voice.go_on(self, event) and not box.stopping:
            # Of a photo or a file Hermes has put the caption in the place of what was marked.
            mark_forwarded(event)
            await super().handle_message(event)

    async def _process_message_background(self, event, session_key):
        with box.answers(int(event.source.chat_id)):
            await super()._process_message_background(event, session_key)

    async def send(self, chat_id, *arguments, **more):
        for _ in range(inbox.SEND_PATIENCE):
            if not self._send_path_degraded:
                break
            await asyncio.sleep(1)
        result = await super().send(chat_id, *arguments, **more)
        if new := new_id(result):
            await asyncio.to_thread(moved, str(chat_id), new)
            return await super().send(new, *arguments, **more)
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
