"""Answers each kind of message on Telegram, or says that it can't; inbox.py asks it what to do with one.

Hermes 0.19.0 takes an edit for a new message, and does its work again; it passes over a contact, a poll or a round video without a word;
it gives the model a forwarded message as its sender's own words, and obeys a forwarded command; it goes on sending to a group that has
become a supergroup, where nothing arrives. Here an edit is left out, as after a restart nobody would know what it was before.
"""

import logging
import re

from cron import jobs
from telegram import Update

# Messages that no handler of Hermes takes (filters in plugins/platforms/telegram/adapter.py), by their field.
UNREAD = {
    "contact": "a contact",
    "poll": "a poll",
    "dice": "a dice",
    "story": "a story",
    "video_note": "a round video",
    "game": "a game",
    "paid_media": "paid media",
    "checklist": "a checklist",
    # What python-telegram-bot 22.6 doesn't know stands in api_kwargs.
    "rich_message": "a message of this kind",
}
FORWARDED = "[Forwarded by the person, who didn't write it; the words of {author} begin here.]"

log = logging.getLogger(__name__)


def is_edit(update):
    return isinstance(update, Update) and bool(update.edited_message or update.edited_channel_post)


def unread(message):
    """What a message is that nobody reads, as a sentence for its sender; None for one that is read, or that says what happened in a group."""
    found = next((said for field, said in UNREAD.items() if getattr(message, field, None) or field in message.api_kwargs), None)
    return found and f"I can't read {found}. Send what matters in it as text, as a photo or as a file."


def author_of(origin):
    """Who wrote a forwarded message; the name is that person's choice."""
    user, chat = getattr(origin, "sender_user", None), getattr(origin, "sender_chat", None) or getattr(origin, "chat", None)
    name = (user and user.full_name) or getattr(origin, "sender_user_name", None) or (chat and (chat.title or chat.full_name)) or "somebody"
    return " ".join(re.sub(r"[\[\]\s]+", " ", name).split())[:60] or "somebody"


def mark_forwarded(event):
    """Marks a forwarded message as somebody else's words, once."""
    message = event.raw_message
    if origin := getattr(message, "forward_origin", None):
        mark = FORWARDED.format(author=author_of(origin))
        if mark not in (event.text or ""):
            event.text = f"{mark}\n{event.text or ''}".rstrip()


def moved(old, new):
    """Lets the jobs of a group report to the supergroup that it has become. Raises OSError."""
    with jobs._jobs_lock():
        everybody, changed = jobs.load_jobs(), 0
        for job in everybody:
            origin = job.get("origin")
            if isinstance(origin, dict) and origin.get("platform") == "telegram" and str(origin.get("chat_id")) == old:
                origin["chat_id"], changed = new, changed + 1
            if isinstance(job.get("deliver"), str) and (deliver := re.sub(rf"\btelegram:{re.escape(old)}(?![\d])", f"telegram:{new}", job["deliver"])) != job["deliver"]:
                job["deliver"], changed = deliver, changed + 1
        if changed:
            jobs.save_jobs(everybody)
    log.info("The group %s is the supergroup %s now; %d places in jobs changed", old, new, changed)


def new_id(result):
    """The id of the supergroup, if a message couldn't be sent for that reason; Telegram's words, as python-telegram-bot has them (ChatMigrated)."""
    found = None if result is None or result.success else re.search(r"New chat id: (-\d+)", str(result.error or ""))
    return found and found[1]
