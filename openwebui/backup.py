#!/usr/local/bin/python3 -IS
"""Keeps the service's disk in an encrypted repository, with restic, and brings it back onto an empty disk.

  backup COMMAND [ARGUMENT...]  the container's first process: brings the disk back, runs the command, makes backups, ends with it
  backup now                    makes a backup; for a shell of the service, as root
  backup adopt                  lets this disk go on with the backups of another disk; the same
  backup list                   prints, as JSON, the backups that there are, and the one that is being gone back to; the same
  backup compare ID             prints, as JSON, what differs between a backup and the newest one; the same
  backup fetch ID MOMENT        brings a backup onto the disk, beside what is there; MOMENT is a word that stands for it in both services; the same
  backup back MOMENT            makes the next start put what was fetched in the place of what is there; the same
  backup drop MOMENT            removes what was fetched; the same
  backup pull                   prints the disk as a tar archive in gzip, laid out as in a backup; the same, and without a repository
  backup take BYTES MOMENT      brings an archive of `backup pull` from its input, in the place of `backup fetch`; the same, and without a repository
  backup open                   prints what people have in formats that other programs read, as such an archive; the same

The same file lies in hermes/ and openwebui/. Without BACKUP_REPOSITORY it is replaced by the command. It never hands BACKUP_* on.

Environment
  BACKUP_REPOSITORY             restic's name of the repository, s3:https://HOST/BUCKET/PATH
  BACKUP_KEY_ID, BACKUP_KEY     credentials of the bucket
  BACKUP_PASSWORD               encrypts the repository; without it nothing in it can be read
  BACKUP_MINUTES                between two backups
  BACKUP_EXPECTS                id of the repository that is known to have backups: none, or others, are a mistake then
  SSL_CERT_FILE                 certificate authorities for restic, where they aren't the system's
  Set by the image:
  BACKUP_DISK                   the mount point
  BACKUP_UID                    user and group of the app, to whom the disk belongs
  BACKUP_DATABASES              SQLite files below it, with blanks between them; without the first one no backup is made
What is left out stands in /etc/backup/exclude, in restic's patterns.

A backup: the app's user copies each database and cuts the copy into blocks of 16 KiB (below /var/lib/backup, never on the disk), so that
a few changed pages are a few kB of upload. Then restic reads the blocks and the disk, as a user of its own that may read all files and
is nothing else: what the app plants is data to it.

A restore: at a start, onto an empty disk, all or nothing. `.disk-id` in the disk's top folder says that the disk has lived: it is never
touched then. `.restoring` says that the app has never run on what is there: a start that finds it begins anew. Both are root's. An
answer of the repository that is neither backups nor their absence ends the start with one sentence: an empty start would be backed up.

Going back to an older backup takes two steps, so that both services do it or none: it is fetched into `.part` while the app runs, and
checked. The next start then moves what was there into `.before`, and what was fetched into its place; renames alone, and one that is cut
off goes on at the next start. `.going-back` says how far it is. The machine's login stays that of today: two with one would be in each
other's way.

`.disk-id` holds, as JSON: the disk's id, with which each of its backups is tagged; `from`, the id of the disk whose backup it was made
of, until it has one of its own; `repository`, in which it has backups; `count`, those that were there; `restored` and `pruned`, in
seconds since 1970; `moment`, the word for what it was taken back to. If the newest backup is of another disk, somebody else writes there, and this one stops.

Ends with the command's exit code, or with 1 and a sentence when the disk can't be brought back.
"""

# The process stays as long as the container: all other modules are loaded by children that end.
import os
import signal
import sys
import time

DISK, UID = os.environ.get("BACKUP_DISK", ""), int(os.environ.get("BACKUP_UID", "0"))
DATABASES = os.environ.get("BACKUP_DATABASES", "").split()
REPOSITORY = os.environ.get("BACKUP_REPOSITORY", "")
EXPECTS = os.environ.get("BACKUP_EXPECTS", "")
EVERY = 60 * int(os.environ.get("BACKUP_MINUTES") or "15")

# Of the container's own file system: a full disk loses chats, and a tmpfs is memory. BLOCKS belongs to the app, the rest to restic.
HOME = "/var/lib/backup"
BLOCKS, CACHE = f"{HOME}/blocks", f"{HOME}/cache"
ID, RESTORING, PART, RESTORED = (f"{DISK}/{name}" for name in (".disk-id", ".restoring", ".part", ".restored"))
BACK, BEFORE = f"{DISK}/.going-back", f"{DISK}/.before"
OWN = {os.path.basename(path) for path in (ID, RESTORING, PART, RESTORED, BACK, BEFORE)} | {"lost+found"}
# What is on an empty disk: a kill may have left one of the first marks half written.
NOTHING = {"lost+found"} | {f"{os.path.basename(path)}.new" for path in (ID, RESTORING)}
# Where the disk has it, it isn't replaced: the machine's login.
STAYS = {"tailscale"}

