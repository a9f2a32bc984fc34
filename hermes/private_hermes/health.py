"""Tells in `/health` whether Hermes can work: 200, or 503 with a sentence for each thing that is wrong.

Hermes 0.19.0 answers ok as long as it answers. A module adds a question to `CHECKS`; it must be quick, for each call asks all.
"""

import os
import tempfile

from aiohttp import web
from hermes_constants import get_hermes_home

from . import loops

# What stops all of Hermes, or all jobs, when somebody else has it.
NEEDED = ("state.db", "cron", "cron/jobs.json")


def disk():
    """What is wrong with the disk, or None: whether it can be written as Hermes' user."""
    home = get_hermes_home()
    try:
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"x")
            probe.flush()
    except OSError as error:
        return f"Hermes can't write its disk ({error.strerror}). If it isn't full, restart the service hermes at Render: that repairs whose it is."
    for name in NEEDED:
        if os.path.exists(home / name) and not os.access(home / name, os.R_OK | os.W_OK):
            return f"Hermes can't use {home / name}, which is somebody else's. Restart the service hermes at Render: that repairs it."
    return None


def loops_run():
    """What has stopped, because a thread that Hermes lives by has ended, or None; loops.py ends the service for it."""
    ended = loops.missing()
    return f"Hermes restarts, for this has ended: {', '.join(ended)}." if ended else None


CHECKS = [disk, loops_run]


def problems():
    return [said for check in CHECKS if (said := check())]


def refusal():
    """The answer that says what is wrong, or None."""
    found = problems()
    return web.json_response({"status": "error", "problems": found}, status=503) if found else None
