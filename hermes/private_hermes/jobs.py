"""Makes jobs something to rely on: whose a job is, when it runs, what it reports, and what the model is told of all that.

Hermes 0.19.0 takes all who talk to it for one person (tools/cronjob_tools.py): everybody lists and changes every job, which still
runs in its maker's sandbox. Here each works with their own; the command `hermes` in a shell of the service sees all.

It counts the hours of a schedule by the offset from UTC of the moment, so that seven isn't seven on the day after the clocks change.
And it compares moments by the clock on the wall, which shows an hour of autumn twice.

`[SILENT]`, which a job answers when there is nothing to report, it takes for that at the begin or end of any report, and for text
within any markup.

The script of a job runs on the gateway there. Here it is text, runs in its maker's sandbox, and decides whether the model is asked. What
it has printed is kept until a run has come to its end, for it may take for told what was then cut off.

Before it stores or runs a job, it looks for words in it that sound like an attack. What it refused was honest work (`rm -rf
/tmp/work`, a header with a token), and what is planted in a page never comes by there. Commands run in the sandbox alone: no scan.
"""

import contextvars
import copy
import os
import re
from datetime import datetime, timedelta, timezone

import hermes_time
from agent.redact import redact_sensitive_text
from cron import jobs, scheduler
from croniter import croniter
from tools import cronjob_tools
from tools.registry import registry, tool_error

from . import replaces
from .people import person_of_job, person_of_task
from .places import refusal
from .registering import change_tool
from .sandbox.environment import ChatEnvironment
from .sandbox.modal_client import SandboxError

# The person who asks for jobs; None is whoever has a shell of the service, and sees all.
asker = contextvars.ContextVar("asker", default=None)

# Bounds of a job, by the names of the settings that they come from: jobMinutes, jobsPerPerson.
MINUTES = int(os.environ["JOB_MINUTES"])
PER_PERSON = int(os.environ["JOBS_PER_PERSON"])

# What a job could have in Hermes and not here, with the reason.
NOT_HERE = {
    "model": "every job asks the model of the setting modelDefault",
    "provider": "every job asks OpenRouter",
    "base_url": "every job asks OpenRouter",
    "no_agent": "the model writes each report; a script decides whether it is asked",
    "workdir": "there are no projects outside of the sandbox; name the folder in the prompt",
}
WEEKDAYS = {name: str(number) for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}

# Tool sets of a job that names none, and all that it may name. Each tool's description is paid for with each call of the model: all of
# a chat's are 30 kB, these 7 kB.
FEW, SOME = ["terminal", "web"], {"terminal", "file", "code_execution", "skills", "web"}

# Characters of a job's script, which is listed with the job; and of what its runs have printed and nobody was told of.
SCRIPT, UNTOLD = 4_000, 40_000
FAILED = "Its script has failed."
# The job that runs, for its script.
running = contextvars.ContextVar("running")

SILENT = scheduler.SILENT_MARKER
# Runs of a cron expression that are looked at: more than its minutes can hold in an hour.
MANY = 61

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


def too_often(schedule):
    """What is wrong with a schedule, or None: whether two of its next runs come closer than the setting allows."""
    parsed, due = jobs.parse_schedule(schedule), [hermes_time.now()]
    if parsed["kind"] == "once":
        return None
    for _ in range(MANY if parsed["kind"] == "cron" else 1):
        due.append(datetime.fromisoformat(jobs.compute_next_run(parsed, due[-1].isoformat())))
    # The first counts from now, and not from a run.
    gaps = [after - before for before, after in zip(due[parsed["kind"] == "cron" :], due[1 + (parsed["kind"] == "cron") :])]
    if min(gaps) >= timedelta(minutes=MINUTES):
        return None
    return f"A job runs every {MINUTES} minutes at most (the setting jobMinutes). Choose a longer interval."


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


@replaces("cron.jobs:_timezone_offset_mismatch")
def offset_mismatch(original, stored, current):
    # Hermes counts a job anew whose time has another offset than now. When the clocks change that is no other zone.
    return stored.tzinfo is not None and stored.utcoffset() != stored.astimezone(current.tzinfo).utcoffset()