RESTIC_UID = 10009
# It reads each file whoever owns it, and can do nothing else of what root can.
AS_READER = ["setpriv", f"--reuid={RESTIC_UID}", f"--regid={RESTIC_UID}", "--clear-groups", "--no-new-privs", "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]

# Seconds: until the first backup after a start; for a look at the repository; for the stages of a backup; for a restore.
FIRST, LOOK, STAGE, UPLOAD, THIN, RESTORE = 120, 30, 300, 600, 600, 3600
# After a signal to stop: for the app, which has bounds of its own below it, and for the last backup. Together below the platform's
# limit, maxShutdownDelaySeconds in index.ts.
GRACE, LAST = 60, 50
# For a request that fails again and again. A bucket that is full, or busy, holds restic up at its first file.
HOPE = 60
DAY = 86400
BLOCK = 16384
# What one file or folder may have: a folder of 100,000 files takes restic 166 MB of memory.
MAX_BYTES, MAX_ENTRIES = 200_000_000, 20_000
# Share of the memory that the app may have while a backup begins, and seconds for which it is waited for. Of 512 MB restic then has the rest,
# 128 MB, for the 75 it needs beside pages of its file. Open WebUI stays at 63 % after many chats at once: that is no reason to wait.
BUSY, PATIENCE = 0.75, 600
# Of what restic prints as errors.
MANY_LINES = 50
# Bytes that stay free on the disk when an older backup is fetched: with less, Hermes doesn't start.
ROOM = 128 << 20
NO_REPOSITORY, LOCKED, WRONG_PASSWORD, TIMED_OUT, INTERRUPTED, INCOMPLETE = 10, 11, 12, 124, 130, 3


class Problem(Exception):
    """One sentence for the owner."""


def log(text):
    print(f"backup: {text}", file=sys.stderr, flush=True)


# --- The first process ------------------------------------------------------------------------------------------------------------


def spawn(work):
    """Runs a function in a process of its own, with the signals as they were; gives its id. What the function gives is the exit code."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        code = work()
    except Problem as problem:
        log(problem)
        code = 1
    except Exception as error:
        # The text of a foreign error may hold anything.
        log(f"This failed in a way that nobody expected ({type(error).__name__}, line {line_of(error)}).")
        code = 1
    os._exit(code)


def line_of(error):
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_lineno


def in_group(work):
    """The same, with all that it starts in one process group, so that it can be ended as a whole."""

    def begin():
        os.setpgid(0, 0)
        return work()

    return spawn(begin)


def end_group(pid):
    try:
        os.killpg(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass  # it has ended, or has just begun and has no group yet
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass


def keep(command):
    """Brings the disk back, runs the command and makes backups until it ends; gives its exit code."""
    signals = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    app, run, stopping, due, code = None, in_group(restore), False, None, None
    restoring = run
    while code is None:
        found = signal.sigtimedwait(signals, DAY if due is None else max(0.0, due - time.monotonic()))
        if found and found.si_signo != signal.SIGCHLD and not stopping:
            stopping, due = True, time.monotonic() + GRACE
            if app:
                os.kill(app, found.si_signo)
            if run:
                end_group(run)
        for pid, ended in reaped():
            if pid == app:
                code = ended
            elif pid == restoring:
                restoring = run = None
                if ended or stopping:
                    return 0 if stopping else 1
                app, due = spawn(lambda: os.execvpe(command[0], command, for_app())), time.monotonic() + min(FIRST, EVERY)
            elif pid == run:
                run, due = None, due if stopping else time.monotonic() + EVERY
        if code is None and due is not None and time.monotonic() >= due:
            if stopping:
                os.kill(-1, signal.SIGKILL)  # all but this process, which is the container's first
                due = None
            else:
                run, due = in_group(backup), None
    # After a crash the platform starts it again, on the same disk.
    if stopping:
        if run:
            os.waitpid(run, 0)
        os.waitpid(in_group(lambda: backup(last=True)), 0)
    return code


def reaped():
    """The processes that have ended, with their exit codes: as the first process it gets everybody's."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        code = os.waitstatus_to_exitcode(status)
        yield pid, code if code >= 0 else 128 - code


def for_app():
    return {name: value for name, value in os.environ.items() if not name.startswith("BACKUP_")}


# --- restic -----------------------------------------------------------------------------------------------------------------------


def restic(*arguments, seconds, prefix=AS_READER):
    """Runs restic for so many seconds at most, and for less when one request fails again and again; gives its exit code, its output and its errors."""
    import re
    import subprocess
    import tempfile

    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "AWS_ACCESS_KEY_ID": os.environ["BACKUP_KEY_ID"],
        "AWS_SECRET_ACCESS_KEY": os.environ["BACKUP_KEY"],
        "RESTIC_PASSWORD": os.environ["BACKUP_PASSWORD"],
        "RESTIC_REPOSITORY": REPOSITORY,
        "RESTIC_CACHE_DIR": CACHE,
        "RESTIC_PROGRESS_FPS": "0.01",
        "TMPDIR": CACHE,
        "HOME": CACHE,
        # 72 MB in the place of 131.
        "GOGC": "20",
        "GOMEMLIMIT": "48MiB",
        "GOMAXPROCS": "1",
    }
    if "SSL_CERT_FILE" in os.environ:
        environment["SSL_CERT_FILE"] = os.environ["SSL_CERT_FILE"]
    # restic itself goes on trying for up to 15 minutes, with a wrong key, too.
    command = ["timeout", "--foreground", "--kill-after=5", "--signal=INT", str(max(1, int(seconds)))]
    connections = 2 if arguments[0] == "prune" else 1  # it refuses fewer
    command += [*prefix, "ionice", "-c", "3", "restic", "--pack-size", "4", "-o", f"s3.connections={connections}", *arguments]
    errors, since = [], {}
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, errors="replace", cwd="/")
        for line in process.stderr:
            errors = [*errors, line][-MANY_LINES:]
            tried = re.match(r"(\w+\(<[^>]*>\)) returned error, retrying", line)
            if tried and time.monotonic() - since.setdefault(tried[1], time.monotonic()) > HOPE:
                process.send_signal(signal.SIGINT)
        code = process.wait()
        out.seek(0)
        return code, out.read(), "".join(errors)


