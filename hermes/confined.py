#!/usr/local/bin/python3 -ISE
"""Runs a command as the user and group of a number, beneath a filter of the kernel that leaves it Unix sockets alone:

    confined ID COMMAND...

The filter comes before the user is changed: what ran as this user without it, for however short a time, could be taken over by what
runs beneath it (/proc/PID/mem asks for nothing but the same user). All that is ever started beneath it has it, too. What this takes
away, it takes away for good: the credentials, for HAProxy puts them in (haproxy.cfg), and open files but the three of a terminal. The same
file is in both images.
"""

import ctypes
import errno
import os
import socket
import struct
import sys

# HAProxy's, and restic's, which stand in the environment of a shell.
CREDENTIALS = ("OPENROUTER_API_KEY", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET", "TELEGRAM_BOT_TOKEN", "EXA_API_KEY", "BACKUP_KEY_ID", "BACKUP_KEY", "BACKUP_PASSWORD")
# It has the form of Telegram's, which its client looks at.
PLACEHOLDER = "1:held-by-haproxy"
# The numbers of x86-64. A process of another architecture is killed at its first call. Above the last are calls that Debian's libc
# doesn't know (cachestat and later), and those of the x32 ABI.
X86_64, IOCTL, SOCKET, SOCKETPAIR, CLONE, CLONE3, LAST = 0xC000003E, 16, 41, 53, 56, 435, 450
NAMESPACES = 0x7E020080  # the flags CLONE_NEW*
# Types into a terminal, as into that of root's shell in which `hermes` runs.
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
REFUSED = (
    425, 426, 427,  # io_uring_*: opens sockets by itself
    101, 310, 311, 438, 312,  # ptrace, process_vm_readv and -writev, pidfd_getfd, kcmp: into other processes
    272, 308, 165, 166, 155, 428, 429, 430, 431, 432, 433, 442,  # unshare, setns, mount and its kin
    321, 298, 323, 248, 249, 250,  # bpf, perf_event_open, userfaultfd, add_key, request_key, keyctl
)


def program():
    """The filter in the kernel's form (linux/filter.h, linux/seccomp.h)."""
    load, equal, above, any_of, give = 0x20, 0x15, 0x25, 0x45, 0x06
    number, architecture, first, second = 0, 4, 16, 24  # where struct seccomp_data has them
    allow, refuse, unknown, kill = 0x7FFF0000, 0x50000 | errno.EACCES, 0x50000 | errno.ENOSYS, 0x80000000
    code = [(load, 0, 0, architecture), (equal, 1, 0, X86_64), (give, 0, 0, kill), (load, 0, 0, number), (above, 0, 1, LAST), (give, 0, 0, unknown)]
    for call in REFUSED:
        code += [(equal, 0, 1, call), (give, 0, 0, refuse)]
    code += [
        # Its flags lie in memory, which a filter doesn't see; without it every libc takes clone.
        (equal, 0, 1, CLONE3), (give, 0, 0, unknown),
        (equal, 0, 5, IOCTL), (load, 0, 0, second), (equal, 1, 0, TIOCSTI), (equal, 0, 1, TIOCLINUX), (give, 0, 0, refuse), (give, 0, 0, allow),
        (equal, 0, 4, CLONE), (load, 0, 0, first), (any_of, 0, 1, NAMESPACES), (give, 0, 0, refuse), (give, 0, 0, allow),
        (equal, 1, 0, SOCKET), (equal, 0, 3, SOCKETPAIR), (load, 0, 0, first), (equal, 1, 0, socket.AF_UNIX), (give, 0, 0, refuse),
        (give, 0, 0, allow),
    ]
    return b"".join(struct.pack("HBBI", *line) for line in code)


def confine():
    """Gives what keeps the kernel from it, or None."""
    code = ctypes.create_string_buffer(program())
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", (len(code) - 1) // 8, ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    # PR_SET_NO_NEW_PRIVS; PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
    if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.byref(header), 0, 0):
        return "takes no filter (seccomp)"
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
        try:
            socket.socket(family).close()
            return "doesn't apply the filter (seccomp)"
        except PermissionError:
            pass


if __name__ == "__main__":
    user = int(sys.argv.pop(1))
    if reason := confine():
        # As the entrypoint says its reasons: `npm run verify` looks for them.
        sys.exit(f"entrypoint: the kernel of this machine {reason}, so what runs here could reach any address, and doesn't start. Run it on Linux on x86-64, without emulation.")
    os.environ.update({name: PLACEHOLDER for name in CREDENTIALS if os.environ.get(name)})
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    if os.geteuid() == 0:
        os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execvp(sys.argv[1], sys.argv[1:])
