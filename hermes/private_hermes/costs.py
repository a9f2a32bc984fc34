"""Adds up what the model has cost, in dollars: of each chat, of each job, and of all that a month brings.

OpenRouter says with each answer what it has charged for it; of a stream the last chunk does (openrouter.ai/docs, "Usage Accounting":
always, and the parameters that once asked for it do nothing). Hermes 0.19.0 counts tokens alone. Here it is counted where all answers come
by, whoever has asked: a chat, a job, a summary, a look at a picture. It costs no call more.

A table in Hermes' database keeps it, with a row for each month and chat or job: a month is known when Hermes has long deleted the
chats. What the disk doesn't take is kept in memory, and stored with the next.

An answer that is stopped, or breaks off, has no last chunk: what it has cost isn't known here.
"""

import contextvars
import logging
import math
import sqlite3
import threading
from dataclasses import dataclass

import hermes_time

from . import replaces, tables

ADD = """
INSERT INTO private_costs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
dollars = dollars + excluded.dollars, calls = calls + excluded.calls, untold = untold + excluded.untold
"""
SUM = """
SELECT source, SUM(dollars), SUM(calls), SUM(untold) FROM private_costs
WHERE (:month IS NULL OR month = :month) AND (:what IS NULL OR what = :what) GROUP BY source
"""

# How long a month is kept.
MONTHS = 24

log = logging.getLogger(__name__)
# The agent whose turn runs, for the questions that it doesn't ask by a client of its own.
spends = contextvars.ContextVar("spends", default=None)
# What isn't stored yet, by month, source and what.
pending, noting, storing = {}, threading.Lock(), threading.Lock()


@dataclass
class Cost:
    dollars: float = 0.0
    calls: int = 0
    # Calls of which the provider has told no cost.
    untold: int = 0

    def __add__(self, other):
        return Cost(self.dollars + other.dollars, self.calls + other.calls, self.untold + other.untold)

    def __str__(self):
        if not self.calls:
            return "$0"
        if self.calls == self.untold:
            return "not known, for the provider of the model tells no cost"
        # What a short answer costs is a fraction of a cent.
        more = f", and {self.untold} calls of which the provider tells no cost" if self.untold else ""
        return f"${self.dollars:,.{2 if self.dollars >= 1 else 4}f}{more}"


def cost_of(usage):
    """What one answer has cost, by the usage that came with it."""
    told = usage.get("cost")
    known = isinstance(told, (int, float)) and not isinstance(told, bool) and math.isfinite(told) and told >= 0
    return Cost(told if known else 0, 1, 0 if known else 1)


def job_of(id):
    """What a job's runs are counted under; Hermes names a run's session so (`run_job` in cron/scheduler.py)."""
    return f"cron_{id}"


def this_month():
    return f"{hermes_time.now():%Y-%m}"


def note(costs):
    with noting:
        for key, cost in costs.items():
            pending[key] = pending.get(key, Cost()) + cost


def store(costs):
    """Adds costs to the table. Raises sqlite3.Error."""
    with tables.changing() as db:
        db.executemany(ADD, [(*key, cost.dollars, cost.calls, cost.untold) for key, cost in costs.items()])


def add(cost, source="", what=""):
    """Counts a cost. Raises nothing: no answer fails for it, and of many that end at once one waits for the database."""
    note({(this_month(), source, what): cost})
    while pending and storing.acquire(blocking=False):
        try:
            with noting:
                taken = dict(pending)
                pending.clear()
            store(taken)
        except sqlite3.Error as error:
            note(taken)
            log.warning("what an answer has cost is stored with the next one: %s", error)
            return
        finally:
            storing.release()


def known(month=None, what=None):
    """What was counted, by source: of a month ("%Y-%m"), of one chat or job; what isn't stored yet is missing. Raises sqlite3.Error."""
    return {source: Cost(*sums) for source, *sums in tables.rows(SUM, {"month": month, "what": what})}


def total(month=None, what=None):
    """The same in one sum."""
    return sum(known(month, what).values(), Cost())


def delete_old():
    """Deletes the months that are older than MONTHS; upkeep.py calls it."""
    with tables.changing() as db:
        db.execute("DELETE FROM private_costs WHERE month < strftime('%Y-%m', 'now', ?)", (f"-{MONTHS} months",))


def count(usage, agent):
    cost = cost_of(usage)
    if not agent:
        return add(cost)
    agent.costs += cost
    session = agent.costs_for
    add(cost, agent.platform or "", session.rsplit("_", 2)[0] if agent.platform == "cron" else session)


class WithCost:
    """The queue of an answer's pieces; before its end comes what the answer has cost, so that the page keeps it with the message.

    Open WebUI takes `usage` out of any data of a stream, and adds it up (`merge_usage` in open_webui/utils/response.py).
    """

    def __init__(self, queue, agent_ref):
        self._queue, self._agent_ref, self._ended = queue, agent_ref or [None], False

    def get(self, *arguments, **more):
        return None if self._ended else self._with_cost(self._queue.get(*arguments, **more))

    def get_nowait(self):
        return None if self._ended else self._with_cost(self._queue.get_nowait())

    def _with_cost(self, piece):
        if piece is not None:
            return piece
        self._ended = True
        cost = getattr(self._agent_ref[0], "costs", Cost())
        # As a chunk of usage is at OpenAI's API: whoever else reads the stream looks for choices.
        return ("__tool_progress__", {"choices": [], "usage": {"cost": round(cost.dollars, 8)}}) if cost.calls > cost.untold else None


@replaces("openai._base_client:BaseClient._process_response_data")
def process(original, self, *, data, cast_to, response):
    if isinstance(data, dict) and isinstance(data.get("usage"), dict):
        count(data["usage"], getattr(self, "asked_by", None) or spends.get())
    return original(data=data, cast_to=cast_to, response=response)


# Its answer is read on a thread of its own, which knows nothing of the turn.
@replaces("run_agent:AIAgent._create_request_openai_client")
def create_client(original, self, *, reason, api_kwargs=None):
    client = original(reason=reason, api_kwargs=api_kwargs)
    client.asked_by = self if hasattr(self, "costs_for") else None
    return client


@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, *arguments, **more):
    # A chat that grows too long goes on in another session, and is the same chat.
    self.costs, self.costs_for = Cost(), self.session_id or ""
    token = spends.set(self)
    try:
        return original(*arguments, **more)
    finally:
        spends.reset(token)