@replaces("cron.jobs:compute_next_run")
def compute_next_run(original, schedule, last_run_at=None):
    kind = schedule.get("kind") if isinstance(schedule, dict) else None
    if kind == "interval":
        return original(schedule, last_run_at or hermes_time.now().isoformat())
    if kind != "cron" or not schedule.get("expr"):
        return original(schedule, last_run_at)
    return next_on_the_wall(schedule["expr"], when(last_run_at or hermes_time.now().isoformat())).isoformat()


@replaces("cron.jobs:parse_schedule")
@replaces("tools.cronjob_tools:parse_schedule")
def parse_schedule(original, schedule):
    parts = schedule.split()
    if len(parts) == 5:
        parts[4] = re.sub("|".join(WEEKDAYS), lambda name: WEEKDAYS[name[0].lower()], parts[4], flags=re.IGNORECASE)
        schedule = " ".join(parts)
    parsed = original(schedule)
    if parsed["display"].startswith("once in"):
        parsed["run_at"] = jobs.compute_next_run({"kind": "interval", "minutes": jobs.parse_duration(schedule)})
    return parsed


@replaces("tools.cronjob_tools:cronjob")
def cronjob(original, action, job_id=None, *, task_id=None, context_from=None, **more):
    for name, reason in NOT_HERE.items():
        # Hermes completes a model by its provider.
        if more.pop(name, None):
            return tool_error(f"A job has no {name} here: {reason}.", success=False)
    token = asker.set(person_of_task(task_id) if task_id else None)
    try:
        missing = [ref for ref in listed(context_from) if ref and not resolve(ref)]
        if missing:
            return tool_error(f"There is no job {missing[0]}. action='list' shows those that there are.", success=False)
        if more.get("schedule") and (problem := too_often(more["schedule"])):
            return tool_error(problem, success=False)
        if len(more.get("script") or "") > SCRIPT:
            return tool_error(f"A script has at most {SCRIPT} characters. Put the rest into a file in the sandbox, and run that.", success=False)
        if action == "create" and asker.get() and len(own_jobs()) >= PER_PERSON:
            return tool_error(f"There are {PER_PERSON} jobs of this person, as many as the setting jobsPerPerson allows. Remove one first.", success=False)
        if asker.get() and more.get("deliver"):
            origin = (resolve(job_id) or {}).get("origin") if job_id else cronjob_tools._origin_from_env()
            if problem := refusal(more["deliver"], origin):
                return tool_error(problem, success=False)
        return original(action, job_id, context_from=context_from, **more)
    except (ValueError, jobs.AmbiguousJobReference) as error:
        return tool_error(str(error), success=False)
    finally:
        asker.reset(token)


@replaces("tools.cronjob_tools:resolve_job_ref")
def resolve_job_ref(original, ref):
    return resolve(ref)


@replaces("tools.cronjob_tools:_scan_cron_prompt")
def scan_prompt(original, prompt):
    return ""


@replaces("tools.cronjob_tools:_scan_cron_skill_assembled")
def scan_skill(original, assembled):
    return assembled, ""


@replaces("cron.scheduler:_build_job_prompt")
def build_prompt(original, job, prerun_script=None):
    # Made before a job belonged to somebody, it may name what another's has reported.
    sources = [ref for ref in listed(job.get("context_from")) if (source := jobs.get_job(ref)) and person_of_job(source) == person_of_job(job)]
    prompt = original({**job, "context_from": sources}, prerun_script)
    return prompt and f"[Now: {moment(hermes_time.now())} in {zone()}.]\n\n{prompt}"


@replaces("tools.cronjob_tools:_validate_cron_script_path")
def validate_script(original, script):
    return None


@replaces("cron.lifecycle_guard:_read_script_for_scanning")
def read_script(original, script):
    return ""


