"""Runs the agent's commands, files and code in Modal: a sandbox for each person, whose files are never lost.

Hermes 0.19.0 has a Modal environment of its own. With it no file is written, one Stop ends everybody's sandbox, a dead one is never
noticed, and a billing error throws the saved files away. So this is another one, on Hermes' base class (tools/environments/base.py).
Of this, Hermes 0.22 has fixed the writing of files alone; it has a place where an environment like this one is registered
(`register_terminal_environment_provider`), so that install() gets shorter there.

Whose it is tells people.py.

When: a sandbox is made for the first command and not before. It is saved every few minutes while it is used, and saved and ended when
it was idle, and when the gateway stops. One that a killed gateway left behind is saved and ended at the next start. Two saves are kept
for each person, in the order of sandboxes.json on the disk. One is given up only if Modal says that it doesn't exist.

How: a command is a script in the arguments of an exec, or at the head of its standard input where it is long. It runs under `timeout`
in a group of processes that can be ended by itself. What it writes comes back with its exit code as the last line, so that a command
costs two calls; what is too much is left out in the sandbox, before it costs memory here.

What goes in is the command, the files that the agent writes and those that the person gives (handover.py); what comes out is what a
command prints, and a file that an answer names (files.py). Hermes' ways to copy skills, caches and credentials in, and changes of skills
out (tools/environments/file_sync.py), have no part in it.
"""

import asyncio
import contextvars
import inspect
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
from agent import prompt_builder
from gateway.platforms import api_server
from hermes_constants import get_hermes_home
from modal.experimental import image_delete
from modal.stream_type import StreamType
from tools import code_execution_tool, file_operations, terminal_tool
from tools.environments import modal as hermes_modal
from tools.environments.base import BaseEnvironment, _ThreadedProcessHandle
from tools.interrupt import is_interrupted
from tools.process_registry import ProcessRegistry

from . import Unexpected, expected, replace

logger = logging.getLogger(__name__)

HOME = "/root"
# In the sandbox: what was exported, and a file or two for each command that runs.
FOLDER = "/tmp/.hermes"
# Bytes of a command's output that are kept at its beginning and at its end. For the tools for files all of a file has to be here;
KEPT = (4 << 20, 4 << 20)
# of what the model reads Hermes itself keeps 50,000 (tool_output_limits.py, MAX_STDOUT_BYTES in code_execution_tool.py), and with
# a little less it is the sentence of this file that the model finds in the middle;
KEPT_OF_COMMAND = (20_000, 29_000)
# and of a process in the background, asked for every two seconds, 200,000 (MAX_OUTPUT_CHARS in process_registry.py).
KEPT_OF_BACKGROUND = (100_000, 200_000)
# Bytes in all that Modal takes as arguments of an exec (ARG_MAX_BYTES in modal/sandbox.py), less those of the runner.
MAX_ARGUMENTS = (1 << 16) - 4096
# Bytes of standard input in one call (MAX_BUFFER_SIZE in modal/io_streams.py is twice that).
PIECE = 1 << 20

# All in seconds. Modal ends a sandbox by itself after so long without a command, if the gateway doesn't live to do it.
LEFT_ALONE = 900
SAVE_EVERY = 300
# The longest life that Modal gives (modal.com/docs/guide/sandbox, "Timeouts"); a sandbox is exchanged before that.
LIFE = 24 * 3600
EXCHANGE = LIFE - 1800
# What Modal may take to start one. The first of all waits until its image is built.
START = 300
CALL = 60
# A time-out tells what was printed until then; it must come from the sandbox before it comes from here.
MARGIN = 15

