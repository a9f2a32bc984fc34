"""Keeps the summary of a long chat of the page, so that it is paid for once, and not with each message.

When a chat is too long for the model, Hermes asks the model for a summary, which stands in the place of older messages. The page sends
the whole chat again with each message, and Hermes 0.19.0 forgets a summary when the message has its answer (it stores one for its own
chats alone, as those of Telegram). So each message paid for a new one; and as no two are the same, the provider had nothing of the chat
in its cache. Here a summary is a file in summaries/ on the disk. It stands again in the place of the messages that it was made of, as
long as these are the same, word by word. What follows makes the next one, from this one and the messages since.

Hermes has a place for another way to shorten chats (`context.engine`). It is asked only once a chat is too long, keeps nothing by
itself, and would replace all that Hermes does there.
"""

import hashlib
import json
import logging
import os
import time
import uuid
from dataclasses import dataclass

from agent.context_compressor import COMPRESSED_SUMMARY_METADATA_KEY, _strip_historical_media
from hermes_constants import get_hermes_home

from . import replaces
from .failures import PICTURE_LEFT_OUT
from .messages import NOTE, OTHER_KIND
from .people import person_of_session

# Summaries that are kept of a chat, the newest ones: who goes back to an earlier message goes on with an earlier one.
MOST = 3
# Bytes of one, with the message that it is put into if it is put into one. Hermes asks for some 50,000 at most.
LARGEST = 500_000
# What a picture is to the model that writes a summary; so one that is left out later changes nothing.
PICTURE = "[picture]"
LEFT_OUT = [NOTE["text"], OTHER_KIND, PICTURE_LEFT_OUT["text"]]

log = logging.getLogger(__name__)


def root():
    return get_hermes_home() / "summaries"


def said(message):
    """Who said what in a message, with a word for each picture."""
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "\n".join(part.get("text", "") if part.get("type") == "text" else PICTURE for part in content)
    for note in LEFT_OUT:
        content = content.replace(note, PICTURE)
    return [message.get("role"), content]


def digest(said_before):
    return hashlib.sha256(json.dumps(said_before).encode()).hexdigest()


@dataclass
class Base:
    """What a chat is shortened from: all that the page sent of it, and how many of its first messages how many others stand for."""

    file: object
    history: list
    covered: int = 0
    standing: int = 0


def kept(file):
    """The summaries of a chat, the newest first."""
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        log.warning("a summary can't be read, so it is made anew: %s", error)
        return []


def shorten(compressor, file, history):
    """A chat with a summary in the place of what it was made of, if one is kept; and what it was made from."""
    words = [said(message) for message in history]
    for summary in kept(file):
        covered, head = summary["covered"], summary["head"]
        # Another model may take all of it.
        if summary["model"] == [compressor.model, compressor.context_length] and summary["of"] == digest(words[:covered]) and covered <= len(words):
            short = _strip_historical_media([*history[:head], summary["message"], *history[covered:]])
            os.utime(file)
            return short, Base(file, words, covered, head + 1)
    return history, Base(file, words)


def keep(compressor, base, before, after):
    """Keeps the summary by which Hermes has made `after` of `before`; gives what the chat is shortened from then, or None."""
    head = next((index for index, message in enumerate(after) if message.get(COMPRESSED_SUMMARY_METADATA_KEY)), None)
    if head is None or compressor._last_summary_fallback_used:
        return None
    # What follows it was left as it was.
    end = len(before) - (len(after) - head - 1)
    covered = base.covered + end - base.standing
    words = [said(message) for message in before]
    same = (
        end >= base.standing
        and words[:head] == base.history[:head]
        and words[base.standing : end] == base.history[base.covered : covered]
        and [message.get("role") for message in before[end:]] == [message.get("role") for message in after[head + 1 :]]
    )
    # Otherwise there is something in it that the page doesn't send again, as what a tool has said.
    if not same:
        return None
    summary = {
        "of": digest(base.history[:covered]),
        "covered": covered,
        "head": head,
        "model": [compressor.model, compressor.context_length],
        "message": after[head],
    }
    others = [other for other in kept(base.file) if other["of"] != summary["of"]]
    text = json.dumps([summary, *others][:MOST])
    if len(text) > LARGEST * MOST:
        return None
    new = base.file.with_suffix(f".{uuid.uuid4().hex}.tmp")
    new.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        new.write_text(text)
        new.replace(base.file)
    finally:
        new.unlink(missing_ok=True)
    return Base(base.file, base.history, covered, head + 1)


def delete_old(seconds):
    """Deletes those of chats that nobody went on with for so long; upkeep.py calls it."""
    for file in root().glob("*"):
        if file.stat().st_mtime < time.time() - seconds:
            file.unlink(missing_ok=True)


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, user_message, system_message=None, conversation_history=None, *arguments, **more):
    self.context_compressor.base = None
    if conversation_history and self.platform == "api_server" and person_of_session(self.session_id):
        try:
            file = root() / f"{self.session_id}.json"
            conversation_history, self.context_compressor.base = shorten(self.context_compressor, file, conversation_history)
        except Exception as error:
            log.warning("a summary can't be used, so it is made anew: %s", error)
    return original(user_message, system_message, conversation_history, *arguments, **more)


@replaces("agent.context_compressor:ContextCompressor.compress")
def compress(original, self, messages, current_tokens=None, focus_topic=None, force=False, memory_context=""):
    before, base = list(messages), getattr(self, "base", None)
    after = original(messages, current_tokens=current_tokens, focus_topic=focus_topic, force=force, memory_context=memory_context)
    if base and self._last_compression_made_progress:
        try:
            self.base = keep(self, base, before, after)
        except Exception as error:
            log.warning("a summary can't be kept, so the next message pays for another one: %s", error)
    return after
