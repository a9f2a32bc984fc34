"""Injects a fault into each loop that Open WebUI lives by, in its image, and proves that it goes on, or ends the app, once (docs/recover.md)."""

import asyncio
import os
import sqlite3
import sys
import threading
import time

from open_webui.main import app
from open_webui.private import leftovers, loops, reports
from open_webui.socket import main as sockets
from open_webui.utils import automations, timers

sent = []
os.kill = lambda pid, number: sent.append(number)
FAULTS = [OSError(28, "No space left on device"), ConnectionError("reset by peer"), sqlite3.OperationalError("database is locked"), KeyError("id"), ValueError("no JSON")]
ROUNDS = 3


def expect(what, actual, wanted):
    if actual != wanted:
        sys.exit(f"{what}: {actual!r}, and not {wanted!r}")


def begin_anew():
    sent.clear()
    loops.stopping.clear()


class Enough(BaseException):
    pass


def failing(error, calls):
    def work(*arguments, **more):
        calls.append(error)
        if len(calls) >= ROUNDS:
            raise Enough
        raise error

    return work


def failing_later(error, calls):
    now = failing(error, calls)

    async def work(*arguments, **more):
        now()

    return work


async def quickly(seconds):
    await pause(0)


pause, asyncio.sleep = asyncio.sleep, quickly


async def ends_app(function):
    """Whether the end of a loop ends the app."""
    begin_anew()
    task = asyncio.ensure_future(function())
    loops.watch(task, "it")
    try:
        await asyncio.wait([task])
    except Enough:
        pass
    await pause(0)
    if task.done() and isinstance(task.exception(), Enough):
        return "goes on"
    return len(sent)


def fate(function):
    try:
        return asyncio.run(ends_app(function))
    except Enough:
        return "goes on"


for fault in FAULTS:
    calls = []
    sockets.encryption.sweep = failing_later(fault, [])
    expect(f"signing pages out after {fault!r}", fate(sockets.periodic_socket_authentication), 1)
    sockets.aquire_func = failing(fault, [])
    expect(f"the models in use after {fault!r}", fate(sockets.periodic_usage_pool_cleanup), "goes on")
    sockets.session_aquire_func = failing(fault, [])
    expect(f"the closed pages after {fault!r}", fate(sockets.periodic_session_pool_cleanup), "goes on")
    timers.claim_due_timers = failing_later(fault, [])
    automations.Config.get = failing_later(fault, [])
    expect(f"the timers after {fault!r}", fate(lambda: automations.scheduler_worker_loop(app)), "goes on")
    reports.look = failing_later(fault, [])
    expect(f"the reports after {fault!r}", fate(reports.watch), "goes on")

    calls = []
    leftovers.EVERY, leftovers.delete_leftovers = 0, failing(fault, calls)
    try:
        leftovers.watch()
    except Enough:
        pass
    expect(f"the old files after {fault!r}", len(calls), ROUNDS)

    # A thread that something ends all the same.
    begin_anew()
    threading.excepthook = lambda error: None
    loops.thread(failing(fault, []), "it")
    while not sent:
        time.sleep(0.01)
    loops.end("another")
    expect("signals", len(sent), 1)


async def is_cancelled():
    asyncio.current_task().cancel()
    await pause(1)


async def returns():
    pass


async def watched(work):
    begin_anew()
    task = asyncio.ensure_future(work())
    loops.watch(task, "it")
    await asyncio.wait([task])
    await pause(0)
    return len(sent)


expect("one that is cancelled", asyncio.run(watched(is_cancelled)), 0)
expect("one that returns", asyncio.run(watched(returns)), 1)
