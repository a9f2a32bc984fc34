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


# The first that Hermes does to its chats when it stops.
@replaces("gateway.run:GatewayRunner._notify_active_sessions_of_shutdown")
async def notify(original, self):
    stopping.set()
    await original()


# Both may end before `missing` has seen them, as on a disk that is full at the start.
@replaces("cron.scheduler_provider:InProcessCronScheduler.start")
def schedule(original, self, stop_event, **more):
    with lives(THREADS["cron-scheduler"], stop_event):
        original(stop_event, **more)


@replaces("gateway.run:_start_gateway_housekeeping")
def housekeep(original, stop_event, **more):
    with lives(THREADS["gateway-housekeeping"], stop_event):
        original(stop_event, **more)


@replaces("gateway.run:GatewayRunner._spawn_supervised")
def spawn(original, self, coro_factory, name, *, restart=True, _attempt=0):
    task = original(coro_factory, name, restart=restart, _attempt=_attempt)
    # Hermes begins a loop of its own anew so many times, and then gives it up with a line in its log.
    if _attempt >= self._MAX_SUPERVISED_RESTARTS:
        task.add_done_callback(ended(name.replace("_", " ")))
    return task


def start():
    threading.Thread(target=watch, daemon=True, name="loops").start()
