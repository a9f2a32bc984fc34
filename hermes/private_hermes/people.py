"""Tells whose chat or job it is, so that each person has a sandbox (sandbox/) and sessions of their own.

A chat of the page belongs to the account that Open WebUI names in a header, which nobody else can send, as only it has the key; a
chat elsewhere to its user; a job to who made it. Hermes 0.19.0 has one sandbox for all (`_resolve_container_task_id` in
tools/terminal_tool.py), and derives a session's id from the first message, so that two people who begin with the same words share one.

The person's name is part of the session's id, because that reaches every tool on every thread.

The owner is the first admin of the page, whom Open WebUI names whenever it asks for reports (reports.py), and the first of those who may
write on Telegram.
"""

import contextvars
import hashlib
import os
import re

from gateway.session_context import get_session_env
from hermes_constants import get_hermes_home

from . import replaces

# Headers of Open WebUI with ENABLE_FORWARD_USER_INFO_HEADERS (open_webui/utils/headers.py).
USER, CHAT = "X-OpenWebUI-User-Id", "X-OpenWebUI-Chat-Id"
# The person of a request without these headers, and of a job that was written by hand.
OWNER = "person-owner"

asks = contextvars.ContextVar("asks", default=(OWNER, ""))
made_job = contextvars.ContextVar("made_job", default=None)


def named(kind, id):
    return f"person-{kind}-{id if re.fullmatch('[A-Za-z0-9-]{1,64}', id) else hashlib.sha256(id.encode()).hexdigest()[:32]}"


def note_owner(account):
    """Keeps the account of the page's first admin. Raises OSError."""
    kept = get_hermes_home() / "page-owner"
    if account and not (kept.exists() and kept.read_text() == account):
        new = kept.with_name("page-owner.tmp")
        new.write_text(account)
        new.replace(kept)


def is_owner(person):
    """Whether it is the owner: in the page, on Telegram, or by a command in a shell of the service."""
    if person.startswith("person-webui-"):
        kept = get_hermes_home() / "page-owner"
        return kept.exists() and person == named("webui", kept.read_text())
    first = os.environ.get("TELEGRAM_ALLOWED_USERS", "").split(",")[0].strip()
    return person in (OWNER, first and named("telegram", first))


def session_of(person, *seed):
    return f"api-{person}-{hashlib.sha256(chr(0).join(seed).encode()).hexdigest()[:16]}"


def person_of_request(request):
    """Whom Open WebUI asks for, or sends something of."""
    user = request.headers.get(USER, "")
    return named("webui", user) if user else OWNER


def person_of_session(id):
    found = re.fullmatch(r"api-(person-.+)-[0-9a-f]{16}", id or "")
    return found[1] if found else None


def person_of_job(job):
    """Who made a job: Hermes keeps the session or the chat, and of a chat the user (`_origin_from_env` in tools/cronjob_tools.py)."""
    origin = job.get("origin") if isinstance(job.get("origin"), dict) else {}
    if origin.get("platform") == "api_server":
        return person_of_session(origin.get("chat_id")) or OWNER
    user = origin.get("user_id") or origin.get("chat_id")
    return named(origin["platform"], str(user)) if origin.get("platform") and user else OWNER


def person_of_task(task_id):
    """Whose sandbox a tool call gets; `task_id` is the session's, or what `chat_of_task` gave before."""
    if (task_id or "").startswith("person-"):
        return task_id.partition("/")[0]
    if person := person_of_session(task_id) or made_job.get():
        return person
    platform, user = get_session_env("HERMES_SESSION_PLATFORM"), get_session_env("HERMES_SESSION_USER_ID")
    return named(platform, user) if platform and user else OWNER


def chat_of_task(task_id):
    """The person, and after a slash the chat or the run of a job: what has a folder and exports of its own in the sandbox."""
    return task_id if (task_id or "").startswith("person-") else f"{person_of_task(task_id)}/{task_id or ''}"


def begin_chat(request):
    """Notes whose chat it is for all that runs for the request."""
    asks.set((person_of_request(request), request.headers.get(CHAT, "")))


def session_of_chat(begins):
    """The session of the chat that is asked for, or of one that has no id: by how it begins."""
    person, chat = asks.get()
    return session_of(person, *([chat] if chat else begins))


@replaces("cron.scheduler:run_job")
def run_job(original, job, **more):
    token = made_job.set(person_of_job(job))
    try:
        return original(job, **more)
    finally:
        made_job.reset(token)


@replaces("tools.terminal_tool:_resolve_container_task_id")
def container_task_id(original, task_id):
    return chat_of_task(task_id)
