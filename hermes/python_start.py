"""Two adjustments to this image's Python, loaded at start-up through python_start.pth.

SQLite: versions before 3.51.3 can corrupt a database in WAL mode (https://sqlite.org/wal.html#walresetbug) and
bookworm ships 3.40.1. pysqlite3 carries its own newer SQLite and takes the place of the standard module.

Threads: Hermes runs every chat in asyncio's default pool, two threads each, and that pool has cpu count + 4 threads:
six on two CPUs, so that a family's chats queue. Python 3.13 reads the count from PYTHON_CPU_COUNT; this does the same on 3.11.
"""

import os
import sys

import pysqlite3
import pysqlite3.dbapi2

sys.modules["sqlite3"] = pysqlite3
sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

if os.environ.get("PYTHON_CPU_COUNT", "").isdecimal():
    _cpu_count = int(os.environ["PYTHON_CPU_COUNT"])
    os.cpu_count = lambda: _cpu_count
