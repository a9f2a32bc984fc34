"""Makes jobs something to rely on: whose a job is, when it runs, what it reports, and with what. The tool for them is job_tool.py.

Hermes 0.19.0 counts the hours of a schedule by the offset from UTC of the moment, so that seven isn't seven on the day after the clocks change.
And it compares moments by the clock on the wall, which shows an hour of autumn twice.

`[SILENT]`, which a job answers when there is nothing to report, it takes for that at the begin or end of any report, and for text
within any markup.

The script of a job runs on the gateway there. Here it is text, runs in its maker's sandbox, and decides whether the model is asked. What
it has printed is kept until a run has come to its end, for it may take for told what was then cut off.

Before it runs a job, it looks for words in it that sound like an attack. What it refused was honest work (`rm -rf
/tmp/work`, a header with a token), and what is planted in a page never comes by there. Commands run in the sandbox alone: no scan.
"""

import contextvars
import re
from datetime import datetime, timezone

import hermes_time
from agent.redact import redact_sensitive_text
from cron import jobs, scheduler
from croniter import croniter

from . import replaces
from .files import JOINER
from .people import person_of_job
from .sandbox.environment import ChatEnvironment
from .sandbox.modal_client import SandboxError

# The person who asks for jobs; None is whoever has a shell of the service, and sees all.
asker = contextvars.ContextVar("asker", default=None)

# What a job may have in Hermes and not here: what chooses a model, which the snapshots would stop for good once HERMES_MODEL changes; and
# what works on the gateway.
LEFT_OUT = {"model", "provider", "base_url", "model_snapshot", "provider_snapshot", "no_agent", "workdir"}

# Tool sets of a job that names none, and all that it may name. Each tool's description is paid for with each call of the model: all of
# a chat's are 30 kB, these 7 kB.
FEW, SOME = ["terminal", "web"], {"terminal", "file", "code_execution", "skills", "web"}

# Characters of what the runs of a script have printed and nobody was told of.
UNTOLD = 40_000
FAILED = "Its script has failed."
NOTHING_NEW = "Its script has found nothing new, so the model wasn't asked."
FOUND = "## Script Output\nThe following was collected by the script of this job. Use it as context."

SILENT = scheduler.SILENT_MARKER

# What may stand around the marker and says nothing.
EDGE = r"[\s*_~`\"'“”„‘’«»>#.!:;,—–-]*"
MARKER = re.compile(rf"[\s*_~`\"'“”„‘’«»>#-]*\\?\[\s*silent\s*\\?\]{EDGE}", re.IGNORECASE)
# The words alone, as the whole of an answer.
BARE = re.compile(rf"{EDGE}(silent|no[_ ]reply){EDGE}", re.IGNORECASE)
FENCE = re.compile(r"^\s*(```|~~~)\w*\s*$", re.MULTILINE)


def change(id, **fields):
    """Sets fields of a job, if it is still there; None stands for none."""
    with jobs._jobs_lock():
        stored = jobs.load_jobs()
        for job in stored:
            if job.get("id") == id:
                job.update(fields)
        jobs.save_jobs(stored)


def when(text):
    """A moment that Hermes has stored."""
    return jobs._ensure_aware(datetime.fromisoformat(text))


class ScriptFailed(Exception):
    """The script of a job didn't come to a good end; the text is for the person."""


def own(job):
    """Whether somebody asks for a job who may see and change it."""
    return asker.get() in (None, person_of_job(job))


def own_jobs():
    return [job for job in jobs.list_jobs(include_disabled=True) if own(job)]


def resolve(ref):
    """One of the asker's jobs by its id or name, or None; what another has under this name doesn't count."""
    mine = own_jobs()
    found = [job for job in mine if job["id"] == ref] or [job for job in mine if (job.get("name") or "").lower() == (ref or "").lower()]
    if len(found) > 1:
        raise jobs.AmbiguousJobReference(ref, found)
    return found[0] if found else None


def listed(value):
    return [value] if isinstance(value, str) else list(value or [])


def report(answer):
    """What there is to report of an answer: without the marker that there is nothing, or the marker alone."""
    text = re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL | re.IGNORECASE).strip()
    lines = []
    for line in text.splitlines():
        found = MARKER.match(line) or next((mark for mark in MARKER.finditer(line) if mark.end() == len(line)), None)
        rest = line[: found.start()] + line[found.end() :] if found else line
        if not found or re.search(r"\w", rest):
            lines.append(rest)
    left = "\n".join(lines).strip()
    if left == text and not BARE.fullmatch(FENCE.sub("", text)):
        return answer
    return left if re.search(r"\w", FENCE.sub("", left)) and not BARE.fullmatch(FENCE.sub("", left)) else SILENT