# What an S3 server says, as restic prints it, and what that means for the settings.
REASONS = [
    (r"InvalidAccessKeyId|SignatureDoesNotMatch|access key id|signature we calculated", "the bucket doesn't know backupKeyId, or backupKey isn't its key"),
    (r"NoSuchBucket|bucket does not exist|bucket name", "there is no bucket of the name in backupRepository"),
    (r"RequestTimeTooSkewed|difference between the request time", "the clocks of this service and of the bucket differ by more than 15 minutes"),
    (r"no such host|connection refused|i/o timeout|network is unreachable|connection reset|connection closed|certificate", "the host in backupRepository can't be reached"),
    (r"no space left on device", "there is no room left"),
    (r"QuotaExceeded|EntityTooLarge|storage cap|InsufficientStorage", "the bucket is full, or its limit is reached"),
    (r"AccessDenied|Access Denied|Forbidden|403", "the bucket refuses it: backupKeyId must be allowed to list, read, write and delete there"),
    (r"SlowDown|ServiceUnavailable|503", "the bucket has too much to do"),
]


def why(code, errors):
    """Why restic failed, as the middle of a sentence."""
    import re

    if code == WRONG_PASSWORD:
        return "backupPassword isn't the password of these backups"
    if code == LOCKED:
        return "they are locked by another run, and the next one tries again"
    if code == NO_REPOSITORY:
        return "there are no backups in backupRepository, or no such bucket"
    for pattern, reason in REASONS:
        if re.search(pattern, errors, re.IGNORECASE):
            return reason
    # What it tried again says why; the last line only that it was ended.
    tried = re.findall(r"retrying after [^:]+: (.+)", errors)
    if code in (TIMED_OUT, INTERRUPTED) and not tried:
        return "the bucket doesn't answer in time"
    said = (tried or [line for line in errors.splitlines() if line.strip()] or ["it said nothing"])[-1][:200]
    for name in ("BACKUP_KEY_ID", "BACKUP_KEY", "BACKUP_PASSWORD"):
        said = said.replace(os.environ[name], "…")
    return f"{'it took too long' if code in (TIMED_OUT, INTERRUPTED) else f'restic ended with {code}'} ({said})"


def snapshots(seconds):
    """All backups that there are, oldest first; None where there is no repository. Raises Problem for every other answer."""
    import json

    code, out, errors = restic("snapshots", "--no-lock", "--json", seconds=seconds)
    if code == NO_REPOSITORY:
        return None
    if code:
        raise Problem(f"The backups can't be read: {why(code, errors)}.")
    return sorted(json.loads(out), key=lambda found: found["time"])


def refuse_others(known):
    """Raises Problem if backups are known to be there, and there are none, or those of another repository."""
    import json

    if not EXPECTS:
        return
    code, out, errors = restic("cat", "config", "--no-lock", seconds=LOOK) if known else (NO_REPOSITORY, "", "")
    if code not in (0, NO_REPOSITORY):
        raise Problem(f"The backups can't be read: {why(code, errors)}.")
    if code or json.loads(out)["id"] != EXPECTS:
        raise Problem(
            f"backupRepository has {'no backups, or there is no such bucket' if code else 'other backups than before'}: nothing is begun in the place of those of before. "
            "Correct backupRepository, or, to go on without them, run `pulumi config rm backupRepositoryIds` (or take it out of ESC), then `pulumi up`."
        )


def disk_of(snapshot):
    """The id of the disk that a backup is of."""
    return next((tag.removeprefix("disk-") for tag in snapshot.get("tags") or [] if tag.startswith("disk-")), "")


def seconds_of(snapshot):
    from datetime import datetime

    return datetime.fromisoformat(snapshot["time"]).timestamp()


# --- The disk's own file ----------------------------------------------------------------------------------------------------------


def is_ours(path):
    """Whether a file is there and root's: what the app has put under this name doesn't count."""
    import stat

    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == 0


