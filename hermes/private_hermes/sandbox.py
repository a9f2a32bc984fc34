"""Runs the agent's commands, files and code in Modal: a sandbox for each person, whose files are never lost.

Hermes 0.19.0 has a Modal environment of its own. With it no file is written, one Stop ends everybody's sandbox, a dead one is never
noticed, and a billing error throws the saved files away. So this is another one, on Hermes' base class (tools/environments/base.py).
Of this, Hermes 0.22 has fixed the writing of files alone; it has a place where an environment like this one is registered
(`register_terminal_environment_provider`).

people.py decides whose sandbox a command belongs to. All of a person's chats and jobs share one (PersonSandbox); the folder, what
was exported and an activated environment are each chat's own (ChatEnvironment).

When: a sandbox is made for the first command and not before. It is saved within the first minute and every few minutes while it is
used, and saved and ended when it was idle, and when the gateway stops. One that a killed gateway left behind, or that couldn't be saved
before the platform's minute was over, is saved and ended at the next start. Two saves are kept for each person, in the order of
sandboxes.json on the disk. A save that Modal doesn't find stays in that list until two newer ones have taken its place.

How: a command is a script in the arguments of an exec, or at the head of its standard input where it is long. It runs under `timeout`
in a group of processes that can be ended by itself. What it writes comes back with its exit code as the last line, so that a command
costs two calls; what is too much is left out in the sandbox, before it costs memory here.

What goes in is the command, the files that the agent writes and those that the person gives (handover.py); what comes out is what a
command prints, and a file that an answer names (files.py). Hermes' ways to copy skills, caches and credentials in, and changes of skills
out (tools/environments/file_sync.py), have no part in it.
"""

import asyncio
import contextvars
import errno
import hashlib
import io
import itertools
import json
import logging
import os
import re
import shlex
import threading
import time
import uuid
from datetime import datetime

import hermes_time
import modal
import modal.exception
from hermes_constants import get_hermes_home
from modal._utils.async_utils import synchronizer
from modal.experimental import image_delete
from modal.stream_type import StreamType
from tools import terminal_tool
from tools.environments import modal as hermes_modal
from tools.environments.base import BaseEnvironment, _ThreadedProcessHandle
from tools.interrupt import is_interrupted
from tools.process_registry import process_registry
from tools.registry import registry

from . import replaces
from .people import is_owner, person_of_task
from .registering import change_tool

logger = logging.getLogger(__name__)

HOME = "/root"
# In the sandbox: what was exported, and a file or two for each command that runs.
FOLDER = "/tmp/.hermes"
# The processes of a command have this in their environment, wherever they go: by it they are found again.
MARK = "HERMES_COMMAND"
# What the setting sandboxSecrets gives to sandboxes: by the name of the variable whether it is everybody's, and the value.
SECRETS = {}
for entry in filter(None, os.environ.get("SANDBOX_SECRETS", "").split(",")):
    who, name, value = re.fullmatch("(everybody:)?([A-Z0-9_]+)=(.+)", entry).groups()
    SECRETS[name] = (bool(who), value)
# Variables that aren't kept from one command to the next.
NOT_KEPT = [MARK]
# Bytes of a command's output that are kept at its beginning and at its end. For the tools for files all of a file has to be here;
KEPT = (4 << 20, 4 << 20)
# of what the model reads Hermes itself keeps 50,000 (tool_output_limits.py, MAX_STDOUT_BYTES in code_execution_tool.py), and with
# a little less it is the sentence of this file that the model finds in the middle;
KEPT_OF_COMMAND = (20_000, 29_000)
# and of a process in the background, asked for every two seconds, 200,000 (MAX_OUTPUT_CHARS in process_registry.py).
KEPT_OF_BACKGROUND = (100_000, 200_000)
# and of the script of a job, which is paid for in each run that it wakes the model for.
KEPT_OF_SCRIPT = (6_000, 6_000)
# Bytes in all that Modal takes as arguments of an exec (ARG_MAX_BYTES in modal/sandbox.py), less those of the runner.
MAX_ARGUMENTS = (1 << 16) - 4096
# Bytes of standard input in one call (MAX_BUFFER_SIZE in modal/io_streams.py is twice that).
PIECE = 1 << 20

# All in seconds. Modal ends a sandbox by itself after so long without a command, if the gateway doesn't live to do it.
LEFT_ALONE = 900
FIRST_SAVE = 40
SAVE_EVERY = 300
SAVE_AGAIN = 60
# What Modal may take to save a disk. Its client's own limit of 55 s is too short for large ones.
SAVE = 600
# Between SIGTERM and SIGKILL the platform gives a minute (maxShutdownDelaySeconds in index.ts); some of it is for what comes after.
STOP_WITHIN = 52
# The longest life that Modal gives (modal.com/docs/guide/sandbox, "Timeouts"); a sandbox is exchanged before that.
LIFE = 24 * 3600
EXCHANGE = LIFE - 1800
# What Modal may take to start one. The first of all waits until its image is built.
START = 300
CALL = 60
# A process in the background is asked for every two seconds (_env_poller_loop in process_registry.py); after so long none runs.
POLLED = 60
# A time-out tells what was printed until then; it must come from the sandbox before it comes from here.
MARGIN = 15

