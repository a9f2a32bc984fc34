"""Undoes in an image of ours what was done for half a CPU, so that the benches can hold both against each other.

    python3 undo.py [NAME...]

Run while an image is built upon it; without a name all of them are undone. Ends with a sentence when something isn't there as it was. Not
undone is what is in settings (the benches give the old ones), the lighter page of page/connection.js, the shorter changelog, and the hash
that is there at the start (seams.py).
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

SPEED = "/opt/hermes/lib/python3.11/site-packages/private_hermes/speed.py"
SEAMS = "/app/backend/open_webui/private/seams.py"
ENTRYPOINT = "/usr/local/bin/entrypoint.sh"


def replaced(start):
    """A row of the list of what is replaced, out of it."""
    return SEAMS, f"        ({start}", "        *(),  #"


# By name: file, what is there, and what was.
HERMES = {
    "pieces": [(SPEED, "if type(piece) is not str:", "if True:")],
    "looks": [(SPEED, 'if stream.get_extra_info("is_readable"):', "if True:")],
    "chunks": [(SPEED, "and is_text(data):", "and False:")],
    "yaml": [(SPEED, "return yaml.CSafeLoader", "return original")],
    # All authorities again; the check of before takes no bundle without one.
    "authorities": [("/usr/local/bin/hermes-entrypoint", "HERMES_CA_BUNDLE=$HERMES_WAY/hosts.crt ", "")],
    "plugins": [("/etc/hermes/config.yaml", "\nplugins:\n", "\nplugins_of_now:\n")],
    "collector": [("/opt/hermes/bin/hermes-gateway", f"gc.{name}()", "pass") for name in ("disable", "freeze", "enable")],
}
OPEN_WEBUI = {
    "turns": [(SEAMS, ', "turns", "start"]', ', "start"]'), replaced('"open_webui.utils.middleware:process_chat_payload", "3cdf5d8d9ba8", "turns",')],
    "routes": [replaced('"fastapi.routing:APIRoute.__init__", "780ff510da36", "routes",')],
    "unused": [replaced('"pydantic._internal._config:ConfigWrapper.for_model", "8b063e4859b2", "unused",')],
    "assets": [replaced('"open_webui.main:SPAStaticFiles.file_response", "a5b4f20447da", "assets",')],
    "ticks": [replaced('"uvicorn.server:Server.main_loop", "afccb353a119", "start",')],
    "collector": [
        (f"{sysconfig.get_path('purelib')}/app_start.py", "gc.disable()", "pass"),
        *(("/app/backend/open_webui/private/start.py", f"gc.{name}()", "pass") for name in ("freeze", "enable")),
    ],
    "migrations": [(f"{sysconfig.get_path('purelib')}/app_start.py", 'os.environ["ENABLE_DB_MIGRATIONS"] = "false"', "pass")],
    "portlist": [(ENTRYPOINT, " TS_DEBUG_DISABLE_PORTLIST=1 ", " ")],
    "login": [(ENTRYPOINT, "LOGIN_CHECK=60", "LOGIN_CHECK=30")],
}


def main(names):
    changes = HERMES if Path("/opt/hermes").exists() else OPEN_WEBUI
    files = set()
    for path, now, before in (change for name in names or changes for change in changes[name]):
        text = Path(path).read_text()
        if now not in text:
            sys.exit(f"{path} has no {now!r} any more: correct test/bench/before/undo.py")
        Path(path).write_text(text.replace(now, before))
        files.add(path)
    python, mode = ("/opt/hermes/bin/python", "unchecked-hash") if changes is HERMES else (sys.executable, "timestamp")
    modules = [path for path in files if path.endswith(".py")]
    subprocess.run([python, "-m", "compileall", "-q", "-f", "--invalidation-mode", mode, *modules], check=True)


main(sys.argv[1:])
