"""Keeps a start on a backup from doing twice what was done after the backup.

A disk that comes back (backup.py) is as it was then; the world isn't. What waited for an answer on Telegram may have had one, and what
was to run once may have run. Nobody here can know: so the chat, or whoever the job reports to, is told, and nothing is done again.

`.restored` on the disk says when the backup was made, in seconds since 1970. It goes once that is noted with each message and job.
Saves of sandboxes need nothing: Modal keeps those that the list names, and says which it doesn't have (sandbox/).
"""

import json
import logging
from datetime import datetime, timezone

import hermes_time
from cron import jobs
from hermes_constants import get_hermes_home

from .inbox import MAX_TRIES
from .jobs import moment, when
from .runs import recurs

log = logging.getLogger(__name__)


def note_messages(at):
    for path in (get_hermes_home() / "telegram-inbox").glob("*.json"):
        try:
            kept = json.loads(path.read_text())
        except ValueError:
            continue  # inbox.py leaves it out, and says so
        new = path.with_suffix(".tmp")
        new.write_text(json.dumps({**kept, "tries": MAX_TRIES, "restored": at}))
        new.replace(path)


def note_jobs(at):
    with jobs._jobs_lock():
        stored = jobs.load_jobs()
        for job in stored:
            repeat = job.get("repeat") or {}
            counted = repeat.get("times") and (repeat.get("completed") or 0) >= repeat["times"]
            if recurs(job):
                job["begun"] = None
            elif job.get("begun") or counted or (job.get("next_run_at") and when(job["next_run_at"]) <= hermes_time.now()):
                job["restored"] = at
        jobs.save_jobs(stored)


def start():
    marker = get_hermes_home() / ".restored"
    if not marker.is_file():
        return
    try:
        at = moment(datetime.fromtimestamp(float(marker.read_text()), timezone.utc))
    except (ValueError, OverflowError):
        at = "another day"  # the agent can write here, and must not keep Hermes from starting
    note_messages(at)
    note_jobs(at)
    marker.unlink()
    log.warning("The disk is as it was on %s. What waited then is told, and not done again.", at)
