"""Records which hosts a Python process looks up or connects to, by name or address: one a line in /tmp/reached.

As `sitecustomize.py` in a folder of PYTHONPATH it is loaded by every Python process of a container. It listens to the audit events
of the module socket (docs.python.org/3/library/audit_events.html), whether or not there is an answer.

What it doesn't see: sockets that native code opens by itself.
"""

import os
import sys

log = os.open("/tmp/reached", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    os.write(log, f"{host.decode() if isinstance(host, bytes) else host}\n".encode())


sys.addaudithook(note)
