"""Ends the service when a loop that it lives by has ended, with one sentence: the platform starts it again, and nobody has to notice.

Each loop of this package goes on after any error. Those of Hermes 0.19.0 and of python-telegram-bot mostly do; what ends one all the
same leaves a service that answers /health and does half of its work. Running chats are finished first, as at every stop.
"""

import asyncio
import logging
import os
import signal
import threading

from gateway.run import GatewayRunner

from . import replace

# By the names of threads (gateway/run.py, sandbox.py, upkeep.py): what stops without them.
THREADS = {
    "cron-scheduler": "scheduled jobs",
    "gateway-housekeeping": "Hermes' own upkeep",
    "sandboxes": "saving the sandboxes",
    "upkeep": "deleting what is old",
}
# By the ends of the names of tasks (telegram/ext/_updater.py, _application.py).
TASKS = {":polling_task": "receiving messages of Telegram", ":update_fetcher": "answering messages of Telegram"}
# In seconds.
EVERY = 10

log = logging.getLogger(__name__)
stopping = threading.Event()
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
        # Hermes cancels it, or has it end, when it connects anew.
        if not task.cancelled() and task.exception():
            end(what, repr(task.exception()))

    return callback


ENDED = {name: ended(what) for name, what in TASKS.items()}


def watch():
    """Never ends, as it has nothing that could fail."""
    while not stopping.wait(EVERY):
        for what in missing():
            end(what)


def install():
    async def notify(self):
        stopping.set()
        await notify_active(self)

    # Hermes begins to stop. inbox.py has proven its signature.
    notify_active = replace(GatewayRunner, "_notify_active_sessions_of_shutdown", notify)
    threading.Thread(target=watch, daemon=True, name="loops").start()