def write(path, text, mode=0o600):
    """Writes a file of root's, whole or not at all, in the place of whatever is there."""
    new = f"{path}.new"
    remove(new)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with open(file, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    os.rename(new, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def state():
    import json

    with open(ID) as file:
        return json.load(file)


def save(**fields):
    import json

    write(ID, json.dumps(fields))


def new_id():
    import uuid

    return uuid.uuid4().hex


# --- A backup ---------------------------------------------------------------------------------------------------------------------


def prepare():
    """Makes the folders, and tells the kernel to end this before the app when memory runs out."""
    for path, owner, mode in ((HOME, 0, 0o711), (CACHE, RESTIC_UID, 0o700), (BLOCKS, UID, 0o700)):
        os.makedirs(path, exist_ok=True)
        os.chown(path, owner, owner)
        os.chmod(path, mode)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def only_one():
    """Waits for a run that goes on. The lock ends with the process."""
    import fcntl

    lock = os.open(f"{HOME}/lock", os.O_WRONLY | os.O_CREAT, 0o600)
    os.set_inheritable(lock, False)
    fcntl.flock(lock, fcntl.LOCK_EX)


def backup(last=False):
    """Makes a backup; gives 0. `last`: the app has ended, and the container is about to."""
    begin = time.monotonic()

    def left(seconds):
        return min(seconds, begin + LAST - time.monotonic()) if last else seconds

    prepare()
    only_one()
    if not last:
        os.nice(10)
        wait_for_quiet()
    disk = state()
    known = snapshots(left(LOOK))
    if not known:
        refuse_others(known)
    if known is None:
        if disk.get("repository") == REPOSITORY:
            raise Problem("The backups are gone from backupRepository, or its bucket is. Look what has happened there; to begin anew, name another folder in it.")
        code, _, errors = restic("init", seconds=left(LOOK))
        if code:
            raise Problem(f"The first backup can't be begun: {why(code, errors)}.")
        known = []
    if known and disk_of(known[-1]) not in (disk["id"], disk.get("from")):
        raise Problem(
            "Backups have stopped: the newest one is of another disk, so two services write to one place. Stop the other one, or, "
            "if this one is to go on, run `backup adopt` in its shell."
        )
    staged = as_app("stage", left(STAGE))
    unlock(left(LOOK))
    write(f"{HOME}/exclude", "".join(f"{pattern}\n" for pattern in patterns_of(staged)), 0o644)
    code, out, errors = restic(
        *("backup", "--json", "--host", "service", "--tag", f"disk-{disk['id']}", "--group-by", "tags", "--read-concurrency", "1"),
        *("--exclude-file", "/etc/backup/exclude", "--exclude-file", f"{HOME}/exclude", "--exclude-larger-than", str(MAX_BYTES), DISK, BLOCKS),
        seconds=left(UPLOAD),
    )
    if code not in (0, INCOMPLETE):
        raise Problem(f"No backup was made: {why(code, errors)}.")
    if code == INCOMPLETE:
        log(f"Some files could not be read, and are not in this backup: {printable(', '.join(unread(errors)))}.")
    told(out, begin)
    count = len(known) + 1
    missing = disk.get("repository") == REPOSITORY and len(known) < disk.get("count", 0)
    disk = {**disk, "from": None, "repository": REPOSITORY, "count": count}
    try:
        save(**disk)
    except OSError as error:
        log(f"It can't be noted on the disk ({error.strerror}), and no old backup is removed: make room there, or grow it.")
        return 0
    if missing:
        log("There are fewer backups than before, so none is removed this time. Look into the bucket if this comes again.")
    elif not last:
        thin(disk)
    return 0


def patterns_of(staged):
    """Patterns of what isn't in a backup besides what stands in the image: databases that are copied, what is too large, and what is its own."""
    copied = [f"{DISK}/{name}{end}" for name in staged["copied"] for end in ("", "-wal", "-shm", "-journal")]
    return [as_pattern(path) for path in [*copied, *staged["left_out"]]] + [f"{DISK}/{name}" for name in sorted(OWN)]


def unread(errors):
    """The paths that restic could not read, by what it says of each as JSON."""
    import json

    for line in errors.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("message_type") == "error":
            yield str(said.get("item"))


def told(out, begin):
    import json

    summary = next((found for line in reversed(out.splitlines()) if (found := json.loads(line)).get("message_type") == "summary"), {})
    size, new = (summary.get(name, 0) / 1e6 for name in ("total_bytes_processed", "data_added_packed"))
    log(f"A backup was made: {size:.1f} MB, of them {new:.1f} MB new, in {time.monotonic() - begin:.0f} s.")


def unlock(seconds):
    """Removes the locks of runs that were killed: at the first run of a container all, for nobody else writes there; then its own."""
    mark = f"{HOME}/unlocked"
    code, _, errors = restic("unlock", *([] if os.path.exists(mark) else ["--remove-all"]), seconds=seconds)
    if code:
        log(f"Old locks can't be removed: {why(code, errors)}.")
    else:
        write(mark, "")


def thin(disk):
    """Removes backups by age, and once a day what only they had. Not within a day of a restore, which may have been of the wrong one."""
    if time.time() - (disk.get("restored") or 0) < DAY:
        return
    code, out, errors = restic("forget", "--json", "--group-by", "tags", "--keep-within", "1d", "--keep-daily", "14", "--keep-monthly", "6", seconds=THIN)
    if not code:
        disk = {**disk, "count": len(snapshots(LOOK) or [])}
        disk.setdefault("pruned", time.time())
        if time.time() - disk["pruned"] > DAY:
            code, out, errors = restic("prune", "--max-unused", "20%", "--max-repack-size", "50M", seconds=THIN)
            disk["pruned"] = time.time()
        save(**disk)
    if code:
        log(f"Old backups can't be removed: {why(code, errors)}. New ones are made.")


def wait_for_quiet():
    """Waits while the app needs its memory itself. Where the kernel doesn't say how much it has, nothing is waited for."""
    begin, waits = time.monotonic(), False
    while (busy := memory_used() > BUSY) and time.monotonic() - begin < PATIENCE:
        if not waits:
            log(f"This backup waits, for the app needs its memory itself; after {PATIENCE // 60} minutes it begins all the same.")
        waits = True
        time.sleep(5)
    if waits:
        log(f"It begins after {time.monotonic() - begin:.0f} s{', though the app still needs its memory' if busy else ''}.")


def memory_used():
    """The share of the container's memory that is in use, without what the kernel only caches: of cgroup v2, or v1."""
    for limit, stat, name in (("memory.max", "memory.stat", "anon "), ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss ")):
        try:
            with open(f"/sys/fs/cgroup/{limit}") as has, open(f"/sys/fs/cgroup/{stat}") as used:
                return next(int(line.split()[1]) for line in used if line.startswith(name)) / int(has.read())
        except (OSError, ValueError, StopIteration):
            continue
    return 0.0


def as_pattern(path):
    """A line of an exclude file that means this path: it has patterns, variables and comments, and is cut into lines and trimmed."""
    import re

    return re.sub(r"[\s*?\[\]\\$!#]", "?", path)


def as_app(what, seconds):
    """Runs a part of this program as the app's user, without the credentials; gives what it says. It is the app's word."""
    import json
    import subprocess

    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **{name: os.environ[name] for name in ("BACKUP_DISK", "BACKUP_UID", "BACKUP_DATABASES")}}
    try:
        done = subprocess.run(
            # Beneath the filter of all that user's processes: one without it would be a way out for the others (confined.py).
            ["confined", str(UID), sys.executable, "-IS", os.path.realpath(__file__), "--as-app", what],
            **{"env": environment, "cwd": "/", "timeout": max(1, seconds)},
            **{"stdout": subprocess.PIPE, "stdin": subprocess.DEVNULL},
        )
        said = json.loads(done.stdout)
        for problem in said["problems"][:20]:
            log(printable(problem))
        failed = said["failed"]
        said = {name: [str(path) for path in said[name]] for name in ("copied", "left_out")}
    except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        raise Problem(f"The databases can't be copied ({type(error).__name__}).") from error
    if failed:
        raise Problem(printable(failed))
    return said


def printable(text):
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:500]


# --- As the app's user: databases to blocks and back --------------------------------------------------------------------------------


def nothing():
    return {"copied": [], "left_out": [], "problems": [], "failed": None}


def staged():
    said = nothing()
    for name in DATABASES:
        reason = None
        try:
            found = os.lstat(f"{DISK}/{name}")
            copy_and_cut(name, found)
            said["copied"].append(name)
            continue
        except FileNotFoundError:
            reason = "it isn't there"
        except (Problem, OSError, database_error()) as error:
            reason = str(error)
            said["problems"].append(f"{name} can't be copied as a database, and is kept as it lies there: {reason}.")
        remove(f"{BLOCKS}/{name}")
        if name == DATABASES[0]:
            said["failed"] = f"No backup was made, for {name} can't be copied: {reason}."
            return said
    look_for_large(said)
    return said


def database_error():
    import sqlite3

    return sqlite3.Error


def copy_and_cut(name, found):
    """Copies a database as it is at one moment, while the app writes, and cuts the copy into blocks."""
    import shutil
    import sqlite3
    import stat

    if not stat.S_ISREG(found.st_mode):
        raise Problem("it isn't a file")
    if shutil.disk_usage(BLOCKS).free < 2 * found.st_size:
        raise Problem("the container has no room for a copy")
    copy = f"{BLOCKS}/.copy"
    remove(copy)
    try:
        # Only reading: what closes last would otherwise write the log into the database, with a SQLite that isn't the app's.
        source = sqlite3.connect(f"file:{DISK}/{name}?mode=ro", uri=True, timeout=30)
        target = sqlite3.connect(copy)
        target.execute("PRAGMA synchronous=OFF")
        # In one step: in several it begins anew at each write of the app.
        source.backup(target)
        target.close()
        source.close()
        cut(copy, f"{BLOCKS}/{name}")
    finally:
        remove(copy)


def cut(path, folder):
    """Cuts a file into folder/000000/000 and so on. A block that is the same stays, with its time, so that restic doesn't read it again."""
    import hashlib

    total, size, number = hashlib.sha256(), 0, 0
    if not os.path.isdir(folder) or os.path.islink(folder):
        remove(folder)
    os.makedirs(folder, exist_ok=True)
    remove(f"{folder}/sum")
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
            size += len(block)
            place = block_path(folder, number)
            if number % 256 == 0:
                os.makedirs(os.path.dirname(place), exist_ok=True)
            if not holds(place, block):
                with open(place, "wb") as out:
                    out.write(block)
            number += 1
    # A database that has become smaller: its end would be joined to the new one.
    for name in os.listdir(folder):
        if int(name) > (number - 1) // 256:
            remove(f"{folder}/{name}")
    for name in os.listdir(f"{folder}/{(number - 1) // 256:06}"):
        if int(name) > (number - 1) % 256:
            remove(f"{folder}/{(number - 1) // 256:06}/{name}")
    with open(f"{folder}/sum", "w") as out:
        out.write(f"{size} {total.hexdigest()}\n")


def block_path(folder, number):
    return f"{folder}/{number // 256:06}/{number % 256:03}"


def holds(path, block):
    try:
        with open(path, "rb") as file:
            return file.read(BLOCK + 1) == block
    except OSError:
        return False


def look_for_large(said):
    """Notes the files and folders that are left out for their size, so that it is said."""
    with open("/etc/backup/exclude") as file:
        known = {line.strip() for line in file}
    folders = [DISK]
    while folders:
        folder = folders.pop()
        below = []
        try:
            with os.scandir(folder) as entries:
                for count, entry in enumerate(entries):
                    if count >= MAX_ENTRIES:
                        below = []
                        leave_out(said, folder, f"the folder {folder!r} has more than {MAX_ENTRIES} entries")
                        break
                    if entry.path in known:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.path)
                    elif entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size > MAX_BYTES:
                        if entry.path.removeprefix(f"{DISK}/") not in said["copied"]:
                            leave_out(said, entry.path, f"the file {entry.path!r} is larger than {MAX_BYTES // 1_000_000} MB")
        except OSError:
            continue  # gone meanwhile, or root's
        folders += below


