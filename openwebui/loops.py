"""Ends the app when a loop that it lives by has ended, with one sentence: entrypoint.sh stops the container then, and Render starts it anew.

Open WebUI 0.12.4 begins its loops as tasks and never looks at them again. One that an error ends leaves a page that answers /health and
does a part of its work no more: without `periodic_socket_authentication` an account that is removed keeps its open pages. The loops of this
folder go on after any error; they are watched all the same. The table of all is in docs/recover.md.
"""

import logging
import os
import signal
import threading
from contextlib import asynccontextmanager

from open_webui.private.life import live_with

# By the names of their tasks in the app's state (open_webui/main.py): what stops without them.
TASKS = {
    "periodic_socket_authentication": "signing open pages out",
    "periodic_usage_pool_cleanup": "forgetting which models are in use",
    "periodic_session_pool_cleanup": "forgetting pages that are closed",
    "scheduler_worker_loop": "Open WebUI's own timers",
}

log = logging.getLogger(__name__)
stopping = threading.Event()


def end(what, why="nothing says why"):
    """Ends the app, as the platform would; answers that are being written are waited for (answers.py)."""
    if not stopping.is_set():
        stopping.set()
        log.critical("Open WebUI restarts, for %s has ended: %s", what, why)
        os.kill(os.getpid(), signal.SIGTERM)


def watch(task, what):
    """Ends the app when a task ends, unless somebody has cancelled that."""

    def ended(task):
        if not task.cancelled():
            end(what, repr(task.exception()) if task.exception() else "nothing says why")

    task.add_done_callback(ended)


def thread(function, what):
    """Begins a thread whose end ends the app."""

    def run():
        try:
            function()
        except BaseException as error:
            end(what, repr(error))
            raise
        end(what)

    threading.Thread(target=run, daemon=True, name=function.__module__).start()


def register(main):
    @asynccontextmanager
    async def life():
        for name, what in TASKS.items():
            watch(getattr(main.app.state, name), what)
        yield
        stopping.set()

    live_with(main.app, life)
