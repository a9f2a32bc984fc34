"""Gives the page what is a person's own here, to read, to delete, and of jobs to pause: by routes beside the chats, behind the same bearer.

Whose it is Open WebUI says in a header, as with chats (openwebui/own.py). A request without it is refused: elsewhere nobody named is the owner.

The agent has one memory and one list of skills for all. Who has written to them is noted when a tool does; Hermes 0.19.0 knows it as long as
it has the chat alone. What nobody is noted of is for the owner, who sees what others' chats have written, too.
"""

import asyncio
import hashlib
import logging
import sqlite3
from dataclasses import asdict

from aiohttp import web
from cron import jobs
from gateway.platforms import api_server

from . import costs, knowledge, tables
from .people import USER, is_owner, person_of_job, person_of_request, person_of_task, session_of
from .registering import context

NOBODY = "This request says of no account that it asks."
GONE = "It isn't there any more."
BUSY = "The agent has too much to do at the moment. Try again in a minute."
PAUSED = "by its maker, in the page"
# Characters of an entry that the page gets; a skill may hold files of any size.
LONGEST = 50_000

log = logging.getLogger(__name__)


class Refused(Exception):
    """It isn't done; says why."""


# --- Who has written what ------------------------------------------------------------------------------------------


def key_of(text):
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def note_writer(tool_name, args, task_id, status, **more):
    """Called after each call of a tool."""
    if tool_name not in ("memory", "skill_manage") or status != "ok":
        return
    person, name = person_of_task(task_id), str(args.get("name"))
    written = [("memory", key_of(text)) for text in knowledge.written(args)] if tool_name == "memory" else [("skill", name)]
    try:
        with tables.changing() as db:
            if tool_name == "skill_manage" and args.get("action") == "create":
                # One of that name is gone.
                db.execute("DELETE FROM private_writers WHERE kind = 'skill' AND key = ?", (name,))
            db.executemany("INSERT OR IGNORE INTO private_writers VALUES (?, ?, ?)", [(*what, person) for what in written])
    except sqlite3.Error as error:
        log.warning("who has written something isn't noted, so it is the owner's: %s", error)


def writers():
    """By kind and key, who has written it."""
    found = {}
    for kind, key, person in tables.rows("SELECT kind, key, person FROM private_writers"):
        found.setdefault((kind, key), set()).add(person)
    return found


# --- What is a person's own ----------------------------------------------------------------------------------------


def entries(person):
    """The entries that a person may see, as (whether it is theirs, kind, entry)."""
    known, owner = writers(), is_owner(person)
    for kind, found in (("memory", knowledge.memories()), ("skill", knowledge.skills())):
        for entry in found:
            wrote = known.get((kind, key_of(entry.text) if kind == "memory" else entry.about), set())
            own = person in wrote or owner and any(map(is_owner, wrote))
            if own or owner:
                yield own, kind, entry
    for entry in knowledge.scheduled():
        if person_of_job(entry.about) == person:
            yield True, "job", entry


def seen(person):
    """The same as a list. Raises FileNotFoundError."""
    try:
        return list(entries(person))
    except FileNotFoundError:
        # Somebody has deleted a skill meanwhile.
        return list(entries(person))


def job_of(job):
    """How a job stands, for the page, which says it in its language."""
    failed = job.get("last_run_at") and job.get("last_status") != "ok"
    return {
        "name": job.get("name"),
        "schedule": job.get("schedule_display"),
        "paused": not job.get("enabled", True) or job.get("state") == "paused",
        "next": job.get("next_run_at"),
        "last": job.get("last_run_at"),
        "went": None if not job.get("last_run_at") else "failed" if failed else "silent" if job.get("last_silent") else "ok",
        "reason": (job.get("last_error") if failed else None) or job.get("last_delivery_error"),
        "failures": job.get("failures") or 0,
        "cost": asdict(costs.total(costs.this_month(), costs.job_of(job["id"]))),
    }


def listed(person, request):
    """GET /v1/own: {"memory", "skill", "job": [{"id", "own", "text", …}], "owner": whether it is the owner who asks}."""
    found = {"memory": [], "skill": [], "job": [], "owner": is_owner(person)}
    for own, kind, entry in seen(person):
        more = job_of(entry.about) if kind == "job" else {"name": entry.about}
        text = entry.about.get("prompt") if kind == "job" else entry.text
        found[kind].append({"id": entry.id, "own": own, "text": str(text or "")[:LONGEST], **more})
    return found


def change(person, request):
    """POST /v1/own/{id}/{remove|pause|resume}: done for good when it answers."""
    id, action = request.match_info["id"], request.match_info["action"]
    kind, entry = next(((kind, entry) for _, kind, entry in seen(person) if entry.id == id), (None, None))
    if not entry or action not in (("remove", "pause", "resume") if kind == "job" else ("remove",)):
        raise Refused(GONE)
    if action == "remove":
        knowledge.remove(entry)
    elif action == "resume":
        knowledge.resume(entry.about)
    elif not jobs.pause_job(entry.about["id"], PAUSED):
        raise Refused(GONE)
    return {}


def bill(person, request):
    """GET /v1/own/costs?chat=ID: what this chat of the person's has cost, and for the owner what the month has."""
    month = {"month": asdict(costs.total(costs.this_month()))} if is_owner(person) else {}
    return {"chat": asdict(costs.total(what=session_of(person, request.query.get("chat", "")))), **month}


# --- The routes ----------------------------------------------------------------------------------------------------


def refusal(sentence, status):
    return web.json_response(api_server._openai_error(sentence), status=status)


def for_somebody(answer):
    """A route that `answer` answers, given the person who asks; its work is done on a thread of its own."""

    async def route(request):
        if not request.headers.get(USER):
            return refusal(NOBODY, 403)
        try:
            return web.json_response(await asyncio.to_thread(answer, person_of_request(request), request))
        except Refused as refused:
            return refusal(str(refused), 404)
        except FileNotFoundError:
            # Somebody else was quicker.
            return refusal(GONE, 404)
        except ValueError as error:
            return refusal(str(error), 409)
        except (OSError, sqlite3.Error):
            log.exception("What a person asks of their own isn't done")
            return refusal(BUSY, 503)

    return route


ROUTES = [
    ("GET", "/v1/own", for_somebody(listed)),
    ("GET", "/v1/own/costs", for_somebody(bill)),
    ("POST", "/v1/own/{id}/{action}", for_somebody(change)),
]


def register():
    context.register_hook("post_tool_call", note_writer)