def leave_out(said, path, reason):
    said["left_out"].append(path)
    said["problems"].append(f"Not in the backup: {reason}.")


def joined():
    """Puts the databases of a restore together, where they belong; what doesn't fit its sum fails."""
    import hashlib

    said = nothing()
    for name in DATABASES:
        folder = f"{PART}{BLOCKS}/{name}"
        if not os.path.exists(f"{folder}/sum"):
            continue
        with open(f"{folder}/sum") as file:
            size, expected = file.read().split()
        target = f"{PART}{DISK}/{name}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        total, length, number = hashlib.sha256(), 0, 0
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as out:
            while os.path.exists(place := block_path(folder, number)):
                with open(place, "rb") as file:
                    block = file.read(BLOCK)
                os.unlink(place)  # the disk may not have room for both
                total.update(block)
                length += len(block)
                out.write(block)
                number += 1
        if (str(length), total.hexdigest()) != (size, expected):
            said["failed"] = f"The backup can't be brought back: {name} doesn't come out of it as it went in. Another try begins anew."
        said["copied"].append(name)
    return said


def remove(path):
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


# --- The restore ------------------------------------------------------------------------------------------------------------------


def restore():
    """Brings the disk back if it is empty; gives 0. Raises Problem, and the app doesn't start then."""
    prepare()
    only_one()
    try:
        if is_ours(ID):
            remove(RESTORING)
            return go_back()
        if is_ours(RESTORING):
            log("A restore was cut off before the app had run: it begins anew.")
            clear()
        elif set(os.listdir(DISK)) - NOTHING:
            remove(ID)
            save(id=new_id())
            return 0
        known = snapshots(LOOK)
        refuse_others(known)
        if known:
            bring_back(known[-1])
        else:
            save(id=new_id())
        return 0
    except OSError as error:
        raise Problem(f"The disk at {DISK} can't be used: {error.strerror}. Attach it read-write, or grow it.") from error


