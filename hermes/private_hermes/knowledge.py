"""Shows the owner what the agent remembers, its skills, its jobs and the bill of the month, pauses a job or lets it run again, and removes one for good: the command `knowledge` (knowledge.sh).

Whoever planted something there could make the agent lie about it. So the owner doesn't ask the agent: the command reads the disk, in
the shell that Render gives to the owner of the account alone, and nothing listens for it.

Every text is treated as hostile. What isn't printable is shown escaped, and each line of a text begins with a bar, so that no
entry can look like another one or like its own origin. An id is a hash of what was shown: it never means what came later.

Removing: with Hermes' own locks, while it runs. Hermes 0.19.0 keeps the prompt that a chat began with, memory and list of skills
included, in three places: in the database, in the agent of a Telegram chat, and the list of skills once more in the process. The
command empties the first. What it replaces makes the gateway follow that.
"""

import contextlib
import hashlib
import json
import shutil
import signal
import sqlite3
import sys
import textwrap
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Callable

from agent import skill_utils
from agent.prompt_builder import clear_skills_system_prompt_cache
from cron import jobs
from hermes_constants import get_hermes_home
from hermes_state import SessionDB
from tools import skill_manager_tool, skill_usage
from tools.memory_tool import ENTRY_DELIMITER, MemoryStore

from . import costs, replaces
from .jobs import change, compute_next_run
from .views import told, view

USAGE = """\
knowledge             lists what the agent remembers, its skills and its jobs, and says what the month has cost
knowledge show ID     shows all of one
knowledge pause ID    pauses a job
knowledge resume ID   lets a paused job run again, from its next time on
knowledge remove ID   removes one for good
"""
MEMORY = {"user": "memory of the user", "memory": "memory, own notes"}
SOURCES = {"api_server": "the page", "telegram": "Telegram", "cron": "a job"}
SPENT_ON = {"api_server": "chats of the page", "telegram": "Telegram", "cron": "jobs", "voice": "what was spoken"}
UNKNOWN = "from: unknown, for no chat that Hermes still has wrote it"
PAUSED = "by the owner"
# Characters of a text in the list.
SHORT = 400
# Seconds that a chat may take from reading what is on the disk to storing its prompt.
BEGINS = 5

CALLS = """
SELECT messages.*, source, user_id FROM messages LEFT JOIN sessions ON sessions.id = session_id
WHERE role = 'assistant' AND tool_calls LIKE ? ORDER BY messages.id
"""
RESULT = "SELECT content FROM messages WHERE session_id = ? AND role = 'tool' AND tool_call_id = ? AND id > ? ORDER BY id"
QUESTION = "SELECT content FROM messages WHERE session_id = ? AND role = 'user' AND id < ? ORDER BY id DESC"


@dataclass
class Entry:
    title: str
    text: str
    # When it came and where from, a line each.
    origins: list[str]
    remove: Callable[[], object]
    # What makes it another one: its text, if nothing else.
    key: str
    # Whether chats have it in their prompt.
    in_prompts: bool = True
    # What else may be done, by its name; each gives what to say of it. Of a job alone.
    more: dict[str, Callable[[], str]] = field(default_factory=dict)
    # A job, or the name of a skill.
    about: object = None

    @property
    def id(self):
        return hashlib.sha256(f"{self.title}\0{self.key}".encode(errors="surrogatepass")).hexdigest()[:10]