def zone():
    return str(hermes_time.get_timezone() or "UTC")


def moment(when):
    """A moment as people of the zone read it."""
    return hermes_time.now().fromtimestamp(when.timestamp(), hermes_time.get_timezone()).strftime("%A, %d %B %Y, %H:%M")


def passing(moment):
    """A moment with its offset, and without its zone: within one zone Python compares and adds up what the clock on the wall shows."""
    return moment.astimezone(timezone(moment.utcoffset()))


def next_on_the_wall(expression, base):
    """When a cron expression is due next by the clock on the wall of the zone, after a moment of it.

    An hour that the clocks leave out is the one after it, and of one that they have twice it is the first; what runs in every hour
    runs in each that passes.
    """
    here = hermes_time.get_timezone() or timezone.utc
    if expression.split()[1] == "*":
        return croniter(expression, passing(base)).get_next(datetime).astimezone(here)
    wall = croniter(expression, base.replace(tzinfo=None))
    while True:
        due = wall.get_next(datetime).replace(tzinfo=here)
        due = datetime.fromtimestamp(due.timestamp(), here)
        if due.timestamp() > base.timestamp():
            return due


@replaces("cron.jobs:_ensure_aware")
def ensure_aware(original, dt):
    return passing(original(dt))


@replaces("cron.jobs:compute_next_run")
def compute_next_run(original, schedule, last_run_at=None):
    kind = schedule.get("kind") if isinstance(schedule, dict) else None
    if kind == "interval":
        return original(schedule, last_run_at or hermes_time.now().isoformat())
    if kind != "cron" or not schedule.get("expr"):
        return original(schedule, last_run_at)
    return next_on_the_wall(schedule["expr"], when(last_run_at or hermes_time.now().isoformat())).isoformat()


def toolsets(job):
    """The tool sets of a run."""
    named = sorted(SOME & set(job.get("enabled_toolsets") or [])) or FEW
    needs_skills = job.get("skills") or job.get("skill") or re.search(r"\bskill", str(job.get("prompt")), re.IGNORECASE)
    return sorted({*named, "skills"}) if needs_skills else named


def as_run(job):
    """A job as Hermes gets it to run: with the model and the tools of this deployment, the time, and no report of somebody else's."""
    # Made before a job belonged to somebody, it may name what another's has reported.
    sources = [ref for ref in listed(job.get("context_from")) if (source := jobs.get_job(ref)) and person_of_job(source) == person_of_job(job)]
    prompt = f"[Now: {moment(hermes_time.now())} in {zone()}.]\n\n{job.get('prompt') or ''}"
    left = {name: value for name, value in job.items() if name not in LEFT_OUT}
    return {**left, "prompt": prompt, "context_from": sources, "enabled_toolsets": toolsets(job)}


def output_of(job):
    """What the script of a job has to tell the model: without a word the model isn't asked. Raises ScriptFailed."""
    environment = ChatEnvironment(f"{person_of_job(job)}/")
    try:
        code, output = environment.run_alone(job["script"])
    except SandboxError as error:
        raise ScriptFailed(f"{FAILED} It didn't run. {error}") from error
    # As Hermes does with what the terminal prints.
    output = redact_sensitive_text(output)
    if code:
        why = "It took too long." if code == 124 else f"It ended with exit code {code}."
        raise ScriptFailed(f"{FAILED} {why} {output[-1000:]}".strip())
    new = output if scheduler._parse_wake_gate(output) else ""
    untold = "\n\n".join(dict.fromkeys(filter(None, [job.get("untold"), new])))[-UNTOLD:]
    if not untold:
        return ""
    change(job["id"], untold=untold)
    return "\n".join(filter(None, [environment.sandbox.take_note(), untold]))


def told(answer):
    """What is delivered of an answer, in a form that Hermes doesn't take for silence unless it is (`_is_cron_silence_response` in cron/scheduler.py)."""
    said = report(answer)
    # A report whose first or last line is "Silent" is one.
    return f"{JOINER}{said}{JOINER}" if said != SILENT and scheduler._is_cron_silence_response(said) else said


@replaces("cron.scheduler:run_job")
def run_job(original, job, **more):
    prepared = as_run(job)
    # Hermes would run a file of the gateway.
    if prepared.pop("script", None):
        try:
            output = output_of(job)
        except ScriptFailed as failed:
            return False, str(failed), "", str(failed)
        if not output:
            return True, NOTHING_NEW, SILENT, None
        prepared["prompt"] = f"{FOUND}\n\n```\n{output}\n```\n\n{prepared['prompt']}"
    success, output, answer, error = original(prepared, **more)
    return success, output, told(answer) if success else answer, error


@replaces("cron.scheduler:_scan_assembled_cron_prompt")
def scan(original, assembled, job, **more):
    return assembled
