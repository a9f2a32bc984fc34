"""Brings a job's report to the page: into a chat of the job's own, of the person who made the job there.

Hermes 0.19.0 answers the page and never writes to it, so the report of a job that was made there went nowhere (`_deliver_result` in
cron/scheduler.py). Here it is kept on the disk, with its files, until Open WebUI has fetched it, stored it and said so
(openwebui/reports.py): by routes beside the chats, behind the same bearer. Hermes opens no connection to Open WebUI. A job that was made
in the shell, and would report nowhere, reports to the first admin.

Nothing of a silent run comes here, and failures do: Hermes decides that before.
"""

import hashlib
import json
import logging
import re
import shutil
import time
from contextlib import suppress
from pathlib import Path

from aiohttp import web
from cron import jobs, scheduler
from hermes_constants import get_hermes_home
from hermes_time import now
from tools import cronjob_tools

from . import replaces
from .files import OUTBOX, PICTURES, missing, name_of
from .people import note_owner
from .places import account_of, besides, targets_of
from .runs import words

# Reports that may wait for a page that doesn't fetch them.
MAX_WAITING = 1000
WAITS = f"The page hasn't fetched the last {MAX_WAITING} reports. Look whether the service open-webui runs."
FILE = re.compile(rf"MEDIA:({re.escape(str(OUTBOX))}/[0-9a-f]+/\S+)")
NOT_BESIDES = "(This comes in the page alone: on Telegram report only jobs of the page's first admin. If that is you, tell me to have this job report there, too.)"
GONE = "the account that it reports to is gone from the page"

log = logging.getLogger(__name__)


def folder():
    return get_hermes_home() / "page-reports"


def waiting():
    """The folders of the reports that wait, oldest first. One that isn't whole begins with a dot."""
    return sorted(path for path in folder().glob("[0-9]*") if path.is_dir())


def parts_of(text, place):
    """A report's text in pieces, with the description of a file in the place of each, which is copied to `place`."""
    parts, end = [], 0
    for number, found in enumerate(FILE.finditer(text)):
        name = name_of(found[1])
        parts.append(text[end : found.start()])
        end = found.end()
        try:
            copy = Path(shutil.copyfile(found[1], place / str(number)))
        except FileNotFoundError:
            parts.append(missing(name, "it was on its way for too long"))
            continue
        with copy.open("rb") as file:
            start = file.read(16)
        kind = next((kind for begin, kind in PICTURES if re.match(begin, start, re.DOTALL)), "application/octet-stream")
        parts.append({"file": number, "name": name, "kind": kind})
    return [*parts, text[end:]]


def keep(account, job, text):
    """Keeps a report until it is fetched. The same one of the same run is kept once. Raises OSError."""
    run = json.dumps([job["id"], job.get("last_run_at"), job.get("next_run_at"), text])
    id = hashlib.sha256(run.encode(errors="surrogatepass")).hexdigest()[:24]
    kept = waiting()
    if any(path.name.endswith(id) for path in kept):
        return
    if len(kept) >= MAX_WAITING:
        raise OSError(WAITS)
    name = f"{time.time_ns()}-{id}"
    new = folder() / f".{name}"
    try:
        new.mkdir(parents=True)
        report = {"id": id, "account": account, "job": job["id"], "name": job.get("name") or job["id"], "at": now().strftime("%Y-%m-%d %H:%M %Z")}
        (new / "report.json").write_text(json.dumps({**report, "parts": parts_of(text, new)}))
        new.rename(folder() / name)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise


async def route(request):
    """GET /v1/reports?owner=ID: their ids, for the page whose first admin has this id. GET …/{id}: one. GET …/{id}/{file}: a file of it. DELETE …/{id}: it is stored; with ?gone, nobody is there to read it."""
    reports = {path.name: path for path in waiting()}
    if "id" not in request.match_info:
        with suppress(OSError):
            # A full disk takes it later.
            note_owner(request.query.get("owner"))
        return web.json_response({"waiting": list(reports)})
    report = reports.get(request.match_info["id"])
    if not report:
        raise web.HTTPNotFound
    if request.method == "DELETE":
        if "gone" in request.query:
            # It would go on at the owner's expense.
            jobs.pause_job(json.loads((report / "report.json").read_text())["job"], GONE)
            log.warning("A job is paused: %s", GONE)
        shutil.rmtree(report)
        return web.json_response({})
    number = request.match_info.get("file", "report.json")
    if number != "report.json" and not re.fullmatch("[0-9]{1,3}", number) or not (report / number).is_file():
        raise web.HTTPNotFound
    return web.FileResponse(report / number)


ROUTES = [("GET", "/v1/reports", route), *((method, "/v1/reports/{id}", route) for method in ("GET", "DELETE")), ("GET", "/v1/reports/{id}/{file}", route)]


@replaces("cron.scheduler:_deliver_result")
def deliver(original, job, content, adapters=None, loop=None):
    # It was cut off, and runs again (runs.py).
    if scheduler._is_interrupted(job["id"]):
        return None
    account, content = account_of(job), words(job, content)
    if account is None:
        return original(job, content, adapters, loop)
    problems, more = [], {**job, "deliver": besides(job)}
    if more["deliver"] and not targets_of(more):
        # Made before only the owner's did.
        content = f"{content}\n\n{NOT_BESIDES}"
    try:
        keep(account, job, content)
    except OSError as error:
        log.exception("A report isn't kept for the page")
        problems.append(f"The report can't be kept for the page: {error}")
    if targets_of(more):
        problems.append(original(more, content, adapters, loop))
    return "; ".join(filter(None, problems)) or None


def notice(job, deliver):
    """What is said of where a new job reports, or None."""
    if account_of(job) is None:
        return cronjob_tools._local_delivery_notice(job, deliver)
    also = ", and on Telegram besides" if besides(job) else ""
    return f"Each report comes into a chat of the page that is the job's own, named “⏰ {job['name']}”, and is marked there as unread{also}."


def start():
    # What an end in the middle has left.
    for path in folder().glob(".*"):
        if path.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(path, ignore_errors=True)
