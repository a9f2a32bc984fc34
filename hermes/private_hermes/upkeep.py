"""Keeps what Hermes stores of chats and jobs from growing for ever.

Hermes 0.19.0 deletes old sessions if it is told to (`sessions.auto_prune`), but only when it starts, and only those that have ended.
A chat of the page never ends. Here those that nobody went on with for SESSION_DAYS are
ended first, and it is done every day. Open WebUI keeps its own copy of each chat; one that goes on later begins a session anew,
with all that the page sends of it. What the agent remembers, its skills and its jobs are elsewhere, and stay.

Files that Telegram has brought, as voice messages and videos, lie in `cache/` on the disk. Hermes deletes pictures and documents there
after a day, and the rest never. Here all go that are older than a week.
"""

import contextlib
import logging
import os
import threading
import time

from hermes_constants import get_hermes_home
from hermes_state import SessionDB

from . import costs, handover, summaries

DAYS = int(os.environ["SESSION_DAYS"])
DAY = 24 * 60 * 60  # seconds
CACHED_DAYS = 7
CACHES = ("audio", "documents", "images", "screenshots", "videos")

END_OLD = """
UPDATE sessions SET ended_at = :now, end_reason = 'old'
WHERE ended_at IS NULL AND source = 'api_server'
AND COALESCE((SELECT MAX(timestamp) FROM messages WHERE session_id = sessions.id), started_at) < :before
"""

logger = logging.getLogger(__name__)


def forget_old(db):
    """Deletes the sessions of the page and of jobs that are older than DAYS."""
    now = time.time()
    db._execute_write(lambda connection: connection.execute(END_OLD, {"now": now, "before": now - DAYS * DAY}))
    # Chats run meanwhile, and a vacuum would stop them: SQLite uses the freed pages again.
    db.maybe_auto_prune_and_vacuum(retention_days=DAYS, min_interval_hours=0, vacuum=False)


def empty_caches():
    """Deletes the files that are older than CACHED_DAYS."""
    for cache in CACHES:
        for file in (get_hermes_home() / "cache" / cache).rglob("*"):
            if file.is_file() and file.lstat().st_mtime < time.time() - CACHED_DAYS * DAY:
                file.unlink(missing_ok=True)


def forget():
    with contextlib.closing(SessionDB()) as db:
        forget_old(db)


def keep_up():
    """Never ends."""
    while True:
        # Not at once: a start has enough to do.
        time.sleep(60)
        for work in (forget, empty_caches, handover.delete_old, lambda: summaries.delete_old(DAYS * DAY), costs.delete_old):
            try:
                work()
            except Exception as error:
                logger.warning("some of what is old can't be deleted for now: %s", error)
        time.sleep(DAY)


def start():
    threading.Thread(target=keep_up, daemon=True, name="upkeep").start()