# Ends all that a command has started and that still runs: by SIGTERM, and by SIGKILL what is there after three seconds.
END = rf"""
marked() {{ grep -lszxF "{MARK}=$1" /proc/[0-9]*/environ | cut -d/ -f3; }}
end() {{
  local left
  kill -TERM $(marked $1) 2>/dev/null
  for left in {{1..50}}; do
    [ "$(marked $1)" ] || return 0
    [ $left -le 30 ] || kill -KILL $(marked $1) 2>/dev/null
    sleep .1
  done
}}
"""
# Arguments: id, seconds, bytes to keep of the beginning and of the end, length of the script on standard input or "-", script, input.
# `tail` prints once its input ends, and a child of the command may hold that open for days: `cat` stands between, and is ended then.
# What comes later is read all the same, or it would end the child.
RUNNER = rf"""
id=$1 seconds=$2 head=$3 tail=$4 length=$5 script=$6 input=$7 at={FOLDER}/$1
{END}
mkdir -p -m 700 {FOLDER}
exec 3>&1 > >(
  exec 3>&-
  stdbuf -o0 head -c $head
  (echo $BASHPID >$at.relay; exec cat) | tail -c $((tail + 1))
  : >$at.told
  exec cat >/dev/null
) 2>/dev/null
printer=$!
[ -e {FOLDER}/env ] || {{ bash -lc 'unset {" ".join(SECRETS)}; export -p' >$at.env && mv $at.env {FOLDER}/env; }}
start() {{ export {MARK}=$id; exec 3>&- timeout --kill-after=5 $seconds bash "$@" 2>&1; }}
if [ "$length" = - ]; then
  (start -c "$script") < <(printf %s "$input")
else
  head -c "$length" >$at.sh
  (start $at.sh)
fi
code=$?
case $code in 124 | 137) [ $SECONDS -lt $seconds ] || end $id ;; esac
exec >&3
told() {{ [ -e $at.told ] || ! kill -0 $printer; }}
for pause in 0 .01 .03 .1 .5; do told && break; sleep $pause; done
told || kill $(cat $at.relay) && for pause in {{1..100}}; do told && break; sleep .01; done
rm -f $at.*
printf '\n%s %d\n' $id $code
"""
# A Stop may come before the command has begun.
STOP = END + "for _ in {1..20}; do [ \"$(marked $1)\" ] && break; sleep .1; done; end $1"

# Runs a script by itself; its errors are printed where it fails.
ALONE = 'exec 3>&1; errors=$(bash -c {script} 2>&1 >&3 3>&-); code=$?; [ $code = 0 ] || printf %s "$errors" | tail -c 1000; exit $code'

# Prints a file of {limit} bytes at most; the exit code tells why not. What a link leads to counts.
READ = """
file={file}
[ -e "$file" ] || exit 71
[ ! -d "$file" ] || exit 72
[ -f "$file" ] || exit 73
[ "$(stat -Lc %s -- "$file")" -le {limit} ] || exit 74
exec head -c $(({limit} + 1)) -- "$file" 2>/dev/null
"""
NOT_READ = {
    71: "there is no such file in the sandbox",
    72: "it is a folder; put it into an archive",
    73: "it is no regular file",
    74: "it is larger than {limit} MB",
}

# Whether the bytes of a command's output are a file that may be written back.
whole_file = contextvars.ContextVar("whole_file", default=False)
kept = contextvars.ContextVar("kept", default=KEPT)
# Whether a command is one of the terminal, which leaves its folder and what it exported for the next.
terminal = contextvars.ContextVar("terminal", default=False)
# What a process in the background is, for `execute`: the folder in which it begins, and the id of the command that starts it.
starting = contextvars.ContextVar("starting", default=None)
# What Modal's client raises while Modal is down or slow (_STATUS_TO_EXCEPTION in modal/_grpc_client.py). TimeoutError is an OSError.
OUT_OF_REACH = (modal.exception.ConnectionError, modal.exception.ServiceError, modal.exception.InternalError, OSError)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE)
CUT = "\n\n[… The middle of a long output was left out here. To read it, have the command write into a file. …]\n\n".encode()


class SandboxError(Exception):
    """A command didn't run, or not to its end; the text is for the model, who tells it the person."""


class Gone(Exception):
    """Modal doesn't have a saved disk any more."""


class Ended(Exception):
    """Modal has ended a sandbox; `began` tells whether the command had begun."""

    def __init__(self, began):
        self.began = began


def explained(error, kept=""):
    """What an error of Modal's client or of the disk means, as a sentence; `kept` tells what is saved."""
    if isinstance(error, SandboxError):
        return error
    said = (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, modal.exception.AuthError):
        text = f"Modal refuses this deployment's token (modalTokenId and modalTokenSecret), so no code runs. Its owner has to set a valid pair. {kept}"
    elif isinstance(error, (modal.exception.ResourceExhaustedError, modal.exception.PermissionDeniedError)):
        text = f"Modal refuses to run code now: “{said}”. Its owner finds the budget and the limits at modal.com/settings. {kept}"
    elif isinstance(error, OSError) and error.errno in FULL:
        text = f"The service hermes can't write to its disk ({error.strerror}). Its owner makes room, or raises hermesDiskGb. {kept}"
    elif isinstance(error, OUT_OF_REACH):
        text = f"Modal, where code runs, can't be reached now. {kept} Try again in a few minutes."
    else:
        text = f"Modal answers with an error: “{said or type(error).__name__}”. {kept}"
    return SandboxError(re.sub("  +", " ", text).strip())


def when(at):
    """A time as people say it, in the agent's zone."""
    zone = hermes_time.get_timezone()
    then, now = (datetime.fromtimestamp(seconds, zone) for seconds in (at, time.time()))
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%H:%M on %d %B}"


# --- Settings ------------------------------------------------------------------------------------------------------


def requested(name, default, kind):
    """What is requested of Modal and the limit, written as "request-limit"."""
    request, limit = os.environ.get(name, default).split("-")
    return kind(request), kind(limit)


