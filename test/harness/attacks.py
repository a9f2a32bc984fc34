"""What somebody who has taken the gateway or the page's app over would try: run as they would, beneath `confined`.

    attacks.py kernel PID       {attempt: "refused", or what came of it} as JSON, by system calls and what /proc tells; PID has the way out
    attacks.py files            the same, by HAProxy's files and those that Hermes trusts
    attacks.py connect          {socket: "refused", or what came of it} as JSON, for each Unix socket that somebody listens on
    attacks.py ask <questions   [[socket, request or SNI], ...] in, the first line of each answer out, both as JSON; "" where there is none
"""

import ctypes
import errno
import itertools
import json
import mmap
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time

WAY = "/run/way"
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
results = {}
REFUSED = {errno.EACCES, errno.EPERM}


def call(what, number, *arguments, by=errno.EACCES):
    """A system call by its number, each argument as 64 bits. Its error has to be the filter's: rights, or Docker's own filter, have EPERM."""
    ctypes.set_errno(0)
    given = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    error = ctypes.get_errno()
    results[what] = "refused" if given == -1 and error == by else f"gave {given}, {errno.errorcode.get(error, error)}"


def attempt(what, action):
    try:
        results[what] = f"gave {action()!r}"[:200]
    except OSError as error:
        results[what] = "refused" if error.errno in REFUSED else f"{errno.errorcode.get(error.errno, error)}"


