"""The tool for jobs, in the place of Hermes': what a person may do with them in a chat, and the owner by the command `hermes` in a shell.

Hermes 0.19.0 lets everybody list and change every job, takes any schedule and any number of jobs, and refuses words that sound like an
attack (tools/cronjob_tools.py). The jobs themselves it keeps by functions of their own (cron/jobs.py), which this calls.
"""

import contextlib
import copy
import json
import os
import re
from datetime import datetime, timedelta

import hermes_time
from cron import jobs, scheduler
from tools import cronjob_tools
from tools.registry import registry, tool_error

from . import replaces
from .jobs import asker, listed, own_jobs, passing, resolve, zone
from .people import person_of_task
from .places import refusal
from .registering import change_tool
from .reports import notice
from .views import form

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
# Characters of a job's script, which is listed with the job.
SCRIPT = 4_000
# Runs of a cron expression that are looked at: more than its minutes can hold in an hour.
MANY = 61


def plain(schedule):
    """A schedule as Hermes understands it: weekdays by their numbers, and a moment for a time from now, which passes when the clocks change, too. Raises ValueError."""
    parts = schedule.split()
    if len(parts) == 5:
        parts[4] = re.sub("|".join(WEEKDAYS), lambda name: WEEKDAYS[name[0].lower()], parts[4], flags=re.IGNORECASE)
        schedule = " ".join(parts)
    if jobs.parse_schedule(schedule)["display"].startswith("once in"):
        return (passing(hermes_time.now()) + timedelta(minutes=jobs.parse_duration(schedule))).isoformat()
    return schedule


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


def checked(fields):
    """What is to be stored of the arguments of a call, by the names of a job's fields. Raises ValueError."""
    given = {name: fields[name] for name in ("prompt", "name", "repeat") if fields.get(name) is not None}
    if fields.get("schedule"):
        given["schedule"] = plain(fields["schedule"])
        if problem := too_often(given["schedule"]):
            raise ValueError(problem)
    if fields.get("deliver") is not None:
        given["deliver"] = cronjob_tools._normalize_deliver_param(fields["deliver"])
    if fields.get("skills") is not None or fields.get("skill") is not None:
        given["skills"] = cronjob_tools._canonical_skills(fields.get("skill"), fields.get("skills"))
    if fields.get("enabled_toolsets") is not None:
        given["enabled_toolsets"] = fields["enabled_toolsets"] or None
    if fields.get("script") is not None:
        given["script"] = fields["script"].strip() or None
        if len(fields["script"]) > SCRIPT:
            raise ValueError(f"A script has at most {SCRIPT} characters. Put the rest into a file in the sandbox, and run that.")
    if fields.get("context_from") is not None:
        given["context_from"] = [ref for ref in listed(fields["context_from"]) if ref] or None
        if missing := [ref for ref in given["context_from"] or () if not resolve(ref)]:
            raise ValueError(f"There is no job {missing[0]}. action='list' shows those that there are.")
    return given


def report_there(deliver, origin):
    """Raises ValueError where a job that is made in a chat can't report."""
    if asker.get() and deliver and (problem := refusal(deliver, origin)):
        raise ValueError(problem)


def create(fields):
    given, origin = checked(fields), cronjob_tools._origin_from_env()
    if not given.get("schedule"):
        raise ValueError("schedule is required for create")
    if not given.get("prompt") and not given.get("skills"):
        raise ValueError("create requires either prompt or at least one skill")
    if asker.get() and len(own_jobs()) >= PER_PERSON:
        raise ValueError(f"There are {PER_PERSON} jobs of this person, as many as the setting jobsPerPerson allows. Remove one first.")
    report_there(given.get("deliver"), origin)
    script, prompt = given.pop("script", None), given.pop("prompt", "")
    with jobs._jobs_lock():
        job = jobs.create_job(prompt, origin=origin, **given)
        if script:
            # Hermes takes the script of a new job for a file.
            job = jobs.update_job(job["id"], {"script": script})
    message = f"Cron job '{job['name']}' created. {notice(job, given.get('deliver')) or ''}".strip()
    known = {name: job.get(name) for name in ("name", "skill", "skills", "next_run_at")}
    shown = {"schedule": job["schedule_display"], "repeat": cronjob_tools._repeat_display(job), "deliver": job.get("deliver", "local")}
    return {"job_id": job["id"], **known, **shown, "job": form(job), "message": message}