@replaces("cron.scheduler:_run_job_script")
def run_script(original, script):
    """What the script of the job that runs has to tell the model, as Hermes takes it: without a word the model isn't asked."""
    job = running.get()
    environment = ChatEnvironment(f"{person_of_job(job)}/")
    try:
        code, output = environment.run_alone(script)
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
        return True, ""
    change(job["id"], untold=untold)
    return True, "\n".join(filter(None, [environment.sandbox.take_note(), untold]))


@replaces("cron.scheduler:_summarize_cron_failure_for_delivery")
def summarize(original, job, error):
    # What it has printed may look like an error of the model's.
    return f"Scheduled job “{job.get('name') or job['id']}”: {error}" if (error or "").startswith(FAILED) else original(job, error)


@replaces("cron.scheduler:run_job")
def run_job(original, job, **more):
    token = running.set(job)
    try:
        success, output, answer, error = original(job, **more)
    except ScriptFailed as failed:
        return False, str(failed), "", str(failed)
    finally:
        running.reset(token)
    return success, output, report(answer) if success else answer, error


@replaces("cron.scheduler:_is_cron_silence_response")
def is_silence(original, text):
    return text.strip() == SILENT


@replaces("cron.scheduler:_resolve_cron_enabled_toolsets")
def toolsets(original, job, cfg):
    named = sorted(SOME & set(job.get("enabled_toolsets") or [])) or FEW
    needs_skills = job.get("skills") or job.get("skill") or re.search(r"\bskill", str(job.get("prompt")), re.IGNORECASE)
    return sorted({*named, "skills"}) if needs_skills else named


DESCRIPTION = """Scheduled jobs of the person that you talk with: create, list, update, pause, resume, remove, run.

A job runs the prompt in a session of its own, which knows nothing of this chat: the prompt says all that is needed. It has the \
person's sandbox, and nobody to ask. Its last answer is the report, and is delivered by itself; for a job that should be quiet when \
nothing is new, have the prompt say "answer with [SILENT] alone if nothing is new". It asks the same model as this chat; no other can be chosen. \
What looks often and seldom finds something new gets a script: a run in which it finds nothing costs no tokens.

Times are those of {zone}. Say the next time, which the result has, to the person. To change or remove one, list first: never guess an id. What a \
person asks about their jobs (when, how it went, what it cost) you answer from a list made now, and not from memory: they run meanwhile. Costs are \
in tokens."""
PARAMETERS = {
    "action": "One of: create, list, update, pause, resume, remove, run. create needs schedule and prompt.",
    "schedule": (
        "For create and update. Again and again: 'every 30m', 'every 2h', 'every 1d', counted from the last run; or a cron expression in {zone}, "
        "e.g. '0 7 * * *' (each day at 7:00), '0 7 * * mon-fri'. Once: '30m' (30 minutes from now), '2026-06-01T09:00:00' ({zone}). Nothing else is understood."
    ),
    "deliver": (
        "Leave it out: the report comes to the person, where the job is made. 'telegram': for the owner in the page, on Telegram besides. "
        "'origin' on update: again where it was made alone."
    ),
    "script": (
        "For create and update: a bash script of up to {script} characters that runs in the person's sandbox before the prompt, as long as a command may. "
        'If it prints nothing to stdout, or {{"wakeAgent": false}} as its last line, the run ends there: no model is asked and nothing reported. '
        "Otherwise the prompt is asked with what it has printed. Any exit code but 0 is reported as a failure, with the end of stderr. "
        "Try it in the terminal first, twice. An empty string takes it away."
    ),
    "enabled_toolsets": (
        "Of terminal, web, file, code_execution, skills: what the job needs. Each costs in each run. By default terminal and web, and skills "
        "where the job has one or its prompt speaks of one; the terminal reads and writes files, too."
    ),
}


def register():
    schema = copy.deepcopy(registry.get_entry("cronjob").schema)
    schema["description"] = DESCRIPTION.format(zone=zone())
    properties = schema["parameters"]["properties"]
    for name in [*NOT_HERE, "attach_to_session"]:
        properties.pop(name, None)
    for name, text in PARAMETERS.items():
        properties[name]["description"] = text.format(zone=zone(), script=SCRIPT)
    change_tool("cronjob", schema=schema)
