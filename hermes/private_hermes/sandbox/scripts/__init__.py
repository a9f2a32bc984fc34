"""The programs that run in a sandbox, in bash. Each stands in a file, which shellcheck reads.

They are sent as arguments, without their comments. What they need to know from here stands in variables before them.
"""

import re
import shlex
from pathlib import Path

from .. import limits
from ..settings import SECRETS


def read(name):
    """A program without its comments."""
    return re.sub("^ *#.*\n", "", Path(__file__).with_name(f"{name}.sh").read_text(), flags=re.MULTILINE)


KNOWN = f"HERMES_FOLDER={limits.FOLDER} HERMES_MARK={limits.MARK} HERMES_SECRETS='{' '.join(SECRETS)}'\n"
END = KNOWN + read("end")
# Arguments: id, seconds, bytes to keep of the beginning and of the end, length of the script on standard input or "-", script, input.
RUN = END + read("run")
# Argument: id.
STOP = END + read("stop")
READ, ALONE = read("read"), read("alone")


def read_file(path, limit):
    """Prints a file of so many bytes at most; the exit code tells why not (read.sh)."""
    return f"set -- {shlex.quote(path)} {limit}\n{READ}"


def alone(script):
    """Runs a script by itself; its errors are printed where it fails."""
    return f"set -- {shlex.quote(script)}\n{ALONE}"
