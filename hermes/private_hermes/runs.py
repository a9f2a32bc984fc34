"""Makes sure that each run of a job happens, or that somebody is told.

Hermes 0.19.0 forgets a run that a restart or a crash cuts off: the next is at the next time, and a job that was to run once is gone
(`advance_next_run` and `claim_dispatch` in cron/jobs.py). Here the job holds `begun` from the start of a run to its end. What is found
so at a start runs once more; what ends Hermes twice is given up, and told.

What was due while Hermes didn't run, Hermes runs as if it were on time, however late. Here the model and the report say for when it
was. If the next time is nearer than half of the way to the one after it, that one tells of it, and nothing comes double.

A report that can't be delivered is tried again, then the first user on Telegram is told, without the report, which is somebody's, and
once until one of that job has arrived. A job that fails three times in a row is paused, and says so.

What remains possible: a crash between the delivery of a report and the note of its end brings the report twice.
"""

import contextvars
import logging
import os
import time
import uuid
from datetime import datetime, timezone

import hermes_time
from cron import jobs, scheduler

from . import replaces
from .failures import known
from .jobs import FAILED, SILENT, change, moment, when
from .places import resolve, targets_of
from .sent import remember
from .views import tokens_of

# Seconds after which a run is late. The scheduler looks once a minute.
LATE = 600
# By which a process knows the runs that it has begun itself.
PROCESS = uuid.uuid4().hex
# Calls of the model that a run may take, and tokens that a job may take on a day of the zone: the settings jobTurns and jobTokens.
TURNS = int(os.environ["JOB_TURNS"])
TOKENS = int(os.environ["JOB_TOKENS"])
MAX_TRIES = 2
MAX_FAILURES = 3
# Seconds before a report is sent again. Hermes itself tries for some seconds.
PAUSES = (10, 60)

SPENT = f"This job has used up its {TOKENS:,} tokens of today (the setting jobTokens). It goes on tomorrow."
# ops/render.ts looks for these in Render's log.
UNDELIVERED = "A report of the scheduled job %s can't be delivered: %s"
DELIVERED = "Reports of the scheduled job %s are delivered again"
FIRST_TOLD = (
    "A report of the scheduled job “{name}” couldn't be delivered: {error}\n\nIt may have been the last: if the chat is gone, or the bot was "
    "blocked or removed, ask whoever made the job to have it report elsewhere. You aren't told again until one has arrived."
)
log = logging.getLogger(__name__)
left = contextvars.ContextVar("left", default=None)
# What the run that has just ended has failed with, for its report.
failed = contextvars.ContextVar("failed", default=None)

GIVEN_UP = "Hermes ended twice while this job ran, so it is left out this time."
RESTORED = "This was due on {due}. Hermes' disk is as it was on {at}, so it may have run; it isn't run again. Ask for it anew if it should."
PAUSED = f"It failed {MAX_FAILURES} times in a row and is paused. Once the cause is gone, ask for it to be resumed."


def recurs(job):
    return job.get("schedule", {}).get("kind") in ("cron", "interval")


def due_at(job):
    """For when a run is that begins now."""
    now = hermes_time.now()
    return min(when(job["next_run_at"]), now) if job.get("next_run_at") else now


def give_back():
    """Makes the runs that were cut off due again. Nothing runs yet."""
    with jobs._jobs_lock():
        stored = jobs.load_jobs()
        for job in stored:
            begun, repeat = job.get("begun"), job.get("repeat") or {}
            if begun and begun.get("by") == PROCESS:
                continue  # The API answers before the scheduler starts, and somebody was quick.
            # Hermes counts what is to run once before it runs.
            counted = not recurs(job) and repeat.get("times") and (repeat.get("completed") or 0) >= repeat["times"]
            if begun or counted:
                job.update(next_run_at=(begun or {}).get("due") or job.get("next_run_at"), run_claim=None, fire_claim=None)
            if counted:
                repeat["completed"] = repeat["times"] - 1
        jobs.save_jobs(stored)


def left_to_next(job):
    """Whether a run is so late that the next one, which is near, stands for it; that one tells of it then."""
    due, now = due_at(job), hermes_time.now()
    if not recurs(job) or (now - due).total_seconds() <= LATE:
        return False
    following = jobs.compute_next_run(job["schedule"], now.isoformat())
    after = following and jobs.compute_next_run(job["schedule"], following)
    if not after or when(following) - now >= (when(after) - when(following)) / 2:
        return False
    change(job["id"], missed=due.isoformat(), begun=None)
    jobs.advance_next_run(job["id"])
    return True


def leave_late():
    """Leaves each run that is very late to the next, where that is near; before each look of the scheduler."""
    now = hermes_time.now()
    for job in jobs.load_jobs():
        if not job.get("id") or not job.get("next_run_at") or not job.get("enabled", True) or job.get("state") == "paused" or when(job["next_run_at"]) > now:
            continue
        if not left_to_next(job):
            # Hermes counts a job anew whose time has another offset than now. When the clocks change that is no other zone.
            passed = datetime.fromisoformat(job["next_run_at"]).astimezone(timezone(now.utcoffset())).isoformat()
            if passed != job["next_run_at"]:
                change(job["id"], next_run_at=passed)


