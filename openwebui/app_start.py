"""What the app's Python does before it imports the app, for half a CPU is all that the smallest plan has (start.pth; docs/figures.md).

- The garbage collector looks through all that is there again and again while thousands of modules are imported, a fifth of the start, and
  finds nothing: it is off until they are (start.py).
- The app looks at each start for migrations of its database, and for that imports Alembic and each migration that there ever was. A
  database that has the newest one, as at every start but the first of a release, needs none.

    python3 -m app_start DATABASE

prints the newest one, out of a database that the app has just made while the image is built.
"""

import contextlib
import gc
import os
import sqlite3
import sys
from pathlib import Path

# Written while the image is built.
NEWEST = Path(__file__).with_name("app_start.newest")


def migrations_of(database):
    """The migrations at which a database of the app's stands, one of each line of them. Raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True)) as connection:
        return sorted(name for (name,) in connection.execute("SELECT version_num FROM alembic_version"))


def is_newest(database):
    """Whether a database needs no migration. False when it can't be told: then the app looks itself."""
    try:
        return " ".join(migrations_of(database)) == NEWEST.read_text()
    except (sqlite3.Error, OSError):
        return False


def main():
    gc.disable()
    if "DATABASE_URL" not in os.environ and is_newest(Path(os.environ.get("DATA_DIR", "/app/backend/data")) / "webui.db"):
        os.environ["ENABLE_DB_MIGRATIONS"] = "false"


if __name__ == "__main__":
    newest = migrations_of(sys.argv[1])
    if not newest:
        sys.exit("The app keeps no list of its migrations in its database any more, see app_start.py")
    print(*newest, end="")