def in_child(what, action, by=None):
    """What may end the process: it has to be by this signal, or in the action's own refusal (exit code 13)."""
    child = os.fork()
    if not child:
        try:
            action()
        except OSError as error:
            os._exit(13 if error.errno in REFUSED else 1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    ended = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    results[what] = "refused" if ended == (-by if by else 13) else f"ended with {ended}"


def machine_code(code):
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def kernel(holder):
    for family, kind in itertools.product(range(64), (1, 2, 3, 5)):
        if family != socket.AF_UNIX:
            call(f"socket of family {family}, type {kind}", 41, family, kind, 0)
    # A kernel that reads 32 bits of an argument must be asked about the same 32.
    for high in (1 << 32, -1 << 32):
        call(f"socket of family 2 with {high:x} above", 41, 2 | high, 1, 0)
    call("MPTCP", 41, 2, 1, 262)
    pair = (ctypes.c_int * 2)()
    call("socketpair of the internet", 53, 2, 1, 0, pair)
    for name, number in {"setup": 425, "enter": 426, "register": 427}.items():
        call(f"io_uring_{name}", number, 1, 0, 0, 0, 0, 0)
    call("a call that Debian's libc doesn't know", 451, 0, by=errno.ENOSYS)
    call("socket by x32", 0x40000000 | 41, 2, 1, 0, by=errno.ENOSYS)
    call("a key pressed in its terminal", 16, 0, 0x5412, ctypes.create_string_buffer(b"x"))
    call("a paste into its terminal", 16, 0, 0x541C, ctypes.create_string_buffer(b"\3"))
    call("clone3", 435, ctypes.create_string_buffer(88), 88, by=errno.ENOSYS)
    # mov eax, 359 (socket); mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
    in_child("socket by the calls of i386", lambda: machine_code(b"\xb8\x67\x01\x00\x00\xbb\x02\x00\x00\x00\xb9\x01\x00\x00\x00\x31\xd2\xcd\x80\xc3"), signal.SIGSYS)
    for name, flag in {"net": 0x40000000, "user": 0x10000000, "mount": 0x20000, "pid": 0x20000000}.items():
        call(f"clone into a new namespace ({name})", 56, flag | signal.SIGCHLD, 0, 0, 0, 0)
        call(f"unshare ({name})", 272, flag)
    pidfd = os.pidfd_open(holder)
    call("pidfd_getfd", 438, pidfd, 5, 0)
    call("setns", 308, pidfd, 0x40000000)
    call("ptrace", 101, 16, holder, 0, 0)
    call("ptrace of its parent", 101, 16, os.getppid(), 0, 0)
    for name, number in {"readv": 310, "writev": 311}.items():
        call(f"process_vm_{name}", number, holder, 0, 0, 0, 0, 0)
    call("kcmp", 312, os.getpid(), holder, 0, 0, 0)
    mounts = {"mount": 165, "umount2": 166, "pivot_root": 155, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "mount_setattr": 442}
    others = {"bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250}
    for name, number in {**mounts, **others}.items():
        call(name, number, 0, 0, 0, 0, 0)
    for pid, name in itertools.product((holder, 1), ("environ", "mem", "maps", "auxv", "stack", "syscall")):
        attempt(f"/proc/{pid}/{name}", lambda path=f"/proc/{pid}/{name}": open(path, "rb").read(1))
    for pid, name in itertools.product((holder, 1), ("root", "cwd", "exe")):
        attempt(f"/proc/{pid}/{name}", lambda path=f"/proc/{pid}/{name}": os.readlink(path))
    attempt("its descriptors", lambda: os.listdir(f"/proc/{holder}/fd"))
    for number in (signal.SIGKILL, signal.SIGUSR1, signal.SIGSTOP):
        attempt(f"{number.name}", lambda number=number: os.kill(holder, number))
    attempt("root again", lambda: os.setuid(0))
    in_child("another user", lambda: os.setuid(65534))
    results["bash's /dev/tcp"] = "refused" if subprocess.run(["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT"], capture_output=True).returncode else "connected"
    results["a Python of its own"] = "refused" if b"PermissionError" in subprocess.run([sys.executable, "-c", "import socket; socket.socket()"], capture_output=True).stderr else "opened a socket"
    # What it may have: otherwise all above would prove nothing.
    attempt("allowed: a Unix socket", lambda: socket.socket(socket.AF_UNIX).fileno() > 0)


def files():
    attempt("the key of its certificate", lambda: open("/etc/egress/hosts.pem").read())
    attempt("its list of routers", lambda: open("/etc/egress/routers.map", "a"))
    attempt("the authorities that Hermes trusts", lambda: open(f"{WAY}/authorities.pem", "a"))
    attempt("a socket of its own among the others", lambda: socket.socket(socket.AF_UNIX).bind(f"{WAY}/out/own"))
    attempt("one of the others taken away", lambda: os.unlink(f"{WAY}/out/openrouter.ai"))
    results["its own environment"] = "refused" if not any(name in os.environ and os.environ[name] != "1:held-by-haproxy" for name in ("OPENROUTER_API_KEY", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "EXA_API_KEY", "TELEGRAM_BOT_TOKEN")) else "has credentials"
    attempt("allowed: one of the sockets", lambda: socket.socket(socket.AF_UNIX).connect(f"{WAY}/out/openrouter.ai"))


def connect():
    # What accepts connections has this flag, __SO_ACCEPTCON; a name that begins with @ lies in no folder.
    for line in open("/proc/net/unix").readlines()[1:]:
        _, _, _, flags, kind, _, _, *path = line.split()
        if int(flags, 16) & 0x10000 and path:
            # HAProxy binds a name with this end, and renames it.
            name = re.sub(r"\.\d+\.tmp$", "", path[0])
            attempt(name, lambda: socket.socket(socket.AF_UNIX, int(kind, 16)).connect(name.replace("@", "\0")))


def answer(name, asked):
    context = ssl._create_unverified_context()
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(20)
        plain.connect(f"{WAY}/out/{name}")
        try:
            if name == "routers":
                if asked.startswith(("raw:", "sni:")):
                    plain.sendall(asked[4:].encode() if asked.startswith("raw:") else hello(asked[4:].encode()))
                    return plain.recv(100).decode()
                with context.wrap_socket(plain, server_hostname=asked or None) as tls:
                    return f"reached {tls.getpeercert(True)[:0]!r}"
            if name == "api.modal.com":
                return over_http2(plain, asked)
            with context.wrap_socket(plain, server_hostname=name) as tls:
                tls.sendall(asked.encode("latin-1"))
                return tls.recv(65536).decode("latin-1").split("\r\n")[0]
        except OSError:
            return ""


def hello(name):
    """How TLS begins towards any name, also one that is none."""
    def sized(size, content):
        return len(content).to_bytes(size, "big") + content

    extensions = sized(2, b"\0\0" + sized(2, sized(2, b"\0" + sized(2, name))))
    body = b"\3\3" + bytes(32) + b"\0" + sized(2, b"\x13\1") + sized(1, b"\0") + extensions
    return b"\x16\3\1" + sized(2, b"\1" + sized(3, body))


def over_http2(plain, asked):
    """Header lines, `:method` and so on among them, and perhaps a body after an empty line, in hex, what is after "|" of it later: status and gRPC's status of the answer."""
    import h2.config
    import h2.connection
    import h2.events

    head, _, body = asked.partition("\n\n")
    config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
    connection = h2.connection.H2Connection(config)
    connection.initiate_connection()
    connection.send_headers(1, [tuple(line.rsplit(": ", 1)) for line in head.split("\n")])
    body, _, late = body.partition("|")
    body = bytes.fromhex(body) if body else b"\0\0\0\0\0"
    for at in range(0, len(body), 16_000):
        connection.send_data(1, body[at : at + 16_000], end_stream=at + 16_000 >= len(body) and not late)
    plain.sendall(connection.data_to_send())
    if late:
        time.sleep(1)  # so that what comes first could be judged by itself
        connection.send_data(1, bytes.fromhex(late), end_stream=True)
        plain.sendall(connection.data_to_send())
    seen = {}
    while data := plain.recv(65536):
        for event in connection.receive_data(data):
            if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                seen.update({(k.decode() if isinstance(k, bytes) else k): (v.decode() if isinstance(v, bytes) else v) for k, v in event.headers})
            if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)):
                return f"{seen.get(':status', '')} {seen.get('grpc-status', '')}".strip()
        plain.sendall(connection.data_to_send())
    return ""


if sys.argv[1] == "ask":
    print(json.dumps([answer(*question) for question in json.load(sys.stdin)]))
else:
    globals()[sys.argv[1]](*map(int, sys.argv[2:]))
    print(json.dumps(results))