@replaces("cron.scheduler:run_job")
def run_job(original, job, **more):
    before, result = tokens_of(job), None
    try:
        result = run(original, job, **more)
        return result
    finally:
        success, output, answer, error = result or (False, "", "", None)
        failed.set(None if success else error or "")
        # Old sessions may be deleted meanwhile.
        cost = max(tokens_of(job) - before, 0)
        change(job["id"], last_tokens=cost, last_silent=success and answer.strip() == SILENT, last_spent=output == SPENT)


def run(original, job, **more):
    """A run as Hermes gives it, or what stands for it: whether it succeeded, what is kept of it, the report, the error."""
    if job.get("restored"):
        told = RESTORED.format(due=moment(due_at(job)), at=job["restored"])
        return True, told, told, None
    tries = (job.get("begun") or {}).get("tries", 0)
    if tries >= MAX_TRIES:
        return False, GIVEN_UP, "", GIVEN_UP
    today, used = f"{hermes_time.now():%Y-%m-%d}", tokens_of(job, "%Y%m%d")
    if used >= TOKENS:
        told = job.get("spent") == today
        change(job["id"], spent=today)
        return True, SPENT, SILENT if told else SPENT, None
    left.set(TOKENS - used)
    due = due_at(job)
    change(job["id"], begun={"due": due.isoformat(), "tries": tries + 1, "by": PROCESS, "at": hermes_time.now().isoformat()})
    notes = []
    if (hermes_time.now() - due).total_seconds() > LATE:
        notes.append(f"This is for {moment(due)}: Hermes didn't run then.")
    if job.get("missed"):
        notes.append(f"The one for {moment(when(job['missed']))} was missed: Hermes didn't run then.")
    again = ["An earlier try was cut off by a restart: look at what it has done before you do it again."] if tries else []
    said = "".join(f"{note}\n" for note in [*notes, *again])
    success, output, answer, error = original({**job, "prompt": f"{said}{job.get('prompt') or ''}"}, **more)
    if success and notes and answer.strip() != SILENT:
        answer = f"{' '.join(notes)}\n\n{answer}"
    return success, output, answer, error


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, *arguments, **more):
    if self.platform == "cron" and left.get():
        self.token_limit, self.max_iterations = left.get(), min(self.max_iterations, TURNS)
    return original(*arguments, **more)


@replaces("cron.scheduler:mark_job_run")
def mark(original, job_id, success, error=None, delivery_error=None):
    with jobs._jobs_lock():
        failures = 0 if success else ((jobs.get_job(job_id) or {}).get("failures") or 0) + 1
        change(job_id, begun=None, missed=None, failures=failures % MAX_FAILURES, **({"untold": None} if success else {}))
        original(job_id, success, error, delivery_error)
        if failures >= MAX_FAILURES and jobs.get_job(job_id):
            jobs.pause_job(job_id, PAUSED)


@replaces("cron.scheduler:mark_running_jobs_interrupted")
def mark_interrupted(original, reason):
    """Not Hermes' own, which counts the run as done: it is given back at the next start."""
    with scheduler._running_lock:
        scheduler._interrupted_job_ids.update(scheduler._running_job_ids)
        return list(scheduler._running_job_ids)


def words(job, content):
    """What is delivered of the run that has just ended: why it failed, where Hermes would say so in words of its own."""
    error, name = failed.get(), job.get("name") or job["id"]
    if error is None:
        return content
    if GIVEN_UP in error:
        return f"Scheduled job “{name}”: {GIVEN_UP}"
    if error.startswith(FAILED):
        # What its script has printed may look like an error of the model's.
        content = f"Scheduled job “{name}”: {error}"
    elif why := known(error):
        content = f"Scheduled job “{name}”:\n{why}"
    last = recurs(job) and (job.get("failures") or 0) + 1 >= MAX_FAILURES
    return f"{content}\n\n{PAUSED}" if last else content


def address(target):
    """A place as a job's `deliver`."""
    return ":".join(str(part) for part in (target["platform"], target["chat_id"], target.get("thread_id")) if part)


@replaces("cron.scheduler:_deliver_result")
def deliver(original, job, content, adapters=None, loop=None):
    if scheduler._is_interrupted(job["id"]):
        return None
    targets, errors = targets_of(job), []
    if not targets and (named := scheduler._normalize_deliver_value(job.get("deliver"))) not in ("local", "origin"):
        errors.append(f"no delivery target resolved for deliver={named}")
    for target in targets:
        there = {**job, "deliver": address(target), "attach_to_session": None}
        error = original(there, content, adapters, loop)
        for pause in PAUSES if target["platform"] != "api_server" else ():
            if error:
                time.sleep(pause)
                error = original(there, content, adapters, loop)
        if error:
            errors.append(error)
        else:
            remember(job, target, content)
    error, before = "; ".join(errors) or None, jobs.get_job(job["id"]) or {}
    if error:
        log.error(UNDELIVERED, job["id"], error)
        first = {**job, "deliver": "telegram", "origin": None, "attach_to_session": None}
        if not before.get("undelivered") and resolve(first) not in ([], targets):
            said = FIRST_TOLD.format(name=job.get("name") or job["id"], error=error)
            change(job["id"], undelivered=True if not original(first, said, adapters, loop) else None)
    elif before.get("last_delivery_error"):
        log.warning(DELIVERED, job["id"])
        change(job["id"], undelivered=None)
    return error
