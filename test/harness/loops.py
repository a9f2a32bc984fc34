"""Ends a thread and a task that Hermes lives by, in its image, and proves that hermes/private_hermes/loops.py ends the service for each, once."""

import asyncio
import os
import sys
import threading
from types import SimpleNamespace

from private_hermes import inbox, loops

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
