"""Run in a service's container as root: makes backups there with one thing around the program that is otherwise than usual.

  waiting     the files that a kernel writes say that the app needs its memory. Prints as JSON, by the version of cgroups, what the run did in turn:
              each look that found too much, restic's commands, what it logged; and the seconds that it waited
  unreadable  restic is told to read a path, too, that it can't read. Prints what the run logs
  full        the disk takes nothing any more. Prints the same
"""

import errno
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import time

LIMIT = 512 << 20
# Below the folder of cgroups: the limit, what is used, and the line of it that counts.
LAYOUTS = {"v1": ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"), "v2": ("memory.max", "memory.stat", "anon")}

loader = importlib.machinery.SourceFileLoader("backup", "/usr/local/bin/backup")
backup = importlib.util.module_from_spec(importlib.util.spec_from_loader("backup", loader))
loader.exec_module(backup)
backup.only_one = lambda: None  # its lock ends with the process
real = backup.restic


class Clock:
    """Time that passes only where something sleeps; then the app's memory changes to the next of some shares of the limit."""

    def __init__(self, shares):
        self.shares, self.now, self.did = list(shares), 0.0, []

    def __getattr__(self, name):
        return getattr(time, name)

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.did.append("waits")
        self.now += seconds
        if len(self.shares) > 1:
            self.shares.pop(0)


def run(layout, shares, work):
    limit, stat, line = LAYOUTS[layout]
    clock = Clock(shares)

    def given(path, *rest, **more):
        if not str(path).startswith("/sys/fs/cgroup/"):
            return open(path, *rest, **more)
        text = {f"/sys/fs/cgroup/{limit}": f"{LIMIT}\n", f"/sys/fs/cgroup/{stat}": f"cache {LIMIT}\n{line} {int(LIMIT * clock.shares[0])}\n"}.get(path)
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    def restic(*arguments, **more):
        clock.did.append(arguments[0])
        return real(*arguments, **more)

    backup.open, backup.time, backup.restic, backup.log = given, clock, restic, clock.did.append
    work()
    return {"did": clock.did, "waited": clock.now}


def refuse(**fields):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


if sys.argv[1] in ("unreadable", "full"):
    backup.log = print
    if sys.argv[1] == "full":
        backup.save = refuse
    else:
        backup.restic = lambda *arguments, **more: real(*arguments, *(["/proc/1/mem"] if arguments[0] == "backup" else []), **more)
    sys.exit(backup.backup())

said = {layout: run(layout, (0.9, 0.76, 0.74), backup.backup) for layout in LAYOUTS}
said["at a stop"] = run("v1", (0.9,), lambda: backup.backup(last=True))
said["for ever"] = run("v1", (0.9,), backup.wait_for_quiet)
print(json.dumps(said))
