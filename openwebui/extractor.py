"""Reads documents for Open WebUI, by documents.py.

    python3 -I -S extractor.py SOCKET

Open WebUI's slim image reads no documents. uploads.py sends each upload here, over a Unix socket: one message with
`{"name", "type"}` in JSON and the file's descriptor, so that no byte of the file passes through the app's memory. The answer is
`{"text", "pictures"}`, these being pages that are more than their text (JPEG, in base64), or `{"problem"}` in JSON, up to the end of the connection; `{name}` in a problem stands for the file's name.

Documents are foreign data, and the libraries that read them are large. So each is read in a child process with limits on memory,
time and what it may do; entrypoint.sh runs this as a user of its own, who has nothing else. The parent imports nothing and
waits: one conversion at a time, and 8 MB while there is none.
"""

import json
import os
import resource
import signal
import socket
import sys
import traceback

# Python doesn't look beside the script by itself, under -I.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))
import documents
from common import BROKEN, TOO_LARGE, TOO_SLOW

# The image's libraries, without its .pth files, which load the app's database. Under -S Python itself may not know their place.
LIBRARIES = "/usr/local/lib/python%d.%d/site-packages" % sys.version_info[:2]
SECONDS = 30
# Of a child's own memory, Python and the libraries included. Open WebUI and tailscaled leave that much of 512 MB.
MEMORY = 128 << 20


def confine():
    """What a child may take and do; it is the first that the kernel ends when the container is out of memory."""
    with open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    for limit, value in (
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    # Ends the process, whatever a library is at: nothing handles it.
    signal.setitimer(signal.ITIMER_REAL, SECONDS)


def answer(connection):
    """Reads one request and answers it."""
    # Who asks for nothing holds nobody up.
    connection.settimeout(SECONDS)
    request, descriptors, _, _ = socket.recv_fds(connection, 65_536, 1)
    asked = json.loads(request)
    sys.path.append(LIBRARIES)
    confine()
    with os.fdopen(descriptors[0], "rb") as file:
        send(connection, documents.reply(asked["name"], asked["type"] or "", file))


def send(connection, reply):
    connection.sendall(json.dumps(reply, ensure_ascii=False).encode("utf-8", "replace"))


def refuse(connection, problem):
    try:
        send(connection, {"problem": problem})
    except OSError:
        pass  # Nobody waits for it any more.


def serve(path):
    if os.path.exists(path):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        # Who may connect is told by the folder's mode.
        os.umask(0)
        listener.bind(path)
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    child = os.fork()
                except OSError:
                    # There is no memory for one.
                    refuse(connection, TOO_LARGE)
                    continue
                if child == 0:
                    code = 1
                    try:
                        answer(connection)
                        code = 0
                    except BaseException:
                        traceback.print_exc()
                    finally:
                        os._exit(code)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                # A library that gets no memory ends the process, by one signal or another.
                if code != 0:
                    refuse(connection, TOO_SLOW if code == -signal.SIGALRM else TOO_LARGE if code < 0 else BROKEN)


if __name__ == "__main__":
    serve(sys.argv[1])
