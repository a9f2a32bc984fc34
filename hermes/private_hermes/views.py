"""Says how a job stands: its next time, how the last run went, what it costs, where it reports.

Hermes 0.19.0 leaves out some of it from what its tool gives, and all that a job costs. Here the tool's answers have it, so that the
model doesn't tell from memory, and the command `knowledge` shows it to the owner.
"""

import contextlib
import re

import hermes_time
from cron import jobs
from hermes_constants import get_hermes_home
from hermes_state import SessionDB
from tools import cronjob_tools

from . import costs
from .jobs import moment, when
from .places import PAGE, account_of, besides, targets_of

# Characters of an error.
SHORT = 300
# Tokens of full price, as in brake.py. Hermes names a run's session by its job and its begin; one that grew too long it has
# continued in another.
COST = """
WITH RECURSIVE runs(id) AS (
    SELECT id FROM sessions WHERE id LIKE ? UNION SELECT sessions.id FROM sessions JOIN runs ON parent_session_id = runs.id
)
SELECT COALESCE(SUM(input_tokens + output_tokens + cache_write_tokens + cache_read_tokens / 10), 0) AS cost FROM sessions WHERE id IN runs
"""


def tokens_of(job, since=""):
    """What the runs of a job have cost: of this day ("%Y%m%d") or month ("%Y%m"), or all that Hermes still has."""
    if not (get_hermes_home() / "state.db").exists():
        return 0
    with contextlib.closing(SessionDB(read_only=True)) as db:
        return db._conn.execute(COST, (f"cron_{job['id']}_{hermes_time.now().strftime(since)}%",)).fetchone()["cost"]


def told(text):
    """A moment that Hermes has stored, in words."""
    return moment(when(text))


def last(job):
    """How the last run went."""
    if not job.get("last_run_at"):
        return "has not run yet"
    if job.get("last_status") == "ok":
        went = "left out, the tokens of that day were used up" if job.get("last_spent") else "nothing to report" if job.get("last_silent") else "ok"
    else:
        # Hermes puts the name of the exception in front.
        reason = re.sub(r"^\w*(?:Error|Exception): ", "", str(job.get("last_error") or "no reason is known"))
        went = f"failed: {reason[:SHORT]}"
    lost = f"; its report could not be delivered: {job['last_delivery_error'][:SHORT]}" if job.get("last_delivery_error") else ""
    return f"{told(job['last_run_at'])}: {went}{lost}"


def due(job):
    """When it runs next, or why it doesn't."""
    if not job.get("enabled", True) or job.get("state") == "paused":
        return f"paused, does not run{': ' + job['paused_reason'] if job.get('paused_reason') else ''}"
    if job.get("begun"):
        return f"runs now, since {told(job['begun']['at'])}" if job["begun"].get("at") else "runs now"
    return told(job["next_run_at"]) if job.get("next_run_at") else "none"


def place(job):
    """Where it reports."""
    account = account_of(job)
    origin = job.get("origin") or {}
    places = [] if account is None else [f"the page, the chat “⏰ {job.get('name')}”{'' if account else ' of the first admin'}"]
    for target in targets_of(job):
        if target["platform"] not in PAGE:
            here = str(target["chat_id"]) == str(origin.get("chat_id"))
            places.append(f"{target['platform'].capitalize()}, {'the chat that it was made in' if here else 'chat ' + str(target['chat_id'])}")
    return " and ".join(places) or f"nowhere: {besides(job) or 'it names no place'} is not to be had"


def view(job):
    return {
        "next_run": due(job),
        "last_run": last(job),
        "failures_in_a_row": job.get("failures") or 0,
        "tokens_of_last_run": job.get("last_tokens"),
        "tokens_today": tokens_of(job, "%Y%m%d"),
        "tokens_this_month": tokens_of(job, "%Y%m"),
        "cost_this_month": str(costs.total(costs.this_month(), costs.job_of(job["id"]))),
        "reports_to": place(job),
    }


def form(job):
    """What the tool says of a job."""
    told = cronjob_tools._format_job(job)
    for name in ("model", "provider", "base_url", "last_status", "last_delivery_error"):
        told.pop(name, None)
    return {**told, **view(jobs.get_job(job["id"]) or job)}