def clear():
    for name in set(os.listdir(DISK)) - {"lost+found", os.path.basename(RESTORING)}:
        remove(f"{DISK}/{name}")


def download(snapshot):
    """Brings a backup into .part, with its databases put together."""
    remove(PART)
    # As root, to give each file back to its owner; where the app can't go, for it may run, and put a link in root's way.
    os.mkdir(PART, 0o700)
    code, _, errors = restic("restore", snapshot["id"], "--no-lock", "--target", PART, seconds=RESTORE, prefix=[])
    if code:
        raise Problem(f"The backup can't be brought back: {why(code, errors)}. Another try begins anew.")
    joined_beside()


def joined_beside():
    os.chmod(PART, 0o711)
    as_app("join", RESTORE)
    os.chmod(PART, 0o700)


def bring_back(snapshot):
    begin = time.monotonic()
    log(f"The disk is empty: bringing back the backup of {snapshot['time'][:16].replace('T', ' ')} UTC.")
    write(RESTORING, "")
    download(snapshot)
    for name in set(os.listdir(f"{PART}{DISK}")) - OWN:
        os.rename(f"{PART}{DISK}/{name}", f"{DISK}/{name}")
    remove(PART)
    at = seconds_of(snapshot)
    write(RESTORED, f"{at:.0f}\n", 0o644)
    os.sync()
    save(**{"id": new_id(), "from": disk_of(snapshot), "restored": time.time()})
    remove(RESTORING)
    log(f"The disk is as it was {(time.time() - at) / 60:.0f} minutes ago; that took {time.monotonic() - begin:.0f} s.")


def adopt():
    prepare()
    known = snapshots(LOOK)
    if not known:
        raise Problem("There are no backups to go on with.")
    save(**{**state(), "from": disk_of(known[-1])})
    log("The next backup goes on with those that are there.")
    return 0


# --- To a laptop --------------------------------------------------------------------------------------------------------------------


