"""Leads what Hermes asks of the internet to the sockets of WAY/out, behind each of which HAProxy asks one host (haproxy.cfg).

The kernel lets Hermes have no others (confined.py). Python's own sockets are led there by the name of the host, so that no library has
to know of it: httpx, requests, grpclib, aiohttp. A library with sockets of its own fails at once. So does Hermes' API listen in WAY/in.
"""

import contextlib
import os
import socket

OUT, IN = (f"{os.environ['HERMES_WAY']}/{name}" for name in ("out", "in"))


def path_to(address):
    """The socket behind which a host is: its own, or that of the hosts that Modal names."""
    if not isinstance(address, tuple):
        return address
    return f"{OUT}/{address[0] if address[0] in os.listdir(OUT) else 'routers'}"


class Socket(socket.socket):
    """A socket of the internet that is a Unix socket in truth."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        if fileno is None and family in (-1, socket.AF_INET, socket.AF_INET6):
            family, proto = socket.AF_UNIX, 0
        super().__init__(family, type, proto, fileno)

    def connect(self, address):
        super().connect(path_to(address))

    def bind(self, address):
        if not isinstance(address, tuple):
            return super().bind(address)
        path = f"{IN}/{address[1]}"
        # A container that starts again has its last one.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        super().bind(path)
        os.chmod(path, 0o666)  # for HAProxy; nobody else is there

    def listen(self, backlog=0):
        # Where it is full, a Unix socket refuses at once what one of the internet would let wait.
        super().listen(4096)

    def setsockopt(self, level, *more):
        if level not in (socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP):
            super().setsockopt(level, *more)


def name_as_address(host, port, family=0, type=0, proto=0, flags=0):
    """In the place of getaddrinfo: HAProxy alone looks names up."""
    host = host.decode() if isinstance(host, bytes) else host or "0.0.0.0"
    return [(socket.AF_INET, type or socket.SOCK_STREAM, proto or socket.IPPROTO_TCP, "", (host, int(port or 0)))]


def lead():
    """Must come before a library keeps what it replaces."""
    socket.socket, socket.getaddrinfo = Socket, name_as_address
