"""What Hermes sees of the sandboxes: an environment for each chat, and what its tools need besides."""

import contextvars
import hashlib
import io
import json
import os
import re
import shlex
import threading
import time
import uuid

from tools import terminal_tool
from tools.environments.base import BaseEnvironment, _ThreadedProcessHandle
from tools.process_registry import process_registry
from tools.registry import registry

from .. import replaces
from ..people import person_of_task
from ..registering import change_tool, context
from . import everybody, limits, scripts
from .modal_client import SandboxError
from .settings import secrets_of

# True while a file tool reads: every byte is kept, because the file may be written back.
whole_file = contextvars.ContextVar("whole_file", default=False)
kept = contextvars.ContextVar("kept", default=limits.KEPT)
# Whether a command is one of the terminal, which leaves its folder and what it exported for the next.
terminal = contextvars.ContextVar("terminal", default=False)
# What a process in the background is, for `execute`: the folder in which it begins, and the id of the command that starts it.
starting = contextvars.ContextVar("starting", default=None)
# The task that asks what a sandbox is like (`_probe_remote_backend` in agent/prompt_builder.py).
PROBE = "prompt-backend-probe"
FILE_TOOLS = {"read_file", "write_file", "patch", "search_files"}
# Where a path begins in their arguments: it is one, or stands in a patch in Hermes' own form.
TILDE = {"path": r"^()~(?=/|$)", "patch": r"(?m)^(\*\*\* (?:Add|Update|Delete|Move) File: )~(?=/)"}
SURROGATE = re.compile("[\udc80-\udcff]")
CUT = "\n\n[… The middle of a long output was left out here. To read it, have the command write into a file. …]\n\n".encode()
# In Hermes' script that writes a file: here its folder and its target are known. It would replace a link by a file of its own, and
# put the new file into a folder of that name.
FOUND_TARGET = 'tmp="$(mktemp -p "$d" '
PROVE_TARGET = (
    '[ ! -d "$t" ] || { echo "this is a folder"; exit 1; }; '
    'if [ -L "$t" ]; then t="$(readlink -m -- "$t")"; d="$(dirname -- "$t")"; fi; '
)


