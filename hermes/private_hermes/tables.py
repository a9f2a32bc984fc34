"""Our own tables in Hermes' database, which is backed up with all that is in it.

What an answer has to wait for is short: who can't write within PATIENCE goes on without, and says so in the log.
"""

import contextlib
import sqlite3

from hermes_constants import get_hermes_home

# What the models have cost (costs.py); who has written what the agent knows (own.py).
TABLES = """
CREATE TABLE IF NOT EXISTS private_costs (
    month TEXT, source TEXT, what TEXT, dollars REAL, calls INTEGER, untold INTEGER, PRIMARY KEY (month, source, what)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS private_writers (kind TEXT, key TEXT, person TEXT, PRIMARY KEY (kind, key, person)) WITHOUT ROWID;
"""
# In seconds.
PATIENCE = 2


def path():
    return get_hermes_home() / "state.db"


@contextlib.contextmanager
def changing():
    """A connection, whose changes are stored together at the end or not at all. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(path(), timeout=PATIENCE)) as db:
        # As Hermes does: a crash of the machine may take the last moment.
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(TABLES)
        with db:
            yield db


def rows(question, values=()):
    """What is found; nothing before the first change. Raises sqlite3.Error."""
    if not path().exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path()}?mode=ro", uri=True, timeout=PATIENCE)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'private_writers'").fetchone():
            return []
        return db.execute(question, values).fetchall()