def moment(timestamp):
    return datetime.fromtimestamp(timestamp, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def place(source, user, chat):
    return ", ".join([SOURCES.get(source, source or "somewhere"), *([f"user {user}"] if user else []), chat])


def parsed(text):
    """The object that a text holds as JSON, empty if it holds none."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def written(arguments):
    """The entries that a call of the tool `memory` writes."""
    operations = arguments.get("operations")
    contents = [call.get("content") for call in [arguments, *(operations if isinstance(operations, list) else [])] if isinstance(call, dict)]
    return [entry.strip() for content in contents if isinstance(content, str) for entry in content.split(ENTRY_DELIMITER)]


class Calls:
    """The calls of the tools that write what the agent knows, as long as Hermes keeps the session."""

    def __init__(self):
        self.found = {"memory": {}, "skill_manage": {}}
        database = get_hermes_home() / "state.db"
        if not database.exists():
            return
        with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as db:
            db.row_factory = sqlite3.Row
            for tool, found in self.found.items():
                for row in db.execute(CALLS, (f'%"{tool}"%',)):
                    for call in json.loads(row["tool_calls"]):
                        function = call.get("function") or {}
                        result = db.execute(RESULT, (row["session_id"], call.get("id"), row["id"])).fetchone()
                        if function.get("name") == tool and result and parsed(result["content"]).get("success"):
                            # Compression of a chat stores some calls twice.
                            one = (row["session_id"], call.get("id"), function.get("arguments"))
                            found.setdefault(one, (parsed(function.get("arguments")), self.origin(db, row)))

    @staticmethod
    def origin(db, row):
        where = place(row["source"], row["user_id"], f"session {row['session_id']}")
        question = db.execute(QUESTION, (row["session_id"], row["id"])).fetchone()
        words = f", after \"{textwrap.shorten(str(question['content']), 120)}\"" if question else ""
        return f"from: {moment(row['timestamp'])}, {where}{words}"

    def of_memory(self, text):
        """Those that wrote this text."""
        origins = []
        for arguments, origin in self.found["memory"].values():
            if text in written(arguments):
                origins.append(origin)
        return origins or [UNKNOWN]

    def of_skill(self, name):
        """Those that wrote to a skill of this name."""
        writes = self.found["skill_manage"].values()
        return [f"{origin} ({arguments.get('action')})" for arguments, origin in writes if arguments.get("name") == name] or [UNKNOWN]


def memories(calls=None):
    for target, title in MEMORY.items():
        for text in dict.fromkeys(MemoryStore._read_file(MemoryStore._path_for(target))):
            yield Entry(title, text, calls.of_memory(text) if calls else [], lambda target=target, text=text: remove_memory(target, text), text)


def remove_memory(target, text):
    """Not MemoryStore.remove(), which refuses a text that is part of another one, and a file with an empty entry in it."""
    store = MemoryStore()
    with store._file_lock(store._path_for(target)):
        store._reload_target(target, skip_drift=True)
        store._set_entries(target, [entry for entry in store._entries_for(target) if entry != text])
        store.save_to_disk(target)


def skills(calls=None):
    root = skill_utils.get_skills_dir()
    folders = [file.parent for file in skill_utils.iter_skill_index_files(root, "SKILL.md")]
    for folder in folders:
        files = sorted((file for file in folder.rglob("*") if file.is_file()), key=lambda file: (file != folder / "SKILL.md", file))
        text = "\n".join(f"--- {file.relative_to(folder)}\n{file.read_text(errors='backslashreplace')}" for file in files)
        changed = max(file.stat().st_mtime for file in files)
        origins = [*(calls.of_skill(folder.name) if calls else []), f"changed: {moment(changed)}"]
        within = [other.relative_to(root) for other in folders if folder in other.parents]
        yield Entry(
            f"skill {folder.relative_to(root)}", text, origins, lambda folder=folder, within=within: remove_skill(folder, within), text, about=folder.name
        )


def remove_skill(folder, within):
    """Not Hermes' own function, which takes the first one of a name, and refuses one that was pinned."""
    if within:
        raise ValueError(f"Its folder holds the skill {within[0]}: remove that one first.")
    if problem := skill_manager_tool._validate_delete_target(folder):
        raise ValueError(problem)
    shutil.rmtree(folder)
    skill_usage.forget(folder.name)


def scheduled():
    for job in jobs.load_jobs():
        origin = job.get("origin") if isinstance(job.get("origin"), dict) else {}
        kind = "session" if origin.get("platform") == "api_server" else "chat"
        where = place(origin.get("platform"), origin.get("user_id"), f"{kind} {origin.get('chat_id')}") if origin else "unknown"
        origins = [f"from: {job.get('created_at')}, {where}", *(f"{name.replace('_', ' ')}: {known}" for name, known in view(job).items())]
        title = f"job {job.get('name')}, {job.get('schedule_display')}"
        extras = {name: job[name] for name in ("script", "skills", "deliver") if job.get(name)}
        text = "\n".join([str(job.get("prompt") or ""), *(f"{name}: {value}" for name, value in extras.items())])
        more = {"pause": lambda job=job: pause(job), "resume": lambda job=job: resume(job)}
        yield Entry(title, text, origins, lambda job=job: jobs.remove_job(job["id"]), f"{job.get('id')}\0{text}", False, more, job)


def pause(job):
    jobs.pause_job(job["id"], PAUSED)
    return "Paused. knowledge resume with the same id lets it run again."


def resume(job):
    """Raises ValueError for a job that was to run once, at a time that is over."""
    if job.get("enabled", True) and job.get("state") != "paused":
        return f"It isn't paused. Its next run: {view(job)['next_run']}"
    # Nothing is replaced in this process.
    due = compute_next_run(jobs.compute_next_run, job["schedule"])
    if not due:
        raise ValueError("It was to run once, and that time is over. Remove it, and ask for it anew.")
    jobs.resume_job(job["id"])
    change(job["id"], next_run_at=due)
    return f"It runs again. Its next run: {told(due)}"


def known():
    calls = Calls()
    return [*memories(calls), *skills(calls), *scheduled()]


def plain(text):
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)