def update(job, fields):
    given = checked(fields)
    report_there(given.get("deliver"), job.get("origin"))
    if "schedule" in given:
        given["schedule"] = parsed = jobs.parse_schedule(given["schedule"])
        given["schedule_display"] = parsed["display"]
        if job.get("state") != "paused":
            given.update(state="scheduled", enabled=True)
    if "repeat" in given:
        given["repeat"] = {**(job.get("repeat") or {}), "times": given["repeat"] if given["repeat"] > 0 else None}
    if not given:
        raise ValueError("No updates provided.")
    return {"job": form(jobs.update_job(job["id"], given))}


@contextlib.contextmanager
def running(id):
    """Tells Hermes' scheduler of a run that was asked for: otherwise a stop would take what is left of it for its report."""
    with scheduler._running_lock:
        ours = id not in scheduler._running_job_ids
        scheduler._running_job_ids.add(id)
    try:
        yield
    finally:
        if ours:
            with scheduler._running_lock:
                scheduler._running_job_ids.discard(id)


def run(job):
    """Runs a job at once. In a shell that is left to the gateway's scheduler, within a minute: that process has the sandboxes."""
    if asker.get():
        with running(job["id"]):
            ended = cronjob_tools._execute_job_now(job)
    else:
        ended = {"claimed": jobs.trigger_job(job["id"]) is not None, "success": True, "error": None}
    told = {**form(jobs.get_job(job["id"]) or {"id": job["id"]}), "executed": ended["claimed"], "execution_success": ended["success"]}
    if not ended["claimed"]:
        told["execution_skipped"] = ended["error"] or "It runs already."
    elif ended["error"]:
        told["execution_error"] = ended["error"]
    return {"job": told}


def remove(job):
    jobs.remove_job(job["id"])
    removed = {"id": job["id"], "name": job["name"], "schedule": job.get("schedule_display")}
    return {"message": f"Cron job '{job['name']}' removed.", "removed_job": removed}


def act(action, ref, fields):
    """What a call does, and gives besides its success. Raises ValueError, OSError."""
    if action == "list":
        # Paused ones, too: they are what a person asks for.
        shown = [form(job) for job in own_jobs()]
        return {"count": len(shown), "jobs": shown}
    if action == "create":
        return create(fields)
    if not ref:
        raise ValueError(f"job_id is required for action '{action}'")
    job = resolve(ref)
    if not job:
        raise ValueError(f"Job with ID or name '{ref}' not found. Use cronjob(action='list') to inspect jobs.")
    match action:
        case "update":
            return update(job, fields)
        case "pause":
            return {"job": form(jobs.pause_job(job["id"], fields.get("reason")))}
        case "resume":
            return {"job": form(jobs.resume_job(job["id"]))}
        case "run" | "run_now" | "trigger":
            return run(job)
        case "remove":
            return remove(job)
    raise ValueError(f"Unknown cron action '{action}'")


@replaces("tools.cronjob_tools:cronjob")
def cronjob(original, action, job_id=None, *, task_id=None, **fields):
    for name, reason in NOT_HERE.items():
        if fields.get(name):
            return tool_error(f"A job has no {name} here: {reason}.", success=False)
    token = asker.set(person_of_task(task_id) if task_id else None)
    try:
        return json.dumps({"success": True, **act((action or "").strip().lower(), job_id, fields)}, indent=2)
    except Exception as error:
        return tool_error(str(error), success=False)
    finally:
        asker.reset(token)


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
