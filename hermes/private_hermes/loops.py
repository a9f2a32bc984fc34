"""Ends the service when a loop that it lives by has ended, with one sentence: the platform starts it again, and nobody has to notice.

Each loop of this package goes on after any error. Those of Hermes 0.19.0 and of python-telegram-bot mostly do; what ends one all the
same leaves a service that answers /health and does half of its work. Running chats are finished first, as at every stop. The table of
all loops is in docs/recover.md.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading

from . import replaces

# By the names of threads (gateway/run.py, sandbox/everybody.py, upkeep.py): what stops without them.
THREADS = {
    "cron-scheduler": "scheduled jobs",
    "gateway-housekeeping": "Hermes' own upkeep",
    "sandboxes": "saving the sandboxes",
    "upkeep": "deleting what is old",
}
# By the ends of the names of tasks (telegram/ext/_updater.py, _application.py).
TASKS = {":polling_task": "receiving messages of Telegram", ":update_fetcher": "answering messages of Telegram"}
# What Hermes logs when it gives up a loop of its own (`_spawn_supervised` in gateway/run.py).
GIVES_UP = "giving up restarts"
# In seconds.
EVERY = 10

log = logging.getLogger(__name__)
stopping = threading.Event()
tell = threading.excepthook
# Threads that were seen, by name: before that they have yet to start.
seen = {}


def missing():
    """What stops because a thread has ended, for each such thread."""
    seen.update({thread.name: thread for thread in threading.enumerate() if thread.name in THREADS})
    return [THREADS[name] for name, thread in seen.items() if not thread.is_alive()]


def end(what, why="nothing says why"):
    """Ends the service, as the platform would."""
    if not stopping.is_set():
        stopping.set()
        log.critical("Hermes restarts, for %s has ended: %s", what, why)
        os.kill(os.getpid(), signal.SIGINT)


def watch_tasks():
    """Watches those of the running event loop; each is watched once, however often this is called."""
    for task in asyncio.all_tasks():
        for name, what in TASKS.items():
            if task.get_name().endswith(name):
                task.remove_done_callback(ENDED[name])
                task.add_done_callback(ENDED[name])


def ended(what):
    def callback(task):
        # Hermes cancels it, or lets it end, when it connects anew.
        if not task.cancelled() and task.exception():
            end(what, repr(task.exception()))

    return callback


ENDED = {name: ended(what) for name, what in TASKS.items()}


@contextlib.contextmanager
def lives(what, stop_event):
    """Around what a thread does: ends the service when that ends before it was told to."""
    try:
        yield
    except BaseException as error:
        end(what, repr(error))
        raise
    if not stop_event.is_set():
        end(what)


def watch():
    """Never ends, as it has nothing that could fail."""
    while not stopping.wait(EVERY):
        for what in missing():
            end(what)


# The first that Hermes does when it stops.
@replaces("gateway.run:arm_shutdown_watchdog")
def stop_begins(original, *arguments, **more):
    stopping.set()
    return original(*arguments, **more)


def failed(of):
    """Python calls it when a thread ends by an error: it may do so before `missing` has seen it, as on a disk that is full at the start."""
    tell(of)
    if of.thread and of.thread.name in THREADS:
        end(THREADS[of.thread.name], repr(of.exc_value))


class GivesUp(logging.Filter):
    """Looks through what Hermes logs: it begins a loop of its own anew so many times, and then gives it up with a line."""

    def filter(self, record):
        if GIVES_UP in str(record.msg):
            end(str(record.args[0]).replace("_", " "), "it failed again and again")
        return True


def listen():
    threading.excepthook = failed
    logging.getLogger("gateway.run").addFilter(GivesUp())


def start():
    listen()
    threading.Thread(target=watch, daemon=True, name="loops").start()