def network():
    """SANDBOX_NETWORK as Modal's client takes it."""
    chosen = os.environ.get("SANDBOX_NETWORK", "open").strip()
    if chosen == "open":
        return {}
    if chosen == "none":
        return {"block_network": True}
    return {"cidr_allowlist": [cidr.strip() for cidr in chosen.split(",")]}


def packages():
    """SANDBOX_PACKAGES: the names of Debian's packages, and of Python's."""
    named = os.environ.get("SANDBOX_PACKAGES", "none").strip()
    names = [] if named == "none" else named.split(",")
    return [name.removeprefix("apt:") for name in names if name.startswith("apt:")], [name for name in names if not name.startswith("apt:")]


def with_packages(image):
    """An image with them, which Modal builds once and keeps. What it builds reaches the internet, whatever SANDBOX_NETWORK says."""
    debian, python = packages()
    commands = []
    if debian:
        commands.append(f"apt-get update && apt-get install -y --no-install-recommends {shlex.join(debian)} && rm -rf /var/lib/apt/lists/*")
    if python:
        commands.append(f"python -m pip install --no-cache-dir --root-user-action=ignore {shlex.join(python)}")
    return image.run_commands(*commands) if commands else image


def idle_seconds():
    return 60 * float(os.environ.get("SANDBOX_IDLE_MINUTES", "4"))


def background_minutes():
    return float(os.environ.get("SANDBOX_BACKGROUND_MINUTES", "120"))


def secrets_of(person):
    """The variables that a person's sandbox begins with: those of SANDBOX_SECRETS that are everybody's, and all of them for the owner."""
    return {name: value for name, (everybodys, value) in SECRETS.items() if everybodys or is_owner(person)}


# --- Modal's client, on a thread of its own ------------------------------------------------------------------------


