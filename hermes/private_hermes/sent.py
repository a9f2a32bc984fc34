"""Tells the agent what a job has sent into a chat on Telegram: "What did you just send me?" has an answer.

Hermes 0.19.0 can note a report in the chat that the job was made in (`cron.mirror_delivery`, off in config.yaml), as words of the
user. What a page or a mail has put into a report would be an order then. It does so while a message is being answered, too, between
a tool's call and its result, opens a thread for each report where it can, and leaves out each other chat. Here the report is what
the agent has said, after a line that says which job it is, as in the page (openwebui/reports.py), once the chat is at rest.

A chat knows its last reports, and of a long one the beginning: nobody may answer for a month. What ends Hermes meanwhile leaves a
report out, which has arrived.
"""

import contextlib
import logging
import threading
import time

import hermes_time
from gateway import mirror
from gateway import run as gateway
from gateway.config import Platform
from gateway.platforms.base import BasePlatformAdapter
from gateway.session import SessionSource
from hermes_state import SessionDB

from .jobs import moment

# Reports that a chat knows, and characters of each.
KEPT, LONG = 20, 4000
# Seconds that a chat may be busy.
PATIENCE = 3600
# By which a report is found again, in a field for ids of messages that other platforms give.
MARK = "scheduled-job"
# The row stays, as of a message that was undone.
FORGET = """
UPDATE messages SET active = 0 WHERE id IN (
    SELECT id FROM messages WHERE session_id = ? AND platform_message_id = ? AND active = 1 ORDER BY id DESC LIMIT -1 OFFSET ?
)
"""

log = logging.getLogger(__name__)


def busy(adapter, chat):
    """Whether a message of a chat is being answered. Keys have the chat's id as a part."""
    return any(chat in key.split(":") for key in list(adapter._active_sessions))


def session_of(store, platform, chat, thread, user):
    """The session in which a chat goes on, or None."""
    if platform == Platform.TELEGRAM and chat.isdigit() and not thread:
        # In private the chat has its user's id. Nobody may have written yet.
        return store.get_or_create_session(SessionSource(platform=platform, chat_id=chat, chat_type="dm", user_id=chat)).session_id
    return mirror._find_session_id(platform.value, chat, thread_id=thread, user_id=user)


def note(job, platform, chat, text, thread, user):
    runner = gateway._gateway_runner_ref()
    adapter = runner and runner.adapters.get(platform)
    if not adapter:
        return
    about = f"Scheduled job “{job.get('name') or job['id']}” ({job['id']}), {moment(hermes_time.now())}"
    end = time.monotonic() + PATIENCE
    while busy(adapter, chat) and time.monotonic() < end:
        time.sleep(1)
    try:
        session = session_of(runner.session_store, platform, chat, thread, user)
        if not session:
            return
        with contextlib.closing(SessionDB()) as db:
            db.append_message(session, "user", about, platform_message_id=MARK)
            db.append_message(session, "assistant", text if len(text) <= LONG else f"{text[:LONG]} […]", platform_message_id=MARK)
            db._execute_write(lambda connection: connection.execute(FORGET, (session, MARK, 2 * KEPT)))
    except Exception:
        log.exception("The agent doesn't know what a job has sent")


def remember(job, target, content):
    """Notes what has arrived somewhere, once the chat is at rest."""
    _, text = BasePlatformAdapter.extract_media(content)
    if text.strip():
        user = (job.get("origin") or {}).get("user_id")
        arguments = (job, Platform(target["platform"].lower()), str(target["chat_id"]), text.strip(), target.get("thread_id"), user)
        threading.Thread(target=note, args=arguments, daemon=True, name="sent").start()
