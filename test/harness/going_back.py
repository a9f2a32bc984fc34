"""Run in a service's container as root: kills a start before each of its changes of the disk, one after the other, and has the next start end it:
one that goes back to an older backup, and one that brings a backup back onto an empty disk, where restic is played. Prints a line for each
moment after which the disk isn't whole, and at the end of each of the two how many there were."""

import importlib.machinery
import importlib.util
import os
import shutil

DISK = "/tmp/going-back"
os.environ.update(BACKUP_DISK=DISK, BACKUP_UID="0", BACKUP_DATABASES="state.db")
loader = importlib.machinery.SourceFileLoader("backup", "/usr/local/bin/backup")
backup = importlib.util.module_from_spec(importlib.util.spec_from_loader("backup", loader))
loader.exec_module(backup)
backup.log = lambda text: None
backup.only_one = lambda: None  # its lock ends with the process


class Killed(BaseException):
    pass


def files(folder):
    return {name: open(f"{folder}/{name}").read() for name in ("state.db", "skills/one", "tailscale/login", "only") if os.path.exists(f"{folder}/{name}")}


def make():
    shutil.rmtree(DISK, ignore_errors=True)
    for folder, text in ((DISK, "today"), (f"{DISK}/.part{DISK}", "then"), (f"{DISK}/.before", "long ago")):
        for name in ("state.db", "skills/one", "tailscale/login"):
            os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
            with open(f"{folder}/{name}", "w") as file:
                file.write(text)
    with open(f"{DISK}/only", "w") as file:
        file.write("today")
    backup.save(id="mine")
    backup.note_step({"backup": "a", "at": 1.0, "moment": "1-1"}, "go")


def gone_back():
    return (
        files(DISK) == {"state.db": "then", "skills/one": "then", "tailscale/login": "today"}
        and files(f"{DISK}/.before") == {"state.db": "today", "skills/one": "today", "only": "today"}
        and backup.state()["moment"] == "1-1"
        and not os.path.exists(f"{DISK}/.part")
        and not os.path.exists(f"{DISK}/.going-back")
    )


def empty():
    shutil.rmtree(DISK, ignore_errors=True)
    os.mkdir(DISK)


def restic(command, *arguments, **more):
    for name in ("state.db", "skills/one", "tailscale/login"):
        os.makedirs(os.path.dirname(f"{DISK}/.part{DISK}/{name}"), exist_ok=True)
        with open(f"{DISK}/.part{DISK}/{name}", "w") as file:
            file.write("then")
    return 0, "", ""


backup.restic = restic
backup.snapshots = lambda seconds: [{"id": "a", "time": "2026-06-20T12:00:00+00:00", "tags": ["disk-other"]}]
backup.as_app = lambda what, seconds: None  # the database is no blocks here


def brought_back():
    return (
        files(DISK) == {"state.db": "then", "skills/one": "then", "tailscale/login": "then"}
        and backup.state()["from"] == "other"
        and not os.path.exists(f"{DISK}/.part")
        and not os.path.exists(f"{DISK}/.restoring")
    )


real = {name: getattr(os, name) for name in ("rename", "mkdir", "unlink", "rmdir")}


def kill_at_each(make, start, is_whole):
    bad = moment = 0
    killed = True
    while killed:
        make()
        done = 0

        def counted(name):
            def call(*arguments, **options):
                nonlocal done
                if done == moment:
                    raise Killed
                done += 1
                return real[name](*arguments, **options)

            return call

        for name in real:
            setattr(os, name, counted(name))
        try:
            start()
            killed = False
        except Killed:
            pass
        for name, function in real.items():
            setattr(os, name, function)
        start()
        if not is_whole():
            bad += 1
            print(f"killed before change {moment}: {files(DISK)}, before: {files(f'{DISK}/.before')}")
        moment += killed
    print(f"{moment} moments, {bad} bad")


kill_at_each(make, backup.go_back, gone_back)
kill_at_each(empty, backup.restore, brought_back)