def show(text, mark="", hanging=None):
    """Prints a text so that each line of it, and of the terminal, begins with the mark."""
    width = max(shutil.get_terminal_size().columns - 1, 40)
    for line in text.split("\n"):
        wrapped = textwrap.fill(plain(line), width, break_on_hyphens=False, initial_indent=mark, subsequent_indent=mark if hanging is None else hanging)
        print(wrapped or mark)


def show_entry(entry, limit=None):
    show(f"{entry.id}  {entry.title}".replace("\n", "\\n"), hanging=" " * 12)
    for origin in entry.origins:
        show(origin.replace("\n", "\\n"), "    ", " " * 10)
    show(entry.text[:limit], "    | ")
    if limit and len(entry.text) > limit:
        show(f"{len(entry.text) - limit} more characters: knowledge show {entry.id}", "    ")
    print()


def spent():
    """What the models have cost this month, in one line."""
    known = costs.known(costs.this_month())
    parts = "; ".join(f"{SPENT_ON.get(source, 'other')} {cost}" for source, cost in sorted(known.items()))
    return f"This month the models have cost, by what OpenRouter says: {sum(known.values(), costs.Cost())}.{f' Of that: {parts}.' if len(known) > 1 else ''}"


def forget_prompts(connection):
    # NULL is what Hermes itself writes to have a prompt made anew (`update_session_billing_route` in hermes_state.py).
    connection.execute("UPDATE sessions SET system_prompt = NULL WHERE system_prompt IS NOT NULL")


def remove(entry):
    def both(connection):
        forget_prompts(connection)
        entry.remove()

    if not entry.in_prompts:
        entry.remove()
        return
    with contextlib.closing(SessionDB()) as db:
        # In one transaction: if the database is busy for too long, nothing is removed.
        db._execute_write(both)
        # Once more for a chat that began with what was there before.
        time.sleep(BEGINS)
        db._execute_write(forget_prompts)


def main(arguments):
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    entries = known()
    match arguments:
        case []:
            for entry in entries:
                show_entry(entry, SHORT)
            print(USAGE if entries else "The agent remembers nothing, and has neither skills nor jobs.")
            show(spent())
        case ["show" | "pause" | "resume" | "remove" as action, id]:
            chosen = next((entry for entry in entries if entry.id == id), None)
            if not chosen:
                raise ValueError(f"Nothing has the id {id}; knowledge without more lists what there is.")
            if action in ("pause", "resume"):
                if action not in chosen.more:
                    raise ValueError(f"{id} is no job: only jobs are paused.")
                print(chosen.more[action]())
                return
            if action == "remove":
                remove(chosen)
                print("Removed:")
            show_entry(chosen)
        case _:
            sys.exit(f"It is called like this:\n{USAGE}")


# The gateway's side: nothing that was removed is in a prompt that it has kept itself.
@replaces("run_agent:AIAgent.run_conversation")
def run_conversation(original, self, *arguments, **more):
    # Of the list of skills there is a copy on the disk, too, and that one is compared with the files.
    clear_skills_system_prompt_cache()
    # Of an agent that is kept.
    if self._cached_system_prompt and self._session_db:
        session = self._session_db.get_session(self.session_id)
        if session and session["system_prompt"] is None:
            self._invalidate_system_prompt()
    return original(*arguments, **more)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, LookupError, RuntimeError, ValueError, sqlite3.Error) as error:
        sys.exit(f"knowledge: {plain(str(error))}")
