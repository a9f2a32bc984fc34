"""Injects a fault into each loop that Hermes lives by, in its image, and proves that it goes on, or ends the service, once (docs/recover.md)."""

import asyncio
import os
import sqlite3
import sys
import threading
import time
from functools import partial
from types import SimpleNamespace

import gateway.run
import private_hermes
from cron import scheduler
from gateway.run import GatewayRunner
from private_hermes import handover, inbox, loops, runs, scheduling, summaries, upkeep
from private_hermes.sandbox import everybody

sent = []
os.kill = lambda pid, number: sent.append(number)


def expect(what, actual, wanted):
    if actual != wanted:
        sys.exit(f"{what}: {actual!r}, and not {wanted!r}")


def begin_anew():
    sent.clear()
    loops.seen.clear()
    loops.stopping.clear()


def dies_in_thread(name):
    goes_on = threading.Event()
    thread = threading.Thread(target=goes_on.wait, name=name)
    thread.start()
    alive = loops.missing()
    goes_on.set()
    thread.join()
    return alive, loops.missing()


for name, what in loops.THREADS.items():
    begin_anew()
    expect(name, dies_in_thread(name), ([], [what]))
loops.end("one")
loops.end("another")
expect("signals", len(sent), 1)


async def task_that_ends(name, work):
    task = asyncio.create_task(work(), name=name)
    loops.watch_tasks()
    loops.watch_tasks()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    return len(sent)


async def fails():
    raise OSError(28, "No space left on device")


async def is_cancelled():
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def returns():
    pass


for end in loops.TASKS:
    for work, wanted in ((fails, 1), (is_cancelled, 0), (returns, 0)):
        begin_anew()
        expect(f"{end} that {work.__name__}", asyncio.run(task_that_ends(f"Updater:1{end}", work)), wanted)
begin_anew()
expect("another task", asyncio.run(task_that_ends("another", fails)), 0)

# Hermes' own loops, which `install` has put into its hands: what breaks before they are seen, and what goes on.
begin, threading.Thread.start = threading.Thread.start, lambda thread: None
expect("install", private_hermes.install(), [])
threading.Thread.start = begin
loops.listen()
FAULTS = [OSError(28, "No space left on device"), ConnectionError("reset by peer"), sqlite3.OperationalError("database is locked"), KeyError("id"), ValueError("no JSON")]


class Round:
    """In the place of an event or of time.sleep: lets a loop have so many rounds."""

    def __init__(self, rounds):
        self.left = rounds

    def is_set(self):
        return self.left <= 0

    def wait(self, timeout=None):
        self.left -= 1

    def sleep(self, seconds):
        self.left -= 1
        if self.left < 0:
            raise SystemExit


def failing(error, calls):
    def work(*arguments, **more):
        calls.append(error)
        raise error

    return work


for fault in FAULTS:
    # The scheduler: a look that fails, and what it makes up for at the start.
    begin_anew()
    calls, given, left = [], [], []
    scheduler.tick, runs.give_back, runs.leave_late = failing(fault, calls), failing(fault, given), partial(left.append, fault)
    scheduling.Scheduler().start(Round(3))
    expect(f"the scheduler after {fault!r}", (len(calls), len(given), len(left), sent), (3, 1, 3, []))
    # One that something ends all the same, before `missing` has seen it.
    begin_anew()
    ends = Round(3)
    ends.wait = failing(fault, [])
    try:
        scheduling.Scheduler().start(ends)
    except type(fault):
        pass
    expect(f"the scheduler that {fault!r} ends", len(sent), 1)
    begin_anew()
    housekeeping = threading.Thread(target=gateway.run._start_gateway_housekeeping, args=(ends,), name="gateway-housekeeping")
    housekeeping.start()
    housekeeping.join()
    expect(f"the housekeeping that {fault!r} ends", len(sent), 1)

    # Those of this package.
    begin_anew()
    calls, clock = [], Round(4)
    upkeep.time = SimpleNamespace(sleep=clock.sleep, time=time.time)
    upkeep.forget = upkeep.empty_caches = handover.delete_old = summaries.delete_old = failing(fault, calls)
    try:
        upkeep.keep_up()
    except SystemExit:
        pass
    expect(f"the upkeep after {fault!r}", (len(calls), sent), (8, []))

    calls, clock = [], Round(3)
    everybody.time = SimpleNamespace(sleep=clock.sleep)
    everybody.records.all = failing(fault, calls)
    everybody.sandboxes = {"somebody": SimpleNamespace(person="somebody", keep=failing(fault, calls))}
    try:
        everybody.keep_all()
    except SystemExit:
        pass
    expect(f"the saver after {fault!r}", (len(calls), sent), (8, []))


async def supervised(attempt):
    """A loop of Hermes' that fails at once, begun for the so many-th time."""
    runner = SimpleNamespace(_running=True, _background_tasks=set(), _MAX_SUPERVISED_RESTARTS=5, _SUPERVISED_HEALTHY_SECS=300)
    task = GatewayRunner._spawn_supervised(runner, fails, "platform_reconnect_watcher", _attempt=attempt)
    await asyncio.wait([task])
    await asyncio.sleep(0)
    return len(sent)


for attempt, wanted in ((0, 0), (4, 0), (5, 1)):
    begin_anew()
    expect(f"a loop that has been begun {attempt} times", asyncio.run(supervised(attempt)), wanted)

# Whose chat is busy: by a whole part of a key, and by the events of an album.
box = inbox.Inbox(None)
none = {"_active_sessions": {}, "_pending_messages": {}, "_pending_text_batches": {}, "_pending_photo_batches": {}, "_media_group_events": {}}
album = {"1357": SimpleNamespace(source=SimpleNamespace(chat_id="12345678"))}
for more, wanted in (
    ({}, False),
    ({"_active_sessions": {"agent:main:telegram:dm:12345678": 1}}, True),
    ({"_active_sessions": {"agent:main:telegram:dm:7312345678": 1}}, False),
    ({"_pending_messages": {"agent:main:telegram:dm:12345678:42": 1}}, True),
    ({"_pending_messages": {"agent:main:telegram:group:-12345678:7": 1}}, False),
    ({"_media_group_events": album}, True),
):
    box.adapter = SimpleNamespace(**{**none, **more})
    expect(f"busy with {more}", box.busy(12345678), wanted)
