"""Undoes in an image of ours what was done for half a CPU, so that the bench can hold both against each other.

Run while an image is built upon it. Ends with a sentence when something isn't there as it was. Not undone is what is in settings (the bench
gives the old ones), the lighter page of page/connection.js, the shorter changelog, and the hash that is there at the start (seams.py).
"""

import subprocess
import sys
import sysconfig
from pathlib import Path

# By file: what is there, and what was.
HERMES = {
    "/opt/hermes/lib/python3.11/site-packages/private_hermes/__init__.py": [(" speed ", " ")],
    "/opt/hermes/lib/python3.11/site-packages/private_hermes/speed.py": [("if type(piece) is not str:", "if True:")],
    # All authorities again; the check of before takes no bundle without one.
    "/usr/local/bin/hermes-entrypoint": [("HERMES_CA_BUNDLE=$HERMES_WAY/hosts.crt ", "")],
    "/etc/hermes/config.yaml": [("\nplugins:\n", "\nplugins_of_now:\n")],
    "/opt/hermes/bin/hermes-gateway": [("gc.disable()", ""), ("gc.freeze()", ""), ("gc.enable()", "")],
}
OPEN_WEBUI = {
    "/app/backend/open_webui/private/seams.py": [
        (', "turns", "start"]', "]"),
        ('        ("fastapi.routing:APIRoute.__init__", "780ff510da36", "routes",', "        *(),  #"),
        ('        ("pydantic._internal._config:ConfigWrapper.for_model", "8b063e4859b2", "unused",', "        *(),  #"),
        ('        ("open_webui.utils.middleware:process_chat_payload", "3cdf5d8d9ba8", "turns",', "        *(),  #"),
        ('        ("open_webui.main:SPAStaticFiles.file_response", "a5b4f20447da", "assets",', "        *(),  #"),
    ],
    f"{sysconfig.get_path('purelib')}/start.pth": [('__import__("app_start").main()', "None")],
    "/usr/local/bin/entrypoint.sh": [(" TS_DEBUG_DISABLE_PORTLIST=1 ", " "), ("LOGIN_CHECK=60", "LOGIN_CHECK=30")],
}


def main():
    changes = HERMES if Path("/opt/hermes").exists() else OPEN_WEBUI
    for path, pairs in changes.items():
        text = Path(path).read_text()
        for now, before in pairs:
            if now not in text:
                sys.exit(f"{path} has no {now!r} any more: correct test/bench/before/undo.py")
            text = text.replace(now, before)
        Path(path).write_text(text)
    python, mode = ("/opt/hermes/bin/python", "unchecked-hash") if changes is HERMES else (sys.executable, "timestamp")
    files = [path for path in changes if path.endswith(".py")]
    subprocess.run([python, "-m", "compileall", "-q", "-f", "--invalidation-mode", mode, *files], check=True)


main()
