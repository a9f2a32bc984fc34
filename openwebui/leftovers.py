"""Clears up what Open WebUI leaves behind: files that nothing in the database names any more, once a day, and unfinished answers
(answers.py), at the start and at the stop.

Open WebUI 0.12.4 keeps a file when its chat is deleted, and those of temporary chats, so that the disk only grows. Here a file goes
that is older than a week, if its id stands in no row of any table, whichever parts of Open WebUI they belong to: a chat that
still shows a file has its id. What is in chats that people keep stays, for as long as they keep them.

Environment, for the tests: LEFTOVERS_EVERY, seconds from the start to the first look, and from one to the next.
"""

import logging
import os
import re
import sqlite3
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path

from open_webui.env import DATA_DIR
from open_webui.private import answers, loops, scans
from open_webui.private.life import live_with

# In seconds. An upload that isn't sent yet, and a temporary chat in an open tab, are in no table.
KEPT = 7 * 24 * 3600
EVERY = float(os.environ.get("LEFTOVERS_EVERY", 24 * 3600))
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What Open WebUI leaves as well, and a file's own row.
NOT_ASKED = {"file", "chat_file"}

log = logging.getLogger(__name__)


def delete_leftovers(database):
    """Deletes them with their rows; gives how many. `database` is the path of webui.db."""
    with closing(sqlite3.connect(database, timeout=60)) as rows:
        old = dict(rows.execute("SELECT id, path FROM file WHERE created_at < ?", [time.time() - KEPT]))
        for (table,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table not in NOT_ASKED and old:
                for row in rows.execute(f'SELECT * FROM "{table}"'):
                    for value in row:
                        for id in ID.findall(value) if isinstance(value, str) else ():
                            old.pop(id, None)
        for id, path in old.items():
            with rows:
                rows.execute("DELETE FROM chat_file WHERE file_id = ?", [id])
                rows.execute("DELETE FROM file WHERE id = ?", [id])
            if path:
                Path(path).unlink(missing_ok=True)
        ids = {id for (id,) in rows.execute("SELECT id FROM file")}
        for page in scans.pages(Path(database).parent / "uploads"):
            if page.name[:36] not in ids:
                page.unlink(missing_ok=True)
        return len(old)


def watch():
    while True:
        time.sleep(EVERY)
        try:
            if deleted := delete_leftovers(Path(DATA_DIR) / "webui.db"):
                log.info("Deleted %d files that nothing names any more", deleted)
        except Exception:
            log.exception("Old files aren't deleted")


@asynccontextmanager
async def life():
    loops.thread(watch, "deleting old files")
    await answers.end_unfinished()
    yield
    await answers.end_running()


def register(main):
    live_with(main.app, life)