# Arguments: id, seconds, bytes to keep of the beginning and of the end, length of the script on standard input or "-", script, input.
RUNNER = rf"""
id=$1 seconds=$2 head=$3 tail=$4 length=$5 script=$6 input=$7
exec 3>&1 > >(exec 3>&-; stdbuf -o0 head -c $head; exec tail -c $((tail + 1))) 2>&1
kept=$!
mkdir -p -m 700 {FOLDER}
[ -e {FOLDER}/env ] || bash -lc 'export -p' >{FOLDER}/env
start() {{ echo $BASHPID >{FOLDER}/$id.pid; exec 3>&-; exec timeout --kill-after=5 $seconds bash "$@"; }}
if [ "$length" = - ]; then
  (start -c "$script") < <(printf %s "$input")
else
  head -c "$length" >{FOLDER}/$id.sh
  (start {FOLDER}/$id.sh)
fi
code=$?
rm -f {FOLDER}/$id.*
exec >&3 2>&3
for pause in 0 .01 .03 .1 .5; do kill -0 $kept 2>/dev/null || break; sleep $pause; done
printf '\n%s %d\n' $id $code
"""
# Ends a command, with all that it has started in its group.
STOP = f"pid=$(cat {FOLDER}/$1.pid) && kill -TERM -- -$pid && sleep 3; kill -KILL -- -$pid 2>/dev/null"
# Ends a process in the background, with all that it has started: Hermes kills the first of them only.
STOP_TREE = (
    "tree() { local child; for child in $(grep -ls \"^PPid:[[:space:]]*$1\\$\" /proc/[0-9]*/status | cut -d/ -f3); do tree $child; done; "
    "kill $1 2>/dev/null; }; tree "
)

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
# What Modal's client raises while Modal is down or slow (_STATUS_TO_EXCEPTION in modal/_grpc_client.py). TimeoutError is an OSError.
OUT_OF_REACH = (modal.exception.ConnectionError, modal.exception.ServiceError, modal.exception.InternalError, OSError)
CUT = "\n\n[… The middle of a long output was left out here. To read it, have the command write into a file. …]\n\n".encode()
NOT_LOST = "What is in the files of the sandbox is kept."


class SandboxError(Exception):
    """A command didn't run, or not to its end; the text is for the model, who tells it the person."""


class Ended(Exception):
    """Modal has ended a sandbox; `began` tells whether the command had begun."""

    def __init__(self, began):
        self.began = began


def explained(error):
    """What an error of Modal's client means, as a sentence."""
    if isinstance(error, SandboxError):
        return error
    said = (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, modal.exception.AuthError):
        text = f"Modal refuses this deployment's token (modalTokenId and modalTokenSecret), so no code runs. Its owner has to set a valid pair. {NOT_LOST}"
    elif isinstance(error, (modal.exception.ResourceExhaustedError, modal.exception.PermissionDeniedError)):
        text = f"Modal refuses to run code now: “{said}”. Its owner finds the budget and the limits at modal.com/settings. {NOT_LOST}"
    elif isinstance(error, OUT_OF_REACH):
        text = f"Modal, where code runs, can't be reached now. {NOT_LOST} Try again in a few minutes."
    else:
        text = f"Modal answers with an error: “{said or type(error).__name__}”. {NOT_LOST}"
    return SandboxError(text)


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

    async def create(self, image, bare=False):
        """A sandbox of an image's id, or of the image of the configuration without one; a bare one has no packages."""
        if self._app is None:
            # The name that Hermes gives it, under which existing deployments find theirs at Modal.
            self._app = await modal.App.lookup.aio("hermes-agent", create_if_missing=True)
        if image:
            chosen = modal.Image.from_id(image)
        else:
            chosen = hermes_modal._resolve_modal_image(terminal_tool._get_env_config()["modal_image"])
            chosen = chosen if bare else with_packages(chosen)
        sandbox = await modal.Sandbox.create.aio(
            # A shell as the first process, because it takes up the ends of processes whose parents have gone.
            "bash", "-c", "sleep infinity & wait",
            app=self._app, image=chosen, timeout=LIFE, idle_timeout=LEFT_ALONE,
            cpu=requested("SANDBOX_CPU", "0.25-2", float), memory=requested("SANDBOX_MEMORY_MB", "512-4096", int), **network(),
        )
        # Until it runs, so that a slow start isn't on a command's time.
        await sandbox._get_task_id.aio()
        return sandbox


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
        with self._lock:
            everybody = self.all()
            everybody[person] = self._filled({**everybody.get(person, {}), **more})
            new = self.path.with_name(f"sandboxes.json.tmp.{uuid.uuid4().hex[:8]}")
            with new.open("w") as file:
                json.dump(everybody, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)

    def adopt(self, person):
        """Gives the first person who asks the disk that Hermes' own environment has saved for everybody (modal_snapshots.json)."""
        old = get_hermes_home() / "modal_snapshots.json"
        try:
            saved = json.loads(old.read_text())
        except (OSError, ValueError):
            return
        ids = [saved[key] for key in ("direct:default", "default") if isinstance(saved.get(key), str)]
        if not self.all():
            self.change(person, saved=ids[:1])
            old.unlink()