def pulled():
    """Prints the disk and the blocks of its databases as a tar archive. The reader's end notices one that is cut off: gzip has a sum."""
    import subprocess

    prepare()
    only_one()
    os.nice(10)
    wait_for_quiet()
    staged = as_app("stage", STAGE)
    with open("/etc/backup/exclude") as file:
        known = [line for line in file.read().splitlines() if line and not line.startswith("#")]
    write(f"{HOME}/exclude", "".join(f"{pattern}\n" for pattern in [*known, *patterns_of(staged)]), 0o644)
    # Names as restic takes them: a * matches no slash, and a name alone matches anywhere.
    tar = ["tar", "--create", "--use-compress-program=gzip -1", "--format=pax", "--absolute-names", "--numeric-owner", "--no-wildcards-match-slash", f"--exclude-from={HOME}/exclude"]
    done = subprocess.run(
        ["timeout", "--foreground", str(RESTORE), *AS_READER, *tar, DISK, BLOCKS],
        **{"env": {"PATH": "/usr/local/bin:/usr/bin:/bin"}, "cwd": "/", "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True},
    )
    if done.returncode not in (0, 1):  # 1: a file has changed meanwhile, as files may
        raise Problem(f"The disk can't be read: tar ended with {done.returncode} ({printable(done.stderr.strip().splitlines()[-1:])}).")
    return 0


def opened():
    import subprocess

    prepare()
    only_one()
    os.nice(10)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", **{name: os.environ[name] for name in ("BACKUP_DISK", "BACKUP_UID", "BACKUP_DATABASES")}}
    return subprocess.run(["confined", str(UID), sys.executable, "-IS", os.path.realpath(__file__), "--as-app", "open"], env=environment, cwd="/").returncode


def in_open_formats():
    """As the app's user: prints the archive of `backup open`."""
    import tarfile

    archive = tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz", format=tarfile.PAX_FORMAT)
    taken = set()
    if DATABASES[0] == "webui.db":
        add_page(archive, taken)
    else:
        for top in ("SOUL.md", "memories", "skills", "cron/jobs.json"):
            add_files(archive, taken, f"{DISK}/{top}", top)
    archive.close()


def add_files(archive, taken, path, name):
    """Adds a file, or all of a folder; links and whatever else isn't a file stay away."""
    import stat

    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        for each in sorted(os.listdir(path)):
            add_files(archive, taken, f"{path}/{each}", f"{name}/{each}")
    elif stat.S_ISREG(found.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            add(archive, taken, name, file)


def add(archive, taken, name, file):
    """Adds an open file under a name that every laptop takes, and that no other has there."""
    import re
    import tarfile

    parts = [re.sub(r'[<>:"\\|?*\x00-\x1f\x7f]', "_", part).rstrip(". ")[:120] or "_" for part in name.split("/")]
    stem, dot, end = parts[-1].rpartition(".")
    unique, number = "/".join(parts), 2
    while unique.casefold() in taken:  # capitals alone tell no names apart on a Mac
        unique = "/".join([*parts[:-1], f"{stem or end} ({number}){dot + end if stem else ''}"])
        number += 1
    taken.add(unique.casefold())
    entry = tarfile.TarInfo(unique)
    found = os.fstat(file.fileno())
    entry.size, entry.mtime, entry.mode = found.st_size, found.st_mtime, 0o600
    archive.addfile(entry, file)


def add_page(archive, taken):
    """Open WebUI's chats, a file for each account as its own export has them (ChatResponse of 0.12.4), and the uploads under their names."""
    import json
    import sqlite3
    import tempfile

    copy = f"{BLOCKS}/.copy"
    remove(copy)
    try:
        source, rows = sqlite3.connect(f"file:{DISK}/webui.db?mode=ro", uri=True, timeout=30), sqlite3.connect(copy)
        source.backup(rows)
        source.close()
        accounts = dict(rows.execute('SELECT id, email FROM "user"'))
        plain, as_json = ["id", "user_id", "title", "updated_at", "created_at", "share_id", "folder_id", "summary", "current_message_id"], ["chat", "meta", "variables", "tasks"]
        columns = [*plain, *as_json, "archived", "pinned"]
        for account, email in accounts.items():
            with tempfile.TemporaryFile(dir=BLOCKS) as file:
                chats = rows.execute(f"SELECT {', '.join(columns)} FROM chat WHERE user_id = ? ORDER BY updated_at DESC, id", [account])
                for count, row in enumerate(chats):
                    chat = dict(zip(columns, row))
                    chat |= {name: json.loads(chat[name]) if chat[name] else ({} if name in ("meta", "variables") else None) for name in as_json}
                    chat |= {name: bool(chat[name]) for name in ("archived", "pinned")}
                    file.write((b",\n" if count else b"[") + json.dumps({**chat, "context_usage": None}, ensure_ascii=False).encode())
                file.write(b"]\n" if file.tell() else b"[]\n")
                file.seek(0)
                add(archive, taken, f"chats/{email.replace('/', '_')}.json", file)
        for account, name, path in rows.execute("SELECT user_id, filename, path FROM file"):
            email = accounts.get(account, "unknown")
            try:
                with open(os.open(f"{DISK}/uploads/{os.path.basename(path or '')}", os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
                    add(archive, taken, f"uploads/{email.replace('/', '_')}/{name.replace('/', '_')}", file)
            except OSError as error:
                log(f"An upload isn't in it: {printable(name)} ({error.strerror}).")
        rows.close()
    finally:
        remove(copy)


# --- Going back to an older backup --------------------------------------------------------------------------------------------------


def going_back():
    """What is fetched, and how far it is: `wait` for the word, `go`, then `out` and `in`, while the next start moves; or None."""
    import json

    if not is_ours(BACK):
        return None
    with open(BACK) as file:
        return json.load(file)


def the_backup(known, wanted):
    found = next((each for each in known or [] if each["id"] == wanted), None)
    if not found:
        raise Problem("There is no such backup any more: choose another one.")
    return found


def listed():
    import json

    prepare()
    found = (snapshots(LOOK) if REPOSITORY else None) or []
    known = [{"id": each["id"], "at": seconds_of(each), "bytes": size_of(each)} for each in found]
    moment = state().get("moment") if is_ours(ID) else None
    print(json.dumps({"backups": known, "back": going_back(), "moment": moment, "before": os.path.isdir(BEFORE)}))
    return 0


def compared(wanted):
    """Counts what goes, comes back and changes with it, by the first name of its path; of a database only that it changes."""
    import json

    prepare()
    known = snapshots(LOOK)
    code, out, errors = restic("diff", "--no-lock", "--json", the_backup(known, wanted)["id"], known[-1]["id"], seconds=STAGE)
    if code:
        raise Problem(f"The backups can't be compared: {why(code, errors)}.")
    counts = {}
    for line in out.splitlines():
        change = json.loads(line)
        path = change.get("path", "/")
        if change.get("message_type") != "change" or path.endswith("/"):
            continue
        name = next((each for each in DATABASES if path.startswith(f"{BLOCKS}/{each}/")), None)
        count = counts.setdefault(name or path.removeprefix(f"{DISK}/").split("/")[0], {"goes": 0, "returns": 0, "changes": 0})
        kind = "changes" if name else {"+": "goes", "-": "returns"}.get(change["modifier"], "changes")
        count[kind] = 1 if name else count[kind] + 1
    print(json.dumps(counts))
    return 0


def size_of(snapshot):
    return (snapshot.get("summary") or {}).get("total_bytes_processed", 0)


def fetch(wanted, moment):
    """Fetches a backup while the app runs. Raises Problem when it can't be had whole; nothing is left of it then."""
    prepare()
    only_one()
    snapshot = the_backup(snapshots(LOOK), wanted)
    bring_beside(lambda: download(snapshot), size_of(snapshot), {"at": seconds_of(snapshot), "moment": moment})
    return 0


def take(size, moment):
    """The same, from an archive that comes as the input."""
    prepare()
    only_one()
    bring_beside(unpack, int(size), {"at": float(moment.split("-")[0]), "moment": moment})
    return 0


def unpack():
    import subprocess

    os.mkdir(PART, 0o700)
    command = ["timeout", "--foreground", str(RESTORE), "tar", "--extract", "--gunzip", "--numeric-owner", "--directory", PART]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Problem(f"What came isn't whole, or can't be unpacked ({printable(done.stderr.strip().splitlines()[-1:])}).")
    joined_beside()


def bring_beside(bring, size, what):
    import shutil

    back = going_back()
    if back and back["step"] != "wait":
        raise Problem("An older backup is being gone back to already: the service's next start ends that.")
    remove(BACK)
    remove(PART)
    needs, free = size + ROOM, shutil.disk_usage(DISK).free
    if free < needs:
        raise Problem(
            f"The disk has {free >> 20} MB free, and {needs >> 20} are needed, for what is there stays: grow the disk"
            + (", or remove .before, what was there before you went back the last time." if os.path.isdir(BEFORE) else ".")
        )
    os.nice(10)
    try:
        bring()
    except Problem:
        remove(PART)
        raise
    os.sync()
    note_step(what, "wait")


def note_step(back, step):
    import json

    write(BACK, json.dumps({**back, "step": step}))


def agree(moment):
    prepare()
    only_one()
    back = going_back()
    if not back or back["moment"] != moment:
        raise Problem("What was fetched isn't there any more: somebody else goes back, too.")
    if back["step"] == "wait":
        note_step(back, "go")
    return 0


def drop(moment):
    prepare()
    only_one()
    back = going_back()
    if back and back["moment"] != moment:
        return 0  # somebody else's
    if back and back["step"] != "wait":
        raise Problem("It is too late: the service's next start goes back.")
    remove(BACK)
    remove(PART)
    return 0


def go_back():
    """At a start, before the app: by renames alone; gives 0. One that is cut off goes on at the next start, for each step can be done twice."""
    back = going_back()
    if not back:
        remove(PART)  # of a fetch that was cut off
    if not back or back["step"] == "wait":
        return 0
    top = f"{PART}{DISK}"
    stays = OWN | {name for name in STAYS if os.path.lexists(f"{DISK}/{name}")}
    if back["step"] == "go":
        remove(BEFORE)
        os.mkdir(BEFORE, 0o700)
        note_step(back, "out")
    if back["step"] in ("go", "out"):
        for name in set(os.listdir(DISK)) - stays:
            os.rename(f"{DISK}/{name}", f"{BEFORE}/{name}")
        os.sync()
        note_step(back, "in")
    for name in set(os.listdir(top)) - stays if os.path.isdir(top) else ():
        os.rename(f"{top}/{name}", f"{DISK}/{name}")
    remove(PART)
    write(RESTORED, f"{back['at']:.0f}\n", 0o644)
    os.sync()
    save(**{**(state() if is_ours(ID) else {"id": new_id()}), "restored": time.time(), "moment": back["moment"]})
    remove(BACK)
    log(f"The disk is as it was {(time.time() - back['at']) / 60:.0f} minutes ago. What was there before lies in {BEFORE}.")
    return 0


def main(arguments):
    if arguments[:1] == ["--as-app"]:
        import json

        os.umask(0o077)
        if arguments[1] == "open":
            in_open_formats()
            return 0
        print(json.dumps(staged() if arguments[1] == "stage" else joined()))
        return 0
    # With the number of their arguments.
    commands = {
        **{"now": (backup, 0), "adopt": (adopt, 0), "list": (listed, 0), "compare": (compared, 1)},
        **{"fetch": (fetch, 2), "take": (take, 2), "back": (agree, 1), "drop": (drop, 1), "pull": (pulled, 0), "open": (opened, 0)},
    }
    name, *rest = arguments or [""]
    if name in commands and len(rest) == commands[name][1]:
        if not REPOSITORY and name in ("now", "adopt", "compare", "fetch"):
            log("There are no backups: set backupRepository.")
            return 1

        def run():
            code = commands[name][0](*rest)
            sys.stdout.flush()  # its end drops what isn't written
            return code

        pid = spawn(run)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # Without a disk, or as another user, the command itself says what is wrong.
    if not REPOSITORY or os.getuid() != 0 or not os.path.ismount(DISK):
        if os.getuid() == 0 and os.path.ismount(DISK) and is_ours(BACK) and os.waitstatus_to_exitcode(os.waitpid(spawn(go_back), 0)[1]):
            return 1
        os.execvpe(arguments[0], arguments, for_app())
    return keep(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
