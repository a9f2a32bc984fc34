"""Records which paths below HERMES_HOME a Python process tries, whether they exist or not: one a line in /tmp/tried.

As `sitecustomize.py` in a folder of PYTHONPATH it is loaded by every Python process of a container. It takes each path that is
an argument of an audit event (docs.python.org/3/library/audit_events.html), and of the questions about a file that have none.

What it doesn't see: what native code opens by itself, such as SQLite's -wal and -shm beside a database, and paths relative to an
open folder.
"""

import os
import posix
import sys

HOME = os.environ["HERMES_HOME"]
seen = set()
log = os.open("/tmp/tried", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def note(*arguments):
    for path in arguments:
        if isinstance(path, (str, bytes, os.PathLike)):
            path = os.path.normpath(os.fsdecode(path))
            if path.startswith(f"{HOME}/") and path not in seen:
                seen.add(path)
                os.write(log, f"{path[len(HOME) + 1:]}\n".encode())


def noting(function):
    def noted(path, *arguments, **more):
        note(path)
        return function(path, *arguments, **more)

    return noted


sys.addaudithook(lambda event, arguments: note(*arguments))
for name in ("stat", "lstat", "access", "readlink"):
    # importlib asks posix, all others os.
    for module in (os, posix):
        setattr(module, name, noting(getattr(module, name)))
