"""The app's one way out: gives each connection on a Unix socket one to Hermes, and to nobody else. It reads nothing of what passes.

    python3 -I -S relay.py SOCKET HOST PORT

The folder of the socket decides who may open it. Runs until a signal; ends with 1 when there can't be such a socket.
"""

import os
import socket
import sys
import threading

# In seconds.
PATIENCE = 10


def copy(source, sink):
    """One direction to its end, which is told to the other side. One that breaks off ends the other, too."""
    try:
        while data := source.recv(1 << 14):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone already


def connect(app, address):
    with app:
        try:
            hermes = socket.create_connection(address, PATIENCE)
        except OSError:
            return  # the app finds its connection closed
        with hermes:
            hermes.settimeout(None)
            hermes.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=copy, args=(hermes, app))
            back.start()
            copy(app, hermes)
            back.join()


def serve(path, address):
    listener = socket.socket(socket.AF_UNIX)
    os.umask(0)
    listener.bind(path)
    listener.listen(1024)
    while True:
        app, _ = listener.accept()
        threading.Thread(target=connect, args=(app, address), daemon=True).start()


if __name__ == "__main__":
    serve(sys.argv[1], (sys.argv[2], int(sys.argv[3])))
