"""Tells the page which tool runs, and on what.

Hermes 0.19.0 sends an event of its own for it (`hermes.tool.progress`), which Open WebUI ignores. It takes events of its own kind
out of the same data, though (`event` in utils/middleware.py): one of the type `status` is a line above the answer, kept with the
chat, and never part of what the model is asked with. Such an event is written here alone, for one of another type could run script
in the page. What a model or a tool says can't become one: it is text inside of the line.

Each line is said to be done at once. One that isn't goes on shimmering in the page for ever when Stop, an error or a restart comes
between.
"""

import time
from queue import Empty

# Seconds.
EVERY = 3

# What people read of a tool, before Hermes' short form of what it works on.
TOOLS = {
    "terminal": "Runs a command",
    "process": "Looks after a command in the background",
    "execute_code": "Runs Python",
    "read_file": "Reads",
    "write_file": "Writes",
    "patch": "Changes",
    "search_files": "Searches the files",
    "memory": "Changes what it remembers",
    "todo": "Plans",
    "session_search": "Looks through earlier chats",
    "skills_list": "Looks through its skills",
    "skill_view": "Reads a skill",
    "skill_manage": "Changes a skill",
    "cronjob": "Looks after scheduled jobs",
    "web_search": "Searches the web",
    "web_extract": "Reads on the web",
}


def line(tool, label):
    """What the page says of a tool that runs; the label is the tool's name where Hermes has no short form."""
    said = TOOLS.get(tool, f"Uses {tool}")
    return said if label in ("", tool) else f"{said}: {label}"


class Changed:
    """The queue of an answer's pieces, in which each is changed as it is taken out."""

    def __init__(self, queue, change):
        self._queue, self._change = queue, change

    def get(self, *arguments, **more):
        return self._change(self._queue.get(*arguments, **more))

    def get_nowait(self):
        return self._change(self._queue.get_nowait())


def with_line(piece):
    """A piece; the news of a tool carry a line for the page."""
    match piece:
        case ("__tool_progress__", {"status": "running", "tool": tool, "label": label} as news):
            return piece[0], {**news, "event": {"type": "status", "data": {"description": line(tool, label), "done": True}}}
    return piece


class Alive:
    """The queue of an answer's pieces, which gives an empty text where there has been none for EVERY seconds.

    Hermes notices Stop in the page when it writes into the answer, which it does each 30 s during a command.
    """

    def __init__(self, queue):
        self._queue, self._given = queue, time.monotonic()

    def get(self, *arguments, **more):
        try:
            piece = self._queue.get(*arguments, **more)
        except Empty:
            if time.monotonic() - self._given < EVERY:
                raise
            piece = ""
        self._given = time.monotonic()
        return piece

    def get_nowait(self):
        return self._queue.get_nowait()


def with_lines(pieces):
    """The pieces of an answer, in which the news of tools carry their lines."""
    return Changed(pieces, with_line)
