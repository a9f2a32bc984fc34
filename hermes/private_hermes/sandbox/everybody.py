"""Everybody's sandboxes, from the start of the gateway to its stop."""

import logging
import threading
import time

from . import limits
from .person import PersonSandbox, stopping
from .records import records

logger = logging.getLogger(__name__)

# By person.
sandboxes = {}
sandboxes_lock = threading.Lock()
# When the gateway began to stop, as time.monotonic() tells it.
stop_began = 0.0
# Whether what ran then has ended, or is cut off.
drained = False
resting = {}


def stop_begins():
    """Notes that the gateway begins to stop."""
    global stop_began
    stop_began = time.monotonic()


def sandbox_of(person):
    with sandboxes_lock:
        if person not in sandboxes:
            sandboxes[person] = PersonSandbox(person)
        return sandboxes[person]


def rest_all():
    """Begins to save and end all, side by side, when the gateway stops. Hermes calls it where everybody's chats run, so it doesn't wait."""
    stopping.set()
    with sandboxes_lock:
        everybody = [sandbox for sandbox in sandboxes.values() if sandbox.id and sandbox not in resting]
        for sandbox in everybody:
            resting[sandbox] = threading.Thread(target=sandbox.rest, kwargs={"at_once": True}, daemon=True)
    for sandbox in everybody:
        resting[sandbox].start()


def wait_until_rested():
    """Waits for that as long as the platform does. What isn't saved then runs on, and is taken up at the next start."""
    until = (stop_began or time.monotonic()) + limits.STOP_WITHIN
    # Those that no chat has any more.
    rest_all()
    for thread in resting.values():
        thread.join(max(0, until - time.monotonic()))


def keep_all():
    """Begins with what a killed gateway has left, and never ends."""
    left = None
    while True:
        try:
            if left is None:
                left = [person for person, record in records.all().items() if record["running"]]
            while left:
                sandbox_of(left[-1]).recover()
                left.pop()
        except Exception as error:
            logger.warning("the sandboxes from before the start can't be asked for now: %s", error)
        with sandboxes_lock:
            everybody = list(sandboxes.values())
        for sandbox in everybody:
            try:
                sandbox.keep()
            except Exception as error:
                logger.warning("the sandbox of %s isn't looked after for now: %s", sandbox.person, error)
        time.sleep(10)