class Client:
    def __init__(self):
        self._loop, self._app, self._lock = None, None, threading.Lock()

    def run(self, coroutine, seconds=CALL):
        """Runs a coroutine; raises what it raises, and TimeoutError after `seconds`."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, daemon=True, name="modal").start()
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise

    async def create(self, image, bare=False, secrets=None):
        """A sandbox of an image's id, or of the image of the configuration without one; a bare one has no packages. `secrets` are variables of it.

        One that begins after nobody waits for it any more is ended. Raises Gone when there is no such image.
        """
        making = asyncio.ensure_future(self._create(image, bare, secrets or {}))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(lambda made: made.exception() or asyncio.ensure_future(made.result().terminate.aio()))
            raise

    async def _create(self, image, bare, secrets):
        known = self._app
        try:
            try:
                made = await self._begin(image, bare, secrets)
            except (modal.exception.NotFoundError, modal.exception.ConflictError, modal.exception.InvalidError):
                # So may Modal answer once the app was stopped.
                if not known:
                    raise
                made = await self._begin(image, bare, secrets)
        except modal.exception.NotFoundError as error:
            raise (Gone(image) if image else error) from error
        try:
            # Until it runs, so that a slow start isn't on a command's time.
            await made._get_task_id.aio()
        except Exception:
            await made.terminate.aio()
            raise
        return made

    async def _begin(self, image, bare, secrets):
        if self._app is None:
            self._app = await modal.App.lookup.aio("hermes-agent", create_if_missing=True)
        if image:
            chosen = modal.Image.from_id(image)
        else:
            chosen = hermes_modal._resolve_modal_image(terminal_tool._get_env_config()["modal_image"])
            chosen = chosen if bare else with_packages(chosen)
        try:
            return await modal.Sandbox.create.aio(
                # A shell as the first process, because it takes up the ends of processes whose parents have gone. It outlives `pkill sleep`.
                "bash", "-c", "while :; do sleep infinity & wait; done",
                app=self._app, image=chosen, timeout=LIFE, idle_timeout=LEFT_ALONE,
                cpu=requested("SANDBOX_CPU", "0.25-2", float), memory=requested("SANDBOX_MEMORY_MB", "512-4096", int), **network(),
                # As what Modal calls a secret, and not as its `env`: neither stands on a disk that is saved.
                secrets=[modal.Secret.from_dict(secrets)] if secrets else [],
            )
        except modal.exception.Error:
            self._app = None
            raise


client = Client()


# --- What is saved, for each person --------------------------------------------------------------------------------


class Records:
    """sandboxes.json: for each person the ids of the saved disks, the newest first, and of the sandbox that runs."""

    def __init__(self):
        self._lock = threading.Lock()

    @property
    def path(self):
        return get_hermes_home() / "sandboxes.json"

    def all(self):
        """Raises SandboxError when the file can't be read: an empty one in its place would lose every disk."""
        try:
            return json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SandboxError(f"{self.path}, the list of saved sandboxes, can't be read ({error}). No code runs until its owner restores it.") from error

    def of(self, person):
        return self._filled(self.all().get(person, {}))

    def _filled(self, record):
        return {"saved": [], "running": None, "at": None, **record}

    def change(self, person, **more):
        """Raises SandboxError when the file can't be written."""
        with self._lock:
            everybody = self.all()
            everybody[person] = self._filled({**everybody.get(person, {}), **more})
            new = self.path.with_name("sandboxes.json.tmp")
            try:
                with new.open("w") as file:
                    json.dump(everybody, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                new.replace(self.path)
            except OSError as error:
                new.unlink(missing_ok=True)
                raise explained(error) from error


records = Records()


# --- A sandbox -----------------------------------------------------------------------------------------------------


class PersonSandbox:
    """The sandbox of a person, which is made anew beneath this object as often as needed."""

    def __init__(self, person):
        self.person = person
        self._sandbox = None
        # The variables that it was made with; None where a gateway before has made it.
        self._secrets = None
        # What the model should know of it: sentences.
        self._note = None
        # Held while a sandbox is made, saved or ended; `_state` for the fields alone.
        self._life, self._state = threading.Lock(), threading.Lock()
        self._commands = 0
        # When it was made, used, asked for a process in the background, saved, and when a save was tried.
        self._created = self._used = self._polled = self._saved = self._tried = 0.0
        # Saves that failed since the last good one, and why.
        self._failed, self._failure = 0, ""
        # Why the last one was ended, for the processes that ran in it.
        self._why = "The sandbox ended"

    # The life of the one beneath.

    @property
    def id(self):
        """Modal's id of the one that runs, or None."""
        sandbox = self._sandbox
        return sandbox and sandbox.object_id

    def _ready(self):
        """Whether one runs, is young enough and has the secrets of its person; that it still does shows when a command begins."""
        return self._sandbox is not None and time.time() - self._created < EXCHANGE and self._secrets in (None, secrets_of(self.person))

    def _ensure(self):
        """Starts one where none runs. Raises what Modal's client raises, and SandboxError."""
        if not self._ready():
            if stopping.is_set():
                raise SandboxError("The agent is about to restart. Try again in a minute.")
            with self._life:
                # Whoever waited for the lock finds one that somebody else has just made.
                if not self._ready():
                    self._rest()
                    if self._sandbox is None:
                        self._start()
                self._used = time.time()

    def _start(self):
        record = records.of(self.person)
        if record["running"]:
            if self._take_up(record["running"]):
                return
            self._tell_of_new(record)
        saved, bare, note, secrets = record["saved"], False, None, secrets_of(self.person)
        while True:
            try:
                made = client.run(client.create(saved[0] if saved else None, bare, secrets), START)
                break
            except modal.exception.RemoteError as error:
                # An image that can't be built; better code without packages than none.
                if saved or bare or not any(packages()):
                    raise
                logger.warning("the packages of SANDBOX_PACKAGES can't be installed: %s", error)
                bare = True
                note = "[The packages of this sandbox couldn't be installed, so it has Python alone. Its owner looks at the setting sandboxPackages, and at modal.com for the log of the build.]"
            except Gone:
                logger.warning("Modal doesn't have the saved disk %s of %s any more", saved[0], self.person)
                saved = saved[1:]
                note = "[Modal doesn't have the files any more that were saved last. " + (
                    "This sandbox has those of the save before.]" if saved else "This sandbox begins without files.]"
                )
        try:
            records.change(self.person, running=made.object_id)
        except SandboxError:
            # Nobody would find it again.
            self._end(made)
            raise
        if note:
            self._tell(note)
        self._created = self._saved = self._tried = time.time()
        self._sandbox, self._secrets = made, secrets

    def _take_up(self, id):
        """Takes up the sandbox that a killed gateway has left; tells whether it still runs."""
        try:
            found = client.run(modal.Sandbox.from_id.aio(id))
        except (modal.exception.NotFoundError, modal.exception.PermissionDeniedError):
            # The latter where the token is one of another workspace now.
            return False
        if found.returncode is not None:
            return False
        self._sandbox, self._created, self._secrets = found, time.time(), None
        return True

    def _tell(self, sentence):
        if sentence not in (self._note or ""):
            self._note = "\n".join(filter(None, [self._note, sentence]))

    def _tell_of_new(self, record):
        files = f"the files as they were at {when(record['at'])}" if record["at"] else "no files"
        self._tell(f"[The sandbox had ended. This is a new one, with {files}; what ran in the background is gone.]")

    def take_note(self):
        note, self._note = self._note, None
        return note

    def kept(self):
        """What is saved, as a sentence."""
        try:
            record = records.of(self.person)
        except SandboxError:
            return ""
        if record["at"]:
            return f"The sandbox's files are kept as they were at {when(record['at'])}."
        return "None of the sandbox's files is saved yet." if record["running"] else ""

    def explained(self, error):
        return explained(error, self.kept())

    def _forget(self, sandbox):
        """Takes up that Modal has ended the one beneath."""
        with self._state:
            if self._sandbox is not sandbox:
                return
            self._sandbox, self._why, self._failed = None, "The sandbox ended", 0
        logger.warning("Modal has ended the sandbox of %s", self.person)
        try:
            self._tell_of_new(records.of(self.person))
            records.change(self.person, running=None)
        except SandboxError as error:
            logger.warning("that the sandbox of %s has ended isn't recorded: %s", self.person, error)

    def _has_ended(self, sandbox):
        """Raises AuthError when it is the token that Modal refuses."""
        try:
            return client.run(sandbox.poll.aio()) is not None
        except modal.exception.NotFoundError:
            return True
        except modal.exception.AuthError:
            raise
        except Exception:
            return False

    def _end(self, sandbox):
        try:
            client.run(sandbox.terminate.aio())
        except Exception as error:
            logger.warning("the sandbox of %s can't be ended, Modal does so after %d s: %s", self.person, LEFT_ALONE, error)

    def _save(self, sandbox):
        """Saves the disk, and deletes the save before the last at Modal; tells whether it is saved.

        From the second failure on the person is told with the next command. Until a save succeeds Modal is kept from ending the
        sandbox for want of commands.
        """
        began = self._tried = time.time()
        try:
            image = client.run(sandbox.snapshot_filesystem.aio(SAVE), SAVE + MARGIN)
            try:
                saved = [image.object_id, *records.of(self.person)["saved"]]
                records.change(self.person, saved=saved[:2], at=began)
            except SandboxError:
                # Nobody would find it again.
                self._delete(image.object_id)
                raise
        except Exception as error:
            try:
                ended = self._has_ended(sandbox)
            except modal.exception.AuthError:
                ended = False
            if ended:
                self._forget(sandbox)
                return False
            self._failed, self._failure = self._failed + 1, str(explained(error))
            logger.warning("the sandbox of %s can't be saved: %s", self.person, error)
            if self._failed == 2:
                self._tell(
                    f"[The files of this sandbox can't be saved now. {self.kept()} If it ends before they can be, what came after that is lost: "
                    f"tell the person, who may have files sent that matter. The reason: {self._failure}]"
                )
            try:
                client.run(sandbox.exec.aio("true", stdout=StreamType.DEVNULL, stderr=StreamType.DEVNULL))
            except Exception:
                logger.debug("the sandbox of %s can't be asked", self.person)
            return False
        self._saved, self._failed = began, 0
        for superseded in saved[2:]:
            self._delete(superseded)
        return True

    def _delete(self, image):
        try:
            client.run(image_delete.aio(image))
        except Exception as error:
            logger.warning("Modal keeps the disk %s of %s: %s", image, self.person, error)

    def rest(self, at_once=False):
        """Saves the disk and ends the sandbox, unless a command uses it meanwhile; with `at_once` even then.

        One that can't be saved runs on: the next try is a later one's, and in the end Modal's.
        """
        with self._life:
            return self._rest(at_once)

    def _rest(self, at_once=False):
        with self._state:
            sandbox, began = self._sandbox, time.time()
            if sandbox is None or (self._commands and not at_once):
                return
            if at_once:
                # What begins now would be lost.
                self._sandbox = None
        if not self._save(sandbox):
            return
        with self._state:
            if not at_once and (self._sandbox is not sandbox or self._commands or self._used > began):
                return
            self._sandbox = None
        self._end(sandbox)
        try:
            records.change(self.person, running=None)
        except SandboxError as error:
            logger.warning("that the sandbox of %s was ended isn't recorded: %s", self.person, error)

    def keep(self):
        """Does what is due, on a thread of its own; called several times a minute."""
        if not self._life.locked() and self._due():
            threading.Thread(target=self._keep, daemon=True, name="keep-sandbox").start()

    def _due(self):
        now = time.time()
        with self._state:
            if self._sandbox is None:
                return None
            if self._commands:
                self._used = now
        polled = now - self._polled < POLLED
        if self._failed and now - self._tried < SAVE_AGAIN:
            return None
        if now - self._used > (max(idle_seconds(), 60 * background_minutes()) if polled else idle_seconds()):
            return "background" if polled else "idle"
        every = min(FIRST_SAVE if self._saved == self._created else SAVE_EVERY, idle_seconds())
        if max(self._used, self._polled) > self._saved and now - self._tried > every:
            return "save"
        return None

    def _keep(self):
        try:
            with self._life:
                due, sandbox = self._due(), self._sandbox
                if due == "save" and sandbox:
                    self._save(sandbox)
                elif due:
                    if due == "background":
                        self._why = f"Nobody used the sandbox for {background_minutes():g} minutes, so it was ended (sandboxBackgroundMinutes)"
                    else:
                        self._why = "The sandbox ended"
                    self._rest()
                    if due == "background" and self._sandbox is None:
                        self._tell(f"[{self._why}. What ran in the background is gone.]")
        except Exception:
            logger.exception("the sandbox of %s isn't looked after", self.person)

    def recover(self):
        """Takes up what a killed gateway has left; as nobody uses it, `keep` saves and ends it."""
        with self._life:
            if self._sandbox is None and (running := records.of(self.person)["running"]):
                self._take_up(running)

    # What runs in it.

    def used(self):
        self._used = time.time()

    def ended_since(self, id):
        """Why the sandbox with this id runs no more, or None while it does."""
        return None if self.id == id else f"{self._why}, and this process with it."

    def wait_until_ready(self):
        """Waits until a sandbox runs, before a command's time begins. A Stop ends the waiting, and not what is waited for."""
        if self._ready() and not any(waits(self) for waits, _ in first):
            return
        failures = []

        def ensure():
            try:
                self._in_one(lambda sandbox: None)
            except Exception as error:
                failures.append(self.explained(error))

        thread = threading.Thread(target=ensure, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
            if is_interrupted():
                raise SandboxError("[Command interrupted]")
        if failures:
            raise failures[0]

    def read_file(self, path, limit, file):
        """Writes a file of at most so many bytes into `file`; gives what is to be said of it, if anything.

        Raises SandboxError with the reason why not.
        """
        self.wait_until_ready()
        try:
            code = self.run(uuid.uuid4().hex, READ.format(file=shlex.quote(path), limit=limit), CALL, limit, 0, "", file)
            file.flush()
        except Exception as error:
            raise self.explained(error) from error
        size = file.tell()
        if size > limit:
            code = 74
        # A new sandbox may have an older file; the next command tells of it, too.
        note = (self._note or "").replace("[", "").replace("]", "")
        if code or not size:
            reason = NOT_READ.get(code, "it can't be read") if code else "it is empty"
            raise SandboxError(". ".join(filter(None, [reason.format(limit=limit >> 20), note])))
        return note

    def run_alone(self, script):
        """Runs a script outside of any chat, for as long as a command may.

        Gives its exit code and what it has printed; where it fails, the end of its errors, too. Raises SandboxError with the reason why it
        didn't run.
        """
        environment, got = ChatEnvironment(f"{self.person}/"), io.BytesIO()
        try:
            self.wait_until_ready()
            command = environment._wrap_command(ALONE.format(script=shlex.quote(script)), HOME)
            code = self.run(uuid.uuid4().hex, command, environment.timeout, *KEPT_OF_SCRIPT, "", got)
        except Exception as error:
            raise self.explained(error) from error
        head, tail = KEPT_OF_SCRIPT
        output = got.getvalue()
        if len(output) > head + tail:
            output = output[:head] + CUT + output[-tail:]
        return code, output.decode(errors="replace").strip()

    def stop(self, id):
        """Ends all that a command has started; waits for it."""
        if sandbox := self._sandbox:
            try:
                process = client.run(sandbox.exec.aio("bash", "-c", STOP, "bash", id, timeout=CALL, stdout=StreamType.DEVNULL, stderr=StreamType.DEVNULL))
                client.run(process.wait.aio())
            except Exception as error:
                logger.warning("a command of %s can't be stopped: %s", self.person, error)

    def run(self, id, script, seconds, head, tail, given, file, polls=False):
        """Runs a script in the sandbox and writes its output into `file`; gives its exit code."""
        return self._in_one(lambda sandbox: self._run_in(sandbox, id, script, seconds, head, tail, given, file), polls)

    def _in_one(self, work, polls=False):
        """Does something in the sandbox that runs, once all that comes before it is done there; in another one if that has ended before.

        What `polls` doesn't count as use, and begins no sandbox.
        """
        for _ in range(3):
            if not polls:
                self._ensure()
            with self._state:
                sandbox = self._sandbox
                if sandbox is None:
                    # It was put to rest meanwhile.
                    continue
                if polls:
                    self._polled = time.time()
                else:
                    self._commands += 1
            try:
                for waits, do in first:
                    if not polls and waits(self):
                        do(self, sandbox)
                return work(sandbox)
            except Ended as ended:
                self._forget(sandbox)
                if ended.began:
                    raise SandboxError("The sandbox ended while this ran. The next command gets a new one, with the files that were saved last.") from ended
            finally:
                if not polls:
                    with self._state:
                        self._commands -= 1
                        self._used = time.time()
        raise SandboxError(f"Modal ends each sandbox at once. {self.kept()} Try again in a few minutes.")

    def _run_in(self, sandbox, id, script, seconds, head, tail, given, file):
        # What is given is text, or a function that gives pieces of bytes. Half a character of UTF-16 is none; what stands for a byte stays that byte.
        script, text = (re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text) for text in (script, "" if callable(given) else given))
        whole = [text.encode(errors="surrogateescape") for text in (script, text)]
        # Arguments are text, and end at a zero.
        short = not callable(given) and sum(map(len, whole)) < MAX_ARGUMENTS and not re.search("[\0\ud800-\udfff]", script + text)
        began = False

        async def run():
            nonlocal began
            arguments = ["-", script, text] if short else [str(len(whole[0]))]
            process = await sandbox.exec.aio(
                "bash", "-c", RUNNER, "bash", id, str(seconds), str(head), str(tail), *arguments,
                timeout=seconds + 2 * MARGIN, text=False, stderr=StreamType.DEVNULL,
            )
            began = True
            if not short:
                everything = b"".join(whole)
                for piece in itertools.chain((everything[at : at + PIECE] for at in range(0, len(everything), PIECE)), given() if callable(given) else ()):
                    process.stdin.write(piece)
                    await process.stdin.drain.aio()
                process.stdin.write_eof()
                await process.stdin.drain.aio()
            held = bytearray()
            async for piece in process.stdout:
                held += piece
                end = re.search(rb"\n%b (\d+)\n\Z" % id.encode(), held[-60:])
                ready = len(held) - (len(end[0]) if end else 60)
                if ready > 0:
                    file.write(held[:ready])
                    del held[:ready]
                if end:
                    return int(end[1])
            raise SandboxError("The connection to the sandbox was lost while this ran. It may go on: look before you run it again.")

        try:
            return client.run(run(), seconds + 3 * MARGIN)
        except Exception as error:
            if self._has_ended(sandbox):
                raise Ended(began) from error
            if isinstance(error, modal.exception.AuthError):
                # Modal takes the token, and the sandbox's own way in is refused.
                raise SandboxError("The connection to the sandbox was refused. Try again.") from error
            # The next command asks Modal anew where the sandbox takes commands: HAProxy knows that no more when it has ended (haproxy.cfg).
            synchronizer._translate_in(sandbox)._command_router_client = None
            raise


class ChatEnvironment(BaseEnvironment):
    """What Hermes' tools run commands by: a chat's own folder and exports, in the sandbox of its person."""

    # Hermes asks it before it ends an environment after each turn (terminal_tool.is_persistent_env).
    _persistent = True

    def __init__(self, key):
        """`key` is what people.chat_of_task gives."""
        super().__init__(cwd=HOME, timeout=terminal_tool._get_env_config()["timeout"])
        self.sandbox = sandbox_of(key.partition("/")[0])
        self._exports = f"{FOLDER}/env-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        # Processes in the background: by their pid the id of the command that began them and of the sandbox, by their own id the latter.
        self._background = {}

    def cleanup(self):
        """Hermes calls it when a chat has ended or was idle; when the sandbox ends is decided by `keep`."""

    def began(self, process, id):
        """Takes up a process in the background."""
        self._background[process.pid] = (id, self.sandbox.id)
        self._background[process.id] = self.sandbox.id

    def execute(self, command, cwd="", *, timeout=None, stdin_data=None, rewrite_compound_background=True, bounded_capture=False):
        """As the base class has it. Raises SandboxError; for the terminal (`bounded_capture`) its text is the output instead."""
        if killed := re.fullmatch(r"kill (\d+) 2>/dev/null", command):
            # Hermes kills a background process so (ProcessRegistry.kill_process), and the first of its processes alone.
            id, ran_in = self._background.get(int(killed[1]), (None, None))
            if id and ran_in == self.sandbox.id:
                stop = threading.Thread(target=self.sandbox.stop, args=(id,), daemon=True)
                stop.start()
                # When the gateway stops Hermes does this where everybody's chats run, and the sandbox ends anyway.
                stop.join(0 if stop_began else CALL)
            return {"output": "", "returncode": 0}
        polled = threading.current_thread().name.partition("proc-poller-")[2]
        if begins := starting.get():
            # `-l` would take an activated environment out of PATH again.
            cwd, command = begins[0] or cwd, command.replace("nohup bash -lc ", "nohup bash -c ", 1)
        if bounded_capture and cwd:
            # Where Hermes takes the chat to be, even if the command doesn't come to its end.
            self.cwd = cwd
        limited = KEPT_OF_BACKGROUND if polled else KEPT_OF_COMMAND if bounded_capture or "HERMES_RPC_DIR=" in command else KEPT
        tokens = kept.set(limited), terminal.set(bounded_capture)
        try:
            if polled:
                if why := self.sandbox.ended_since(self._background.get(polled)):
                    raise SandboxError(why)
            else:
                self.sandbox.wait_until_ready()
            result = super().execute(
                command, cwd, timeout=timeout, stdin_data=stdin_data,
                rewrite_compound_background=rewrite_compound_background, bounded_capture=bounded_capture,
            )
            note = None if polled else self.sandbox.take_note()
            if note and not bounded_capture:
                # Who reads a file would take the sentence for its text.
                raise SandboxError(f"{note} Look at what is there, and try again.")
        except SandboxError as error:
            if known := process_registry.get(polled):
                # With the error Hermes gives the process up, and says no word.
                known.output_buffer += f"\n[{self.sandbox.ended_since(self._background.get(polled)) or error}]"
            if not bounded_capture:
                raise
            return {"output": str(error), "returncode": 1}
        finally:
            kept.reset(tokens[0])
            terminal.reset(tokens[1])
        if note:
            result["output"] = f"{note}\n{result['output']}"
        return result

    def _wrap_command(self, command, cwd):
        """The script around a command: what was exported before, and the folder. The terminal's commands leave both for the next."""
        folder, zone = self._quote_cwd_for_cd(cwd), shlex.quote(os.environ.get("HERMES_TIMEZONE", "").strip())
        lines = [
            f"export TZ={zone}" if zone != "''" else "",
            f". {FOLDER}/env >/dev/null 2>&1",
            f"[ ! -e {self._exports} ] || . {self._exports} >/dev/null 2>&1",
            f"builtin cd -- {folder} 2>/dev/null || {{ echo {shlex.quote(f'[There is no folder {cwd}, so this ran in {HOME}.]')}; builtin cd {HOME}; }}",
        ]
        if not terminal.get():
            return "\n".join([*lines, f"eval {shlex.quote(command)}"])
        return "\n".join([
            *lines,
            # As a trap, too, for a command that ends the shell.
            "__hermes_end() {",
            "  set +eux",
            "  [ -z \"$__hermes_ended\" ] || return",
            "  __hermes_ended=1",
            f"  [ -e {self._exports} ] || find {FOLDER} -name 'env-*' -mtime +90 -delete",
            # What Modal and this file have set differs in the next sandbox, and the zone may be another one then.
            f"  (umask 077; unset ${{!MODAL_@}} {' '.join([*NOT_KEPT, *secrets_of(self.sandbox.person)])}; [ \"$TZ\" != {zone} ] || unset TZ; export -p >{self._exports}.$BASHPID && mv -f {self._exports}.$BASHPID {self._exports})",
            f"  builtin printf '\\n{self._cwd_marker}%s{self._cwd_marker}\\n' \"$(pwd -P)\"",
            "}",
            "trap '{ __hermes_end; } 2>/dev/null' EXIT",
            f"eval {shlex.quote(command)}",
            "{ __hermes_code=$?; __hermes_end; exit $__hermes_code; } 2>/dev/null",
        ])

    def _run_bash(self, cmd_string, *, login=False, timeout=120, stdin_data=None):
        exact, (head, tail), file = whole_file.get(), kept.get(), []
        id = starting.get()[1] if starting.get() else uuid.uuid4().hex
        polls = threading.current_thread().name.startswith("proc-poller-")
        process = None

        def run():
            got = io.BytesIO()
            code = self.sandbox.run(id, cmd_string, timeout, head, tail, stdin_data or "", got, polls)
            output = got.getvalue()
            if len(output) > head + tail:
                if exact:
                    raise SandboxError(f"This is more than {head + tail >> 20} MiB, too much for the tools for files; use the terminal.")
                output = output[:head] + CUT + output[-tail:]
            if exact:
                # Not by way of the base class, which would replace what isn't UTF-8.
                file.append(output.decode(errors="surrogateescape"))
                return "", code
            return output.decode(errors="replace"), code

        def stop():
            # Not waited for: a Stop is felt at once.
            if process.poll() is None:
                threading.Thread(target=self.sandbox.stop, args=(id,), daemon=True).start()

        process = _ThreadedProcessHandle(run, stop)
        process.file = file
        return process

    def _wait_for_process(self, proc, timeout=120, *, bounded_capture=False):
        began = time.monotonic()
        result = super()._wait_for_process(proc, timeout + MARGIN, bounded_capture=bounded_capture)
        if proc._error:
            raise self.sandbox.explained(proc._error)
        if proc.file:
            [result["output"]] = proc.file
        if result["returncode"] in (124, 137) and time.monotonic() - began >= timeout:
            said = result["output"].removesuffix(f"\n[Command timed out after {timeout + MARGIN}s]")
            result.update(returncode=124, output=f"{said}\n[Command timed out after {timeout}s]")
        return result


sandboxes = {}
# What comes before a person's next command, from other modules: whether it waits for this sandbox, and what does it.
first = []
sandboxes_lock = threading.Lock()
# When the gateway began to stop, as time.monotonic() tells it.
stop_began = 0.0
stopping = threading.Event()
resting = []


def sandbox_of(person):
    with sandboxes_lock:
        if person not in sandboxes:
            sandboxes[person] = PersonSandbox(person)
        return sandboxes[person]


def rest_all():
    """Begins to save and end all, side by side, when the gateway stops. Hermes calls it where everybody's chats run, so it doesn't wait."""
    stopping.set()
    with sandboxes_lock:
        everybody = list(sandboxes.values())
    for sandbox in everybody:
        if sandbox.id:
            resting.append(threading.Thread(target=sandbox.rest, kwargs={"at_once": True}, daemon=True))
            resting[-1].start()
    return len(everybody)


def wait_until_rested():
    """Waits for that as long as the platform does. What isn't saved then runs on, and is taken up at the next start."""
    until = (stop_began or time.monotonic()) + STOP_WITHIN
    for thread in resting:
        thread.join(max(0, until - time.monotonic()))


def keep_all():
    """Begins with what a killed gateway has left, and never ends."""
    left = None
    while True:
        try:
            if left is None:
                left = [person for person, record in records.all().items() if record["running"]]
            while left:
                sandbox_of(left[-1]).recover()
                left.pop()
        except Exception as error:
            logger.warning("the sandboxes from before the start can't be asked for now: %s", error)
        with sandboxes_lock:
            everybody = list(sandboxes.values())
        for sandbox in everybody:
            try:
                sandbox.keep()
            except Exception as error:
                logger.warning("the sandbox of %s isn't looked after for now: %s", sandbox.person, error)
        time.sleep(10)


# In Hermes' script that writes a file: here its folder and its target are known. It would replace a link by a file of its own, and
# put the new file into a folder of that name.
FOUND_TARGET = 'tmp="$(mktemp -p "$d" '
PROVE_TARGET = (
    '[ ! -d "$t" ] || { echo "this is a folder"; exit 1; }; '
    'if [ -L "$t" ]; then t="$(readlink -m -- "$t")"; d="$(dirname -- "$t")"; fi; '
)

@replaces("tools.terminal_tool:_create_environment")
def create_environment(original, *, task_id, **more):
    return ChatEnvironment(task_id)


@replaces("tools.terminal_tool:cleanup_all_environments")
def cleanup(original):
    return rest_all()


# It would make a sandbox for each first chat, to ask what is known.
@replaces("agent.prompt_builder:_probe_remote_backend")
def probe(original, env_type):
    return f"  OS: Linux\n  User: root\n  Home: {HOME}\n  Working directory: {HOME}"


@replaces("tools.process_registry:ProcessRegistry.spawn_via_env")
def spawn(original, self, env, command, cwd=None, **more):
    id = uuid.uuid4().hex
    token = starting.set((cwd, id))
    try:
        process = original(env, command, cwd, **more)
    finally:
        starting.reset(token)
    if process.completion_reason == "failed_start":
        # Otherwise the tool says that it has started.
        raise SandboxError(process.output_buffer.removeprefix("Failed to start: "))
    env.began(process, id)
    return process


# The first thing that Hermes does when it stops.
@replaces("gateway.run:arm_shutdown_watchdog")
def stop_begins(original, *arguments, **more):
    global stop_began
    stop_began = time.monotonic()
    return original(*arguments, **more)


# Hermes notices Stop in the page when it writes into the answer, which during a command it does this often only.
@replaces("gateway.platforms.api_server:CHAT_COMPLETIONS_SSE_KEEPALIVE_SECONDS")
def sign_of_life(original):
    return 3


@replaces("tools.file_operations:ShellFileOperations._exec")
def read_or_run(original, self, command, cwd=None, timeout=None, stdin_data=None):
    token = whole_file.set(command.startswith("cat "))
    if command.startswith("set -e; d="):
        command = command.replace(FOUND_TARGET, PROVE_TARGET + FOUND_TARGET, 1)
    try:
        return original(command, cwd, timeout, stdin_data)
    finally:
        whole_file.reset(token)


# `~` is the sandbox's home, and not the gateway's.
@replaces("tools.file_tools:_expand_tilde")
def expand_tilde(original, path):
    return re.sub("^~(?=/|$)", HOME, path) if path else path


# It copies the whole text for each place: 150 s of the gateway's time for 150,000 of them in 5 MB.
@replaces("tools.fuzzy_match:_apply_replacements")
def join(original, content, matches, new_string, old_string=None):
    if old_string is not None:
        return original(content, matches, new_string, old_string)
    places = sorted(matches)
    ends = [0, *(end for _, end in places)]
    return new_string.join(content[end:begin] for end, (begin, _) in zip(ends, [*places, (len(content), None)]))


@replaces("tools.file_operations:PatchResult.to_dict")
def readable(original, self):
    # The bytes of a file that isn't UTF-8, which no database and no model takes.
    return {name: text.encode(errors="surrogateescape").decode(errors="replace") if isinstance(text, str) else text for name, text in original().items()}


def register():
    """Has the tool for processes in the background know those of the person alone."""
    original = registry.get_entry("process").handler

    def process(args, **more):
        sandbox = sandbox_of(person_of_task(more.get("task_id")))
        id = str(args.get("session_id") or "")
        known = process_registry.get(id)
        if known and getattr(known.env_ref, "sandbox", None) is not sandbox:
            return json.dumps({"status": "not_found", "error": f"No process with ID {id}"})
        # Who looks at a process uses the sandbox.
        sandbox.used()
        return original(args, **more)

    change_tool("process", handler=process)


def start():
    threading.Thread(target=keep_all, daemon=True, name="sandboxes").start()