records = Records()


# --- A sandbox -----------------------------------------------------------------------------------------------------


class PersonSandbox(BaseEnvironment):
    """The sandbox of a person, which is made anew beneath this object as often as needed."""

    # Hermes asks it before it ends an environment after each turn (terminal_tool.is_persistent_env).
    _persistent = True

    def __init__(self, person):
        super().__init__(cwd=HOME, timeout=terminal_tool._get_env_config()["timeout"])
        self.person = person
        self._sandbox = None
        # What the model should know of it: a sentence.
        self._note = None
        # Held while a sandbox is made, saved or ended; `_state` for the fields alone.
        self._life, self._state = threading.Lock(), threading.Lock()
        self._commands = 0
        self._created = self._used = self._saved = 0.0

    # The life of the one beneath.

    def _ready(self):
        """Whether one runs and is young enough; that it still does shows when a command begins."""
        return self._sandbox is not None and time.time() - self._created < EXCHANGE

    def _ensure(self):
        """Has one run. Raises what Modal's client raises, and SandboxError."""
        if not self._ready():
            self.rest()
            with self._life:
                if self._sandbox is None:
                    self._start()

    def _start(self):
        if stopping.is_set():
            raise SandboxError(f"The agent is about to restart. {NOT_LOST} Try again in a minute.")
        records.adopt(self.person)
        record = records.of(self.person)
        if record["running"]:
            if self._take_up(record["running"]):
                return
            self._tell_of_new(record)
        saved, bare = record["saved"], False
        while True:
            try:
                made = client.run(client.create(saved[0] if saved else None, bare), START)
                break
            except modal.exception.RemoteError as error:
                # An image that can't be built; better code without packages than none.
                if saved or bare or not any(packages()):
                    raise
                logger.warning("the packages of SANDBOX_PACKAGES can't be installed: %s", error)
                bare = True
                self._note = "[The packages of this sandbox couldn't be installed, so it has Python alone. Its owner looks at the setting sandboxPackages, and at modal.com for the log of the build.]"
            except modal.exception.NotFoundError:
                if not saved:
                    raise
                logger.warning("Modal doesn't have the saved disk %s of %s any more", saved[0], self.person)
                saved = saved[1:]
                self._note = "[Modal doesn't have the files any more that were saved last. " + (
                    "This sandbox has those of the save before.]" if saved else "This sandbox begins without files.]"
                )
        records.change(self.person, saved=saved, running=made.object_id)
        self._sandbox, self._created, self._saved = made, time.time(), time.time()

    def _take_up(self, id):
        """Takes up the sandbox that a killed gateway has left; tells whether it still runs."""
        try:
            found = client.run(modal.Sandbox.from_id.aio(id))
        except modal.exception.NotFoundError:
            return False
        if found.returncode is not None:
            return False
        self._sandbox, self._created = found, time.time()
        return True

    def _tell_of_new(self, record):
        saved = record["at"] and datetime.fromtimestamp(record["at"], hermes_time.get_timezone())
        files = f"the files as they were at {saved:%H:%M}" if saved else "no files"
        self._note = f"[The sandbox had ended. This is a new one, with {files}; what ran in the background is gone.]"

    def _forget(self, sandbox):
        """Takes up that Modal has ended the one beneath."""
        with self._state:
            if self._sandbox is not sandbox:
                return
            self._sandbox = None
        logger.warning("Modal has ended the sandbox of %s", self.person)
        self._tell_of_new(records.of(self.person))
        records.change(self.person, running=None)

    def _has_ended(self, sandbox):
        try:
            return client.run(sandbox.poll.aio()) is not None
        except modal.exception.NotFoundError:
            return True
        except Exception:
            return False

    def _save(self, sandbox):
        """Saves the disk, and has Modal delete the one before the last. Raises what Modal's client raises."""
        began = time.time()
        image = client.run(sandbox.snapshot_filesystem.aio())
        saved = [image.object_id, *records.of(self.person)["saved"]]
        records.change(self.person, saved=saved[:2], at=began)
        self._saved = began
        for superseded in saved[2:]:
            try:
                client.run(image_delete.aio(superseded))
            except Exception as error:
                logger.warning("Modal keeps the superseded disk %s of %s: %s", superseded, self.person, error)

    def rest(self, at_once=False):
        """Saves the disk and ends the sandbox, unless a command runs in it; with `at_once` even then.

        One that can't be saved runs on: the next try is a later one's, and in the end Modal's.
        """
        with self._life:
            with self._state:
                if self._sandbox is None or (self._commands and not at_once):
                    return
                sandbox, self._sandbox = self._sandbox, None
            try:
                self._save(sandbox)
            except Exception as error:
                ended = self._has_ended(sandbox)
                self._sandbox = sandbox
                if ended:
                    self._forget(sandbox)
                logger.warning("the sandbox of %s can't be saved: %s", self.person, error)
                return
            try:
                client.run(sandbox.terminate.aio())
            except Exception as error:
                logger.warning("the sandbox of %s can't be ended, Modal does so after %d s: %s", self.person, LEFT_ALONE, error)
            records.change(self.person, running=None)

    def keep(self):
        """Does what is due; called several times a minute."""
        now = time.time()
        with self._state:
            if self._sandbox is None:
                return
            if self._commands:
                self._used = now
        if now - self._used > idle_seconds():
            self.rest()
        elif self._used > self._saved and now - self._saved > min(SAVE_EVERY, idle_seconds()):
            with self._life:
                if sandbox := self._sandbox:
                    try:
                        self._save(sandbox)
                    except Exception as error:
                        logger.warning("the sandbox of %s can't be saved now: %s", self.person, error)

    def recover(self):
        """Takes up what a killed gateway has left; as nobody uses it, `keep` saves and ends it."""
        with self._life:
            if self._sandbox is None and (running := records.of(self.person)["running"]):
                self._take_up(running)

    def cleanup(self):
        """Hermes calls it when a chat has ended or was idle; when the sandbox ends is decided by `keep`."""

    # A command.

    def execute(self, command, cwd="", *, timeout=None, stdin_data=None, rewrite_compound_background=True, bounded_capture=False):
        """As the base class has it. Raises SandboxError; for the terminal (`bounded_capture`) its text is the output instead."""
        if killed := re.fullmatch(r"kill (\d+) 2>/dev/null", command):
            # Hermes kills a background process so (ProcessRegistry.kill_process). Without a sandbox none runs.
            if self._sandbox is None:
                return {"output": "", "returncode": 0}
            command = STOP_TREE + killed[1]
        background = threading.current_thread().name.startswith("proc-poller-")
        limited = KEPT_OF_BACKGROUND if background else KEPT_OF_COMMAND if bounded_capture or "HERMES_RPC_DIR=" in command else KEPT
        token = kept.set(limited)
        try:
            self._wait_until_ready()
            result = super().execute(
                command, cwd, timeout=timeout, stdin_data=stdin_data,
                rewrite_compound_background=rewrite_compound_background, bounded_capture=bounded_capture,
            )
            note = self._note
            if not background:
                self._note = None
            if note and not bounded_capture:
                # Who reads a file would take the sentence for its text.
                raise SandboxError(f"{note} Look at what is there, and try again.")
        except SandboxError as error:
            if not bounded_capture:
                raise
            return {"output": str(error), "returncode": 1}
        finally:
            kept.reset(token)
        if note:
            result["output"] = f"{note}\n{result['output']}"
        return result

    def read_file(self, path, limit):
        """The bytes of a file, at most so many. Raises SandboxError with the reason why not, and what Modal's client raises."""
        self._wait_until_ready()
        with reading:
            content, code = self._run(uuid.uuid4().hex, READ.format(file=shlex.quote(path), limit=limit), CALL, limit, 0, "")
        if len(content) > limit:
            code = 74
        if code or not content:
            reason = NOT_READ.get(code, "it can't be read") if code else "it is empty"
            # The next command tells of a new sandbox, too.
            raise SandboxError(". ".join(filter(None, [reason.format(limit=limit >> 20), (self._note or "").strip("[]")])))
        return content

    def _wait_until_ready(self):
        """Has a sandbox run before a command's time begins. A Stop ends the waiting, and not what is waited for."""
        if self._ready() and not any(waits(self) for waits, _ in first):
            return
        failures = []

        def ensure():
            try:
                self._in_one(lambda sandbox: None)
            except Exception as error:
                failures.append(explained(error))

        thread = threading.Thread(target=ensure, daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(0.05)
            if is_interrupted():
                raise SandboxError("[Command interrupted]")
        if failures:
            raise failures[0]

    def _wrap_command(self, command, cwd):
        """The script around a command, as the base class has it: what was exported before, the folder, and both for the next."""
        folder = self._quote_cwd_for_cd(cwd)
        return "\n".join([
            f". {FOLDER}/env >/dev/null 2>&1",
            f"builtin cd -- {folder} 2>/dev/null || {{ echo {shlex.quote(f'[There is no folder {cwd}, so this ran in {HOME}.]')}; builtin cd {HOME}; }}",
            f"eval {shlex.quote(command)}",
            "__hermes_code=$?",
            "umask 077",
            # What Modal itself has set differs in the next sandbox, which begins with this file.
            f"export -p | grep -v '^declare -x MODAL_' >{FOLDER}/env.$$ 2>/dev/null && mv -f {FOLDER}/env.$$ {FOLDER}/env",
            f"printf '\\n{self._cwd_marker}%s{self._cwd_marker}\\n' \"$(pwd -P)\"",
            "exit $__hermes_code",
        ])

    def _run_bash(self, cmd_string, *, login=False, timeout=120, stdin_data=None):
        id, exact, (head, tail), file = uuid.uuid4().hex, whole_file.get(), kept.get(), []
        process = None

        def run():
            output, code = self._run(id, cmd_string, timeout, head, tail, stdin_data or "")
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
            if (sandbox := self._sandbox) and process.poll() is None:
                threading.Thread(target=self._stop, args=(sandbox, id), daemon=True).start()

        process = _ThreadedProcessHandle(run, stop)
        process.file = file
        return process

    def _wait_for_process(self, proc, timeout=120, *, bounded_capture=False):
        began = time.monotonic()
        result = super()._wait_for_process(proc, timeout + MARGIN, bounded_capture=bounded_capture)
        if proc._error:
            raise explained(proc._error)
        if proc.file:
            [result["output"]] = proc.file
        if result["returncode"] in (124, 137) and time.monotonic() - began >= timeout:
            result.update(returncode=124, output=f"{result['output']}\n[Command timed out after {timeout}s]")
        return result

    def _stop(self, sandbox, id):
        try:
            client.run(sandbox.exec.aio("bash", "-c", STOP, "bash", id, timeout=CALL, stdout=StreamType.DEVNULL, stderr=StreamType.DEVNULL))
        except Exception as error:
            logger.warning("a command of %s can't be stopped: %s", self.person, error)

    def _run(self, id, script, seconds, head, tail, given):
        """Runs a script in the sandbox; gives its output, as bytes, and its exit code."""
        return self._in_one(lambda sandbox: self._run_in(sandbox, id, script, seconds, head, tail, given))

    def _in_one(self, work):
        """Does something in the sandbox that runs, once all that comes before it is done there; in another one if that has ended before."""
        for _ in range(3):
            self._ensure()
            with self._state:
                sandbox = self._sandbox
                if sandbox is None:
                    # It was put to rest meanwhile.
                    continue
                self._commands += 1
            try:
                for waits, do in first:
                    if waits(self):
                        do(self, sandbox)
                return work(sandbox)
            except Ended as ended:
                self._forget(sandbox)
                if ended.began:
                    raise SandboxError("The sandbox ended while this ran. The next command gets a new one, with the files that were saved last.") from ended
            finally:
                with self._state:
                    self._commands -= 1
                    self._used = time.time()
        raise SandboxError(f"Modal ends each sandbox at once. {NOT_LOST} Try again in a few minutes.")

    def _run_in(self, sandbox, id, script, seconds, head, tail, given):
        # What is given is text, or a function that gives pieces of bytes.
        whole = [text.encode(errors="surrogateescape") for text in (script, "" if callable(given) else given)]
        # Arguments are text, and end at a zero.
        short = not callable(given) and sum(map(len, whole)) < MAX_ARGUMENTS and not re.search("[\0\ud800-\udfff]", script + given)
        began = False

        async def run():
            nonlocal began
            arguments = ["-", script, given] if short else [str(len(whole[0]))]
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
            output = bytearray()
            async for piece in process.stdout:
                output += piece
                if end := re.search(rb"\n%b (\d+)\n\Z" % id.encode(), output[-60:]):
                    return output[: len(output) - len(end[0])], int(end[1])
            raise SandboxError("The connection to the sandbox was lost while this ran. It may go on: look before you run it again.")

        try:
            return client.run(run(), seconds + 3 * MARGIN)
        except Exception as error:
            if self._has_ended(sandbox):
                raise Ended(began) from error
            raise


sandboxes = {}
# What comes before a person's next command, from other modules: whether it waits for this sandbox, and what does it.
first = []
# A file is in memory several times while it comes.
reading = threading.Lock()
sandboxes_lock = threading.Lock()
stopping = threading.Event()


def sandbox_of(person):
    with sandboxes_lock:
        if person not in sandboxes:
            sandboxes[person] = PersonSandbox(person)
        return sandboxes[person]


def rest_all():
    """Saves and ends all, side by side, when the gateway stops: it has a minute for that."""
    stopping.set()
    with sandboxes_lock:
        everybody = list(sandboxes.values())
    threads = [threading.Thread(target=sandbox.rest, kwargs={"at_once": True}) for sandbox in everybody]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(everybody)


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
            except Exception:
                logger.exception("the sandbox of %s isn't looked after", sandbox.person)
        time.sleep(10)


# Of Hermes' base class and of what it calls: what this file stands on.
STANDS_ON = [
    (BaseEnvironment, "execute", "(self, command: str, cwd: str = '', *, timeout: int | None = None, stdin_data: str | None = None, "
        "rewrite_compound_background: bool = True, bounded_capture: bool = False) -> dict"),
    (BaseEnvironment, "_wrap_command", "(self, command: str, cwd: str) -> str"),
    (BaseEnvironment, "_run_bash", "(self, cmd_string: str, *, login: bool = False, timeout: int = 120, stdin_data: str | None = None) "
        "-> tools.environments.base.ProcessHandle"),
    (BaseEnvironment, "_wait_for_process", "(self, proc: tools.environments.base.ProcessHandle, timeout: int = 120, *, bounded_capture: bool = False) -> dict"),
    (BaseEnvironment, "_quote_cwd_for_cd", "(cwd: str) -> str"),
    (_ThreadedProcessHandle, "__init__", "(self, exec_fn: Callable[[], tuple[str, int]], cancel_fn: Optional[Callable[[], NoneType]] = None)"),
    (hermes_modal, "_resolve_modal_image", "(image_spec: Any) -> Any"),
    (modal.Sandbox, "_get_task_id", None),
]
# Commands by which this file knows what Hermes is about to do.
KNOWN_COMMANDS = [
    (ProcessRegistry.kill_process, '"kill {session.pid} 2>/dev/null"'),
    (file_operations.ShellFileOperations.patch_replace, 'f"cat {'),
    (file_operations.ShellFileOperations.read_file_raw, 'f"cat {'),
    (code_execution_tool._execute_remote, 'f"HERMES_RPC_DIR={'),
    (ProcessRegistry.spawn_via_env, 'name=f"proc-poller-{'),
]


def install():
    for owner, name, signature in STANDS_ON:
        expected(owner, name, signature)
    for function, command in KNOWN_COMMANDS:
        if command not in inspect.getsource(function):
            raise Unexpected(f"{function.__qualname__} has another command than {command}")
    replace(
        terminal_tool, "_create_environment", lambda *, task_id, **_: sandbox_of(task_id),
        "(env_type: str, image: str, cwd: str, timeout: int, ssh_config: dict = None, container_config: dict = None, local_config: dict = None, "
        "task_id: str = 'default', host_cwd: str = None)",
    )
    replace(terminal_tool, "cleanup_all_environments", rest_all, "()")
    # It would make a sandbox for each first chat, to ask what is known.
    replace(prompt_builder, "_probe_remote_backend", lambda env_type: f"  OS: Linux\n  User: root\n  Home: {HOME}\n  Working directory: {HOME}", "(env_type: str) -> str | None")

    def spawn(self, env, command, **more):
        process = start(self, env, command, **more)
        if process.completion_reason == "failed_start":
            # Otherwise the tool says that it has started.
            raise SandboxError(process.output_buffer.removeprefix("Failed to start: "))
        return process

    start = replace(
        ProcessRegistry, "spawn_via_env", spawn,
        "(self, env: Any, command: str, cwd: str = None, task_id: str = '', session_key: str = '', timeout: int = 10) -> tools.process_registry.ProcessSession",
    )

    # Hermes notices Stop in the page when it writes into the answer, which during a command it does this often only.
    if api_server.CHAT_COMPLETIONS_SSE_KEEPALIVE_SECONDS != 30:
        raise Unexpected("the seconds between the signs of life of an answer are other ones")
    api_server.CHAT_COMPLETIONS_SSE_KEEPALIVE_SECONDS = 3

    def read_or_run(self, command, cwd=None, timeout=None, stdin_data=None):
        token = whole_file.set(command.startswith("cat "))
        try:
            return exec(self, command, cwd, timeout, stdin_data)
        finally:
            whole_file.reset(token)

    exec = replace(
        file_operations.ShellFileOperations, "_exec", read_or_run,
        "(self, command: str, cwd: str = None, timeout: int = None, stdin_data: str = None) -> tools.file_operations.ExecuteResult",
    )

    def readable(self):
        # The bytes of a file that isn't UTF-8, which no database and no model takes.
        return {name: text.encode(errors="surrogateescape").decode(errors="replace") if isinstance(text, str) else text for name, text in result(self).items()}

    result = replace(file_operations.PatchResult, "to_dict", readable, "(self) -> dict")
    threading.Thread(target=keep_all, daemon=True, name="sandboxes").start()
