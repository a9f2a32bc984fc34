"""Holds the port that the platform waits for, and answers whatever comes there with 403 and one sentence. Open WebUI listens on a Unix
socket that only tailscaled opens.

    python3 -I -S door.py PORT

It reads nothing, so nobody holds it up by being slow. Runs until a signal; ends with 1 when the port is taken.
"""

import socket
import sys
from collections import deque

SENTENCE = b"Open WebUI answers on the tailnet only.\n"
ANSWER = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    len(SENTENCE),
    SENTENCE,
)
KEPT = 64  # connections, a few KB of the kernel's memory each


def serve(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The least that there is, and each connection inherits it: what is sent stays there.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(128)
    # Closed at once, what is unread would reset the connection, and the answer would be lost on its way.
    answered = deque()
    while True:
        connection, _ = listener.accept()
        answered.append(connection)
        connection.setblocking(False)
        try:
            connection.send(ANSWER)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side has gone
        if len(answered) > KEPT:
            answered.popleft().close()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
