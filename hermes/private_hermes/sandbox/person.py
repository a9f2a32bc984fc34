"""The sandbox of a person: when it is made, used, saved and ended."""

import itertools
import logging
import re
import threading
import time
import uuid
from datetime import datetime

import hermes_time
import modal
import modal.exception
from modal._utils.async_utils import synchronizer
from modal.experimental import image_delete
from modal.stream_type import StreamType
from tools.interrupt import is_interrupted

from . import limits, scripts
from .modal_client import Ended, Gone, SandboxError, client, explained
from .records import records
from .settings import background_minutes, idle_seconds, packages, secrets_of

logger = logging.getLogger(__name__)

# Why a file isn't read, by the exit code of scripts/read.sh.
NOT_READ = {
    71: "there is no such file in the sandbox",
    72: "it is a folder; put it into an archive",
    73: "it is no regular file",
    74: "it is larger than {limit} MB",
}

# What comes before a person's next command, from other modules: whether it waits for this sandbox, and what does it.
first = []
# Set when the gateway stops: no sandbox begins then.
stopping = threading.Event()


def when(at):
    """A time as people say it, in the agent's zone."""
    zone = hermes_time.get_timezone()
    then, now = (datetime.fromtimestamp(seconds, zone) for seconds in (at, time.time()))
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%H:%M on %d %B}"


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
        return self._sandbox is not None and time.time() - self._created < limits.EXCHANGE and self._secrets in (None, secrets_of(self.person))

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
                made = client.run(client.create(saved[0] if saved else None, bare, secrets), limits.START)
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
            logger.warning("the sandbox of %s can't be ended, Modal does so after %d s: %s", self.person, limits.LEFT_ALONE, error)

    def _save(self, sandbox):
        """Saves the disk, and deletes the save before the last at Modal; tells whether it is saved.

        From the second failure on the person is told with the next command. Until a save succeeds Modal is kept from ending the
        sandbox for want of commands.
        """
        began = self._tried = time.time()
        try:
            image = client.run(sandbox.snapshot_filesystem.aio(limits.SAVE), limits.SAVE + limits.MARGIN)
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
        polled = now - self._polled < limits.POLLED
        if self._failed and now - self._tried < limits.SAVE_AGAIN:
            return None
        if now - self._used > (max(idle_seconds(), 60 * background_minutes()) if polled else idle_seconds()):
            return "background" if polled else "idle"
        every = min(limits.FIRST_SAVE if self._saved == self._created else limits.SAVE_EVERY, idle_seconds())
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
            code = self.run(uuid.uuid4().hex, scripts.read_file(path, limit), limits.CALL, limit, 0, "", file)
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

    def stop(self, id):
        """Ends all that a command has started; waits for it."""
        if sandbox := self._sandbox:
            try:
                process = client.run(sandbox.exec.aio("bash", "-c", scripts.STOP, "bash", id, timeout=limits.CALL, stdout=StreamType.DEVNULL, stderr=StreamType.DEVNULL))
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
        short = not callable(given) and sum(map(len, whole)) < limits.MAX_ARGUMENTS and not re.search("[\0\ud800-\udfff]", script + text)
        began = False

        async def run():
            nonlocal began
            arguments = ["-", script, text] if short else [str(len(whole[0]))]
            process = await sandbox.exec.aio(
                "bash", "-c", scripts.RUN, "bash", id, str(seconds), str(head), str(tail), *arguments,
                timeout=seconds + 2 * limits.MARGIN, text=False, stderr=StreamType.DEVNULL,
            )
            began = True
            if not short:
                everything = b"".join(whole)
                for piece in itertools.chain((everything[at : at + limits.PIECE] for at in range(0, len(everything), limits.PIECE)), given() if callable(given) else ()):
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
            return client.run(run(), seconds + 3 * limits.MARGIN)
        except Exception as error:
            if self._has_ended(sandbox):
                raise Ended(began) from error
            if isinstance(error, modal.exception.AuthError):
                # Modal takes the token, and the sandbox's own way in is refused.
                raise SandboxError("The connection to the sandbox was refused. Try again.") from error
            # The next command asks Modal anew where the sandbox takes commands: HAProxy knows that no more when it has ended (haproxy.cfg).
            synchronizer._translate_in(sandbox)._command_router_client = None
            raise
