"""Says where a job reports: to nobody else than who made it.

Hermes 0.19.0 sends a report to whatever place a job names (`_resolve_delivery_targets` in cron/scheduler.py), and to the first user
of Telegram if it names Telegram alone. Here that is for the owner, who is the page's first admin and the first user there. Other
accounts of the page have nobody on Telegram, and who writes on Telegram has the chat that the job was made in, and their own. What is
made in a shell of the service goes wherever it says.
"""

from cron import scheduler

from .people import OWNER, is_owner, person_of_job

# What of a job's `deliver` means the page.
PAGE = {"origin", "local", "api_server"}
FIRST = "telegram"

# Where Hermes would send it.
resolve = scheduler._resolve_delivery_targets


def account_of(job):
    """The account of the page that a job reports to, "" for the first admin, None if it reports elsewhere."""
    person = person_of_job(job)
    if person.startswith("person-webui-"):
        return person.removeprefix("person-webui-")
    return "" if person == OWNER and not resolve(job) else None


def targets_of(job):
    """Where Hermes sends a job's report, as Hermes has it, without what isn't its maker's."""
    person, origin = person_of_job(job), job.get("origin") or {}
    if person == OWNER:
        return resolve(job)
    own = {(origin.get("platform"), str(origin.get(id))) for id in ("chat_id", "user_id")}
    if is_owner(person):
        own |= {(target["platform"], target["chat_id"]) for target in resolve({"deliver": FIRST})}
    return [target for target in resolve(job) if (target["platform"].lower(), str(target["chat_id"])) in own]


def besides(job):
    """What a job of the page names besides it, as a job's `deliver`."""
    parts = scheduler._normalize_deliver_value(job.get("deliver")).split(",")
    return ",".join(part.strip() for part in parts if part.strip() not in PAGE)


def refusal(deliver, origin):
    """Why a job that is made in a chat can't report there, as a sentence, or None."""
    for part in besides({"deliver": deliver}).split(","):
        if not part or targets_of({"deliver": part, "origin": origin}):
            continue
        if not resolve({"deliver": FIRST}):
            return f"A job can't report to {part}: this deployment has no Telegram (the setting telegramBotToken)."
        return f"A job reports to nobody else than who makes it, so not to {part}. {ON_TELEGRAM if (origin or {}).get('platform') == 'api_server' else ELSEWHERE}"
    return None


ON_TELEGRAM = (
    "From the page, only the jobs of its first admin report on Telegram, too (deliver: telegram, to the first user there). Any other account leaves "
    "deliver out, and the report comes into a chat of the page. Who may write to the bot can make the job there."
)
ELSEWHERE = "Leave deliver out, and it reports into this chat; for a group, make it in that group."
