"""The app's one way out: gives each connection on a Unix socket one to Hermes, and to nobody else. It reads nothing of what passes.

    python3 -I -S relay.py SOCKET HOST PORT

The folder of the socket decides who may open it. Runs until a signal; ends with 1 when there can't be such a socket.
"""

import os
import socket
import sys
import threading
from contextlib import suppress


def copy(source, sink):
    """One direction to its end, which is told to the other side. It ends, too, when either side has gone."""
    with suppress(OSError):
        while data := source.recv(1 << 14):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def connect(app, address):
    # Where it can't, the app finds its connection closed.
    with app, suppress(OSError), socket.create_connection(address, timeout=10) as hermes:
        hermes.settimeout(None)  # from here on; the 10 s are to connect
        hermes.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=copy, args=(hermes, app))
        back.start()
        copy(app, hermes)
        back.join()


if __name__ == "__main__":
    path, host, port = sys.argv[1:]
    os.umask(0)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1024)
    while True:
        threading.Thread(target=connect, args=(listener.accept()[0], (host, int(port))), daemon=True).start()