class ChatEnvironment(BaseEnvironment):
    """What Hermes' tools run commands by: a chat's own folder and exports, in the sandbox of its person."""

    # Hermes asks it before it ends an environment after each turn (terminal_tool.is_persistent_env).
    _persistent = True

    def __init__(self, key):
        """`key` is what people.chat_of_task gives."""
        super().__init__(cwd=limits.HOME, timeout=terminal_tool._get_env_config()["timeout"])
        self.sandbox = everybody.sandbox_of(key.partition("/")[0])
        self._exports = f"{limits.FOLDER}/env-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        # Processes in the background: by their pid the id of the command that began them and of the sandbox, by their own id the latter.
        self._background = {}

    def cleanup(self):
        """Hermes calls it when a chat has ended or was idle, and when the gateway stops. When the sandbox ends before that is decided by `keep`."""
        if everybody.drained:
            everybody.rest_all()

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
                stop.join(0 if everybody.stop_began else limits.CALL)
            return {"output": "", "returncode": 0}
        polled = threading.current_thread().name.partition("proc-poller-")[2]
        if begins := starting.get():
            # `-l` would take an activated environment out of PATH again.
            cwd, command = begins[0] or cwd, command.replace("nohup bash -lc ", "nohup bash -c ", 1)
        if bounded_capture and cwd:
            # Where Hermes takes the chat to be, even if the command doesn't come to its end.
            self.cwd = cwd
        limited = limits.KEPT_OF_BACKGROUND if polled else limits.KEPT_OF_COMMAND if bounded_capture or "HERMES_RPC_DIR=" in command else limits.KEPT
        # So do the tools for files read and write, and nothing else of Hermes'.
        reads = command.startswith("cat ") and not bounded_capture and not polled
        if command.startswith("set -e; d=") and not bounded_capture:
            command = command.replace(FOUND_TARGET, PROVE_TARGET + FOUND_TARGET, 1)
        tokens = kept.set(limited), terminal.set(bounded_capture), whole_file.set(reads)
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
            whole_file.reset(tokens[2])
        if note:
            result["output"] = f"{note}\n{result['output']}"
        return result

    def run_alone(self, script):
        """Runs a script by itself, for as long as a command may.

        Gives its exit code and what it has printed; where it fails, the end of its errors, too. Raises SandboxError with the reason why it
        didn't run.
        """
        got = io.BytesIO()
        try:
            self.sandbox.wait_until_ready()
            command = self._wrap_command(scripts.alone(script), limits.HOME)
            code = self.sandbox.run(uuid.uuid4().hex, command, self.timeout, *limits.KEPT_OF_SCRIPT, "", got)
        except Exception as error:
            raise self.sandbox.explained(error) from error
        head, tail = limits.KEPT_OF_SCRIPT
        output = got.getvalue()
        if len(output) > head + tail:
            output = output[:head] + CUT + output[-tail:]
        return code, output.decode(errors="replace").strip()

    def _wrap_command(self, command, cwd):
        """The script around a command: what was exported before, and the folder. The terminal's commands leave both for the next."""
        folder, zone = self._quote_cwd_for_cd(cwd), shlex.quote(os.environ.get("HERMES_TIMEZONE", "").strip())
        lines = [
            f"export TZ={zone}" if zone != "''" else "",
            f". {limits.FOLDER}/env >/dev/null 2>&1",
            f"[ ! -e {self._exports} ] || . {self._exports} >/dev/null 2>&1",
            f"builtin cd -- {folder} 2>/dev/null || {{ echo {shlex.quote(f'[There is no folder {cwd}, so this ran in {limits.HOME}.]')}; builtin cd {limits.HOME}; }}",
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
            f"  [ -e {self._exports} ] || find {limits.FOLDER} -name 'env-*' -mtime +90 -delete",
            # What Modal and this file have set differs in the next sandbox, and the zone may be another one then.
            f"  (umask 077; unset ${{!MODAL_@}} {' '.join([limits.MARK, *secrets_of(self.sandbox.person)])}; [ \"$TZ\" != {zone} ] || unset TZ; export -p >{self._exports}.$BASHPID && mv -f {self._exports}.$BASHPID {self._exports})",
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
        result = super()._wait_for_process(proc, timeout + limits.MARGIN, bounded_capture=bounded_capture)
        if proc._error:
            raise self.sandbox.explained(proc._error)
        if proc.file:
            [result["output"]] = proc.file
        if result["returncode"] in (124, 137) and time.monotonic() - began >= timeout:
            said = result["output"].removesuffix(f"\n[Command timed out after {timeout + limits.MARGIN}s]")
            result.update(returncode=124, output=f"{said}\n[Command timed out after {timeout}s]")
        return result


class Known:
    """What Hermes asks, before the first prompt, about the sandbox that the tools run in: it would make one, to ask what is known."""

    def execute(self, command, **more):
        return {"output": f"os=Linux\nuser=root\nhome={limits.HOME}\ncwd={limits.HOME}", "returncode": 0}


@replaces("tools.terminal_tool:_create_environment")
def create_environment(original, *, task_id, **more):
    return Known() if task_id == PROBE else ChatEnvironment(task_id)


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


# What runs may use its sandbox until then.
@replaces("gateway.run:GatewayRunner._drain_active_agents")
async def drain(original, self, timeout):
    ended = await original(timeout)
    everybody.drained = True
    return ended


@replaces("gateway.run:arm_shutdown_watchdog")
def stop_begins(original, *arguments, **more):
    everybody.stop_begins()
    return original(*arguments, **more)


def expand_tilde(tool_name, args, **more):
    """`~` is the sandbox's home, and not the gateway's: the arguments of a tool for files as it gets them, or None for those that it has."""
    if tool_name not in FILE_TOOLS:
        return None
    expanded = {name: re.sub(TILDE[name], rf"\1{limits.HOME}", text) if name in TILDE and isinstance(text, str) else text for name, text in args.items()}
    return {"args": expanded} if expanded != args else None


def readable(tool_name, result, **more):
    """What a tool for files gives, without the bytes of a file that isn't UTF-8, which no database and no model takes; None if it has none."""
    if tool_name not in FILE_TOOLS or not isinstance(result, str) or not SURROGATE.search(result):
        return None
    return result.encode(errors="surrogateescape").decode(errors="replace")


# It copies the whole text for each place: 150 s of the gateway's time for 150,000 of them in 5 MB.
@replaces("tools.fuzzy_match:_apply_replacements")
def join(original, content, matches, new_string, old_string=None):
    if old_string is not None:
        return original(content, matches, new_string, old_string)
    places = sorted(matches)
    ends = [0, *(end for _, end in places)]
    return new_string.join(content[end:begin] for end, (begin, _) in zip(ends, [*places, (len(content), None)]))


def register():
    """Makes the tools for files take `~` and bytes as the sandbox has them, and the one for processes in the background know only those of the person."""
    context.register_middleware("tool_request", expand_tilde)
    context.register_hook("transform_tool_result", readable)
    original = registry.get_entry("process").handler

    def process(args, **more):
        sandbox = everybody.sandbox_of(person_of_task(more.get("task_id")))
        id = str(args.get("session_id") or "")
        known = process_registry.get(id)
        if known and getattr(known.env_ref, "sandbox", None) is not sandbox:
            return json.dumps({"status": "not_found", "error": f"No process with ID {id}"})
        # Who looks at a process uses the sandbox.
        sandbox.used()
        return original(args, **more)

    change_tool("process", handler=process)


def start():
    threading.Thread(target=everybody.keep_all, daemon=True, name="sandboxes").start()
